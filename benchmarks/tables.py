"""Tables of what `make external` measured, for the README: a row a test, reached or not."""

import json
import math
from pathlib import Path
from typing import NamedTuple

from pipeline import digest
from pipeline.models.anomaly import SPOILT

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "build" / "external"
WEIGHTS = ROOT / "pipeline" / "weights"
NOTHING = "not measured"


class Row(NamedTuple):
    """One test: its name, what peers and papers reach, what is wanted, and where it is measured.

    ``places`` are ``file: key: ...: format`` of each number, where `file` is one of build/external
    or ``card.NETWORK``, the scores in a model card.
    """

    test: str
    published: str
    wanted: str
    places: tuple[str, ...]


def pairs(scale, kind, *numbers):
    """Places of numbers of the pairs at a pixel scale."""
    return tuple(f"pairs_{scale}: {kind}: {number}" for number in numbers)


DEBLENDING = (
    Row(
        'pairs at 0.06", each galaxy centred in its stamp: MAPE',
        "SEP 25.6 %, photutils 24.2 %; 7.6 % (b2m2f)",
        "≤ 5 %",
        pairs("0.06", "given_unet", "mape: %"),
    ),
    Row(
        "same: NMAD; beyond 0.75 mag",
        "SEP 0.233; 5.2 %. 0.081; 0.10 % (b2m2f)",
        "≤ 0.06; ≤ 0.1 %",
        pairs("0.06", "given_unet", "nmad_dm: 3", "outliers: %"),
    ),
    Row(
        "same: mean IoU of the two masks, U-Net; probabilistic U-Net",
        "SEP 0.57, photutils 0.60, oracle hard partition 0.73",
        "≥ 0.88",
        (*pairs("0.06", "given_unet", "iou: 3"), *pairs("0.06", "given_punet", "iou: 3")),
    ),
    Row(
        "same: coverage of the 68 % interval",
        "none has one",
        "",
        pairs("0.06", "given_unet", "coverage_68: %"),
    ),
    Row(
        'pairs at 0.10": mean IoU; MAPE',
        "SEP 0.52; 31 %",
        "≥ 0.85; ≤ 6 %",
        pairs("0.10", "given_unet", "iou: 3", "mape: %"),
    ),
    Row(
        'pairs at 0.20", PSF 0.7": mean IoU; MAPE',
        "",
        "≥ 0.75; ≤ 10 %",
        pairs("0.20", "given_unet", "iou: 3", "mape: %"),
    ),
    Row(
        'the whole chain with its own detection, 0.06": mean IoU, missed = 0',
        "SEP 0.57",
        "≥ 0.82",
        pairs("0.06", "own_unet", "iou: 3"),
    ),
    Row(
        "same: recall; precision",
        "SEP 0.84",
        "≥ 0.93; ≥ 0.97",
        pairs("0.06", "own_unet", "recall: 3", "precision: 3"),
    ),
    Row(
        "HSC blends, 105 injected sources, i band, true less measured: median (below 0: too faint);"
        " NMAD; beyond 0.75 mag",
        "scarlet -0.045; 0.108; 4 %",
        "within 0.02; ≤ 0.09; ≤ 3 %",
        ("hsc: given: median_dm: +", "hsc: given: nmad_dm: 3", "hsc: given: outliers: %"),
    ),
    Row(
        "same: median of those brighter than mag 24.5; of the fainter",
        "",
        "",
        ("hsc: given: median_dm_bright: +", "hsc: given: median_dm_faint: +"),
    ),
    Row(
        "same, scarlet's, from its own published numbers",
        "",
        "",
        ("hsc: scarlet: median_dm_bright: +", "hsc: scarlet: median_dm_faint: +"),
    ),
    Row(
        "same, own detection: found; median; NMAD; beyond 0.75 mag",
        "",
        "",
        tuple(f"hsc: own: {k}" for k in ("recall: %", "median_dm: +", "nmad_dm: 3", "outliers: %")),
    ),
    Row(
        "same, SEP with Kron fluxes: found; median; NMAD; beyond 0.75 mag",
        "",
        "",
        tuple(f"hsc: sep: {k}" for k in ("recall: %", "median_dm: +", "nmad_dm: 3", "outliers: %")),
    ),
    Row(
        "same, own detection, all sources: seconds a blend",
        "scarlet 120",
        "< 0.1",
        ("hsc: own: seconds: 3",),
    ),
    Row("same: coverage of the 68 % interval", "", "≥ 60 %", ("hsc: given: coverage_68: %",)),
    Row(
        "coverage of the 68 % and 95 % flux intervals, simulated test",
        "",
        "0.66-0.70; 0.94-0.96",
        ("card.photometry: coverage_68: 3", "card.photometry: coverage_95: 3"),
    ),
    Row(
        "same, 68 %, in bins of S/N and of separation/Re and /FWHM: the least; the most",
        "",
        "0.62; 0.74",
        tuple(f"card.photometry: coverage_68_in_bins: {k}: 3" for k in ("least", "most")),
    ),
    Row(
        "same, 68 %, of those with a neighbour within one PSF width, which is known; which is not",
        "",
        "",
        tuple(f"card.photometry: coverage_68_of_close: {k}: 3" for k in ("known", "unknown")),
    ),
    Row(
        "simulated test: ECE on the masks' union; AUROC of spread against error",
        "",
        "≤ 0.02; ≥ 0.90",
        (
            "card.punet: calibration_error_on_union: 3",
            "card.punet: auroc_of_spread_against_error: 3",
        ),
    ),
    Row(
        'pairs at 0.06": the same',
        "",
        "",
        pairs("0.06", "pixels", "ece_punet: 3", "auroc_of_spread: 3"),
    ),
)
FINDING = (
    Row(
        "simulated one-band stamps as in the Lens Finding Challenge: AUROC; TPR0; TPR10; of how"
        " many non-lenses",
        "0.9325; 0.221; 0.357 (three winners, of the challenge's own 100,000 stamps)",
        "≥ 0.97; ≥ 0.30; ≥ 0.45",
        (
            "challenge: auroc: 4",
            "challenge: tpr0: 3",
            "challenge: tpr10: 3",
            "challenge: n_others: 0",
        ),
    ),
    Row(
        "same: TPR at FPR 1e-2; 1e-3; 1e-4",
        "",
        "",
        tuple(f"challenge: tpr_at_fpr_{rate}: 3" for rate in ("0.01", "0.001", "0.0001")),
    ),
    Row(
        'same: TPR at FPR 1e-2 for Einstein radius > 0.8" and arc S/N > 20',
        "",
        "≥ 90 %",
        ("challenge: tpr_of_clear_arcs_at_fpr_0.01: %",),
    ),
    Row(
        "same: AUROC of S/N alone; of size alone",
        "",
        "< 0.60",
        ("challenge: auroc_of_snr_alone: 3", "challenge: auroc_of_re_alone: 3"),
    ),
    Row(
        "calibration error at balanced classes: its own test set; the challenge's",
        "",
        "≤ 0.01",
        ("card.lens: calibration_error: 3", "challenge: calibration_error: 3"),
    ),
    Row(
        'such stamps in Hubble\'s pixels (0.05", PSF 0.07"): AUROC, binned as the chain does; not',
        "",
        "",
        ("challenge_hubble: auroc: 3", "challenge_hubble_unbinned: auroc: 3"),
    ),
    Row(
        "SLACS lenses against their own controls: pairs ranked right; by the flux alone, to which"
        " arcs add",
        "38 % (Wilde+22's network, measured on 50 pairs, of which these are 25)",
        "≥ 85 %",
        ("lenses: pairs_ranked_right: %", "lenses: pairs_ranked_right_by_flux: %"),
    ),
    Row(
        "same: AUROC; of the flux alone",
        "",
        "",
        ("lenses: auroc: 3", "lenses: auroc_of_flux_alone: 3"),
    ),
    Row(
        "the 27 lenses above the threshold of FPR 1e-3 on validation; those with visible arcs",
        "0.41 at low FPR (HOLISMOKES XV, HST, one band)",
        "≥ 60 %; ≥ 75 %",
        ("lenses: above_threshold: %", "lenses: above_threshold_visible: %"),
    ),
    Row(
        "same: their controls, models of the galaxies with traces of the arcs in some, above it",
        "",
        "",
        ("lenses: controls_above_threshold: %",),
    ),
    Row(
        "false positives among real galaxies of S/N > 16 (COSMOS, four survey fields) at that"
        " threshold",
        "",
        "≤ 1 %",
        ("lenses: false_positives: %",),
    ),
    Row(
        "same, one by one: COSMOS; KiDS; DECaLS; VISTA; VIKING",
        "",
        "",
        tuple(
            f"lenses: false_positives_{k}: %"
            for k in ("cosmos", "kids", "decals", "vista", "viking")
        ),
    ),
    Row(
        "`anomaly`, AUROC: cosmic rays; trails; saturated stars; wrong PSF; wrong noise; light"
        " turned negative",
        "",
        "≥ 0.90 each",
        tuple(f"card.anomaly: auroc_{k}: 3" for k in SPOILT),
    ),
)

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
    """Write the table of `rows` in Markdown.

    Parameters
    ----------
    rows : sequence of Row
    measured : Path
        Folder of what ``python -m benchmarks.external`` wrote.
    weights : Path
        Folder of the networks, with their model cards.
    """
    lines = ["| test | peers, published | wanted | here |", "|---|---|---|---|"]
    for row in rows:
        here = "; ".join(number(place, measured, weights) for place in row.places)
        if set(here.split("; ")) == {NOTHING}:
            here = NOTHING
        lines.append(f"| {row.test} | {row.published} | {row.wanted} | {here} |")
    return "\n".join(lines)


def number(place, measured=MEASURED, weights=WEIGHTS):
    """Write one number with its error, or that it was not measured of these networks.

    `place` is one of those of a `Row`.
    """
    source, *keys, style = place.split(": ")
    if source.startswith("card."):
        path, keys = weights / source.removeprefix("card.") / "card.json", ["scores", *keys]
    else:
        path = measured / f"{source}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if any(digest.weights(k, weights) != v for k, v in found.get("networks", {}).items()):
        return NOTHING
    for key in keys:
        found = found.get(key, {})
    if not isinstance(found, dict):
        found = {"value": found}
    value, error = found.get("value"), found.get("error")
    if value is None or math.isnan(value):
        return NOTHING
    return _styled(value, error, style)


def _styled(value, error, style):
    """Write a number: as a percentage, signed, or with that many decimals."""
    scale, digits, unit = (100, 1, " %") if style == "%" else (1, 3, "")
    if style.isdigit():
        digits = int(style)
    sign = "+" if style == "+" else ""
    spread = "" if error is None else f" ± {error * scale:.{digits}f}"
    return f"{value * scale:{sign}.{digits}f}{spread}{unit}"
