"""Tables of what `make external` measured, for the README: a row a test, reached or not."""

import json
import math
from pathlib import Path

from pipeline.planning import digest

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "build" / "external"
WEIGHTS = ROOT / "pipeline" / "weights"
NOTHING = "not measured"

METHODS = {
    "given_unet": "arclet, positions given",
    "own_unet": "arclet, own detection",
    "sep": "SEP, default",
    "photutils": "photutils, smoothed image",
    "oracle": "oracle hard partition",
    "best": "hard partition of the best masks",
}
NUMBERS = {
    "recall": "3",
    "precision": "3",
    "iou": "3",
    "median_dm": "+",
    "nmad_dm": "3",
    "outliers": "%",
    "mape": "%",
    "coverage_68": "%",
}


def side_by_side(measured=MEASURED):
    """Write the table of all methods on the same pairs, at each pixel scale, in Markdown."""
    says = "recall | precision | IoU, missed = 0 | median Δm | NMAD | > 0.75 mag | MAPE"
    lines = [f"| pairs | method | {says} | coverage of 68 % |", "|---|" + "---|" * 9]
    for scale in ("0.06", "0.10", "0.20"):
        for kind, label in METHODS.items():
            numbers = [
                number(f"pairs_{scale}: {kind}: {name}: {style}", measured)
                for name, style in NUMBERS.items()
            ]
            said = [one.replace(NOTHING, "") for one in numbers]
            lines.append(" | ".join([f'| {scale}"', label, *said]) + " |")
    return "\n".join(lines)


def table(rows, measured=MEASURED, weights=WEIGHTS):
    """Write the table of `rows` in Markdown, and how many of the numbers wanted are reached.

    Parameters
    ----------
    rows : sequence of Row
    measured : Path
        Folder of what ``python -m benchmarks.external`` wrote.
    weights : Path
        Folder of the networks, with their model cards.
    """
    lines = ["| test | peers, published | wanted | here | reached |", "|---|---|---|---|---|"]
    every = []
    for row in rows:
        found = [_measured(place, measured, weights) for place in row.places]
        here = "; ".join(number(place, measured, weights) for place in row.places)
        here = here if any(found) else NOTHING
        known = zip(found, row.wanted, strict=False)
        reached = [one is not None and low <= one["value"] <= high for one, (low, high) in known]
        every += reached
        said = "; ".join("yes" if one else "no" for one in reached)
        wanted = _wanted(row)
        lines.append(f"| {row.test} | {row.published} | {wanted} | {here} | {said} |")
    return "\n".join([*lines, "", f"{sum(every)} of the {len(every)} numbers wanted are reached."])


def number(place, measured=MEASURED, weights=WEIGHTS):
    """Write one number with its error, or that it was not measured of these networks.

    `place` is one of those of a `Row`.
    """
    found, style = _measured(place, measured, weights), place.split(": ")[-1]
    return NOTHING if found is None else _styled(found["value"], found.get("error"), style)


def _measured(place, measured, weights):
    """Value of a number, with its error if it has one; None if it was not measured."""
    source, *keys, _ = place.split(": ")
    if source.startswith("card."):
        path, keys = weights / source.removeprefix("card.") / "card.json", ["scores", *keys]
    else:
        path = measured / f"{source}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if any(digest.weights(k, weights) != v for k, v in found.get("networks", {}).items()):
        return None
    for key in keys:
        found = found.get(key, {})
    found = found if isinstance(found, dict) else {"value": found}
    value = found.get("value")
    return None if value is None or math.isnan(value) else found


def _wanted(row):
    """Write what is wanted of a row's numbers."""
    styles = (place.split(": ")[-1] for place in row.places)
    said = [_bounds(*ends, style) for ends, style in zip(row.wanted, styles, strict=False)]
    alike = len(said) > 2 and len(set(said)) == 1
    return f"{said[0]} each" if alike else "; ".join(said)


def _bounds(low, high, style):
    """Write the least and the greatest value wanted of a number."""
    least, most = (f"{100 * v:g} %" if style == "%" else f"{v:g}" for v in (low, high))
    if math.isinf(low):
        return f"≤ {most}"
    if math.isinf(high):
        return f"≥ {least}"
    return f"within {most}" if low == -high else f"{least} to {most}"


def _styled(value, error, style):
    """Write a number: as a percentage, signed, or with that many decimals."""
    scale, digits, unit = (100, 1, " %") if style == "%" else (1, 3, "")
    if style.isdigit():
        digits = int(style)
    sign = "+" if style == "+" else ""
    spread = "" if error is None else f" ± {error * scale:.{digits}f}"
    return f"{value * scale:{sign}.{digits}f}{spread}{unit}"
