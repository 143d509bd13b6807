"""Write the README's figures: from model cards, the demo, surveys, `make bench`, `make external`.

    python -m benchmarks.readme

Every part of the README between ``<!-- begin X -->`` and ``<!-- end X -->`` is written anew;
nothing there is typed by hand.
"""

import json
import re
import shutil
from pathlib import Path

from benchmarks import fields, rows, surveys, tables
from pipeline import io
from pipeline.catalogs.catalog import COLUMNS
from pipeline.comparison import truth
from pipeline.config import Report
from pipeline.flags import MEANING

ROOT = Path(__file__).parent.parent
DEMO, BENCH = ROOT / "results" / "demo", ROOT / "build" / "bench"
GAIN = DEMO / "adapted" / "gain.json"  # of `snakemake adapt` on the demo
HOLD = DEMO / "calibrated" / "gain.json"  # of `snakemake calibrate` on the demo
TIMES = {"bench": BENCH / "4096" / "table.txt", "networks": BENCH / "networks.txt"}
COMPARED = ROOT / "results" / "shipped" / "training" / "scores"  # of `snakemake score`
FIGURES = "deblending.png", "lens.png"  # of those, that the README shows
# Place of a score in the model cards, as in rows.Row, what it is, and what is published (of other
# data; see text).
SCORES = (
    ("lens: auroc: 3", "lens finder, AUROC", "0.93 (Metcalf+19, best of the challenge)"),
    ("lens: recall_at_fpr_0.01: %", "lens finder, recall at 1 % false positives", ""),
    (
        "lens: recall_of_clear_arcs_at_fpr_0.01: %",
        "the same, arcs of S/N > 20 and Einstein radius > 0.8 arcsec",
        "",
    ),
    ("lens: calibration_error: 4", "lens finder, calibration error", ""),
    ("lens: auroc_of_snr_alone: 3", "AUROC of S/N alone, which should be 0.5", ""),
    ("lens: auroc_of_size_alone: 3", "AUROC of size alone, which should be 0.5", ""),
    ("unet: iou_target: 3", "U-Net, IoU of the target's mask", ""),
    ("unet: iou_neighbour: 3", "U-Net, IoU of the neighbours' mask", ""),
    ("unet: iou_overlap: 3", "U-Net, IoU of where the two overlap", ""),
    ("unet: share_nmad_dm: 3", "U-Net, NMAD of the shared-out light [mag]", ""),
    ("punet: iou_target: 3", "probabilistic U-Net, IoU of the mean mask", ""),
    ("punet: calibration_error_on_union: 4", "its calibration error on the masks' union", ""),
    ("punet: auroc_of_spread_against_error: 3", "AUROC of its spread against its errors", ""),
    ("punet: brier_on_union: 4", "its Brier score there", ""),
    ("punet: diversity: 3", "diversity of its draws, 1 - IoU of pairs", ""),
    ("punet: iou_best_of_16: 3", "IoU of the best of 16 draws", ""),
    ("punet: area_coverage_68: %", "how often 68 % of the draws' areas hold the true one's", ""),
    ("photometry: median_dm: +", "photometry, S/N > 10, median error [mag]", ""),
    ("photometry: nmad_dm: 3", "the same, NMAD [mag]", "0.081 (Boucaud+20, pairs)"),
    ("photometry: mape: %", "the same, mean absolute error", "7.6 % (Boucaud+20, pairs)"),
    ("photometry: outliers_0.75: %", "the same, beyond 0.75 mag", "0.1 % (Boucaud+20, pairs)"),
    ("photometry: coverage_68: %", "of all S/N, coverage of the 68 % interval", "not given"),
    ("photometry: coverage_95: %", "the same, coverage of the 95 % interval", "not given"),
    ("anomaly: auroc_trail: 3", "anomaly, AUROC of trails", ""),
    ("anomaly: auroc_noise_doubled: 3", "anomaly, AUROC of noise twice as high as said", ""),
)


PEERS = {
    "sep": "SEP, Kron flux",
    "photutils": "photutils, Kron flux",
    "oracle": "oracle hard partition",
}
SIMULATED = {  # numbers of the table of methods, and by what they are multiplied
    "recall": 100,
    "iou_target": 1,
    "iou_neighbour": 1,
    "iou_overlap": 1,
    "median_dm": 1,
    "nmad_dm": 1,
    "outliers_0.75": 100,
    "mape": 100,
    "coverage_68": 100,
}


def main():
    """Write the parts for which there is something to say."""
    parts = {"columns": columns(), "flags": flags(), "scores": scores()}
    if (COMPARED / "peers.json").exists():
        parts["simulated"] = simulated()
        for name in FIGURES:
            shutil.copyfile(COMPARED / name, Path(__file__).parent / name)
    if (DEMO / "catalog.fits").exists():
        parts["demo"] = demo()
    if surveys.NUMBERS.exists():
        parts["surveys"] = surveys.table(json.loads(surveys.NUMBERS.read_text()))
    if GAIN.exists():
        parts["adapted"] = adapted()
    if HOLD.exists():
        parts["calibrated"] = calibrated()
    if fields.NUMBERS.exists():
        parts["fields"] = fields.table(json.loads(fields.NUMBERS.read_text()))
    parts |= {k: f"```\n{p.read_text()}```" for k, p in TIMES.items() if p.exists()}
    if tables.MEASURED.exists():
        parts["deblending"] = tables.table(rows.DEBLENDING)
        parts["finding"] = tables.table(rows.FINDING)
        parts["peers"] = tables.side_by_side()
    path = ROOT / "README.md"
    text = path.read_text()
    for name, said in parts.items():
        where = rf"(<!-- begin {name} -->).*?(<!-- end {name} -->)"
        text = re.sub(where, lambda m, said=said: f"{m[1]}\n{said}\n{m[2]}", text, flags=re.DOTALL)
    path.write_text(text)


def columns():
    """Table of the catalog's columns."""
    rows = [f"| `{c.name}` | {c.unit} | {c.ucd} | {c.description} |" for c in COLUMNS]
    return "\n".join(["| column | unit | UCD | what |", "|---|---|---|---|", *rows])


def flags():
    """Table of the flags."""
    rows = [f"| {bit.value} | {bit.name} | {meaning} |" for bit, meaning in MEANING.items()]
    return "\n".join(["| bit | name | meaning |", "|---|---|---|", *rows])


def scores():
    """Table of the shipped networks' scores."""
    said = [f"| {what} | {tables.number(f'card.{k}')} | {known} |" for k, what, known in SCORES]
    blends, stamps = (tables.number(f"card.{name}: stamps: 0") for name in ("unet", "lens"))
    of = f"of {blends} blends, and {stamps} stamps for the lens finder"
    return "\n".join([f"| {of} | here | published |", "|---|---|---|", *said])


def simulated():
    """Table of the networks and of others on the simulated test set."""
    cards = [ROOT / "pipeline" / "weights" / n / "card.json" for n in ("unet", "photometry")]
    ours = [json.loads(card.read_text())["scores"]["bins"] for card in cards]
    methods = {"arclet, positions given": ours[0] | ours[1]}
    others = json.loads((COMPARED / "peers.json").read_text())
    methods |= {label: others[name] for name, label in PEERS.items()}
    says = "found | IoU: target | neighbours | overlap | median Δm | NMAD | > 0.75 mag | MAPE"
    lines = [f"| method | {says} | coverage of 68 % |", "|---|" + "---|" * 9]
    for label, found in methods.items():
        cells = [_cell(found.get(name, {}).get("all"), scale) for name, scale in SIMULATED.items()]
        lines.append(" | ".join([f"| {label}", *cells]) + " |")
    return "\n".join(lines)


def _cell(number, scale):
    """A number with its error, as it is or in per cent; nothing for none."""
    if number is None:
        return ""
    digits, unit = (3, "") if scale == 1 else (1, " %")
    value, error = (scale * number[name] for name in ("value", "error"))
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}"


def adapted():
    """What the lens finder gains by learning from arcs on the demo's galaxies."""
    said = json.loads(GAIN.read_text())
    auroc, recall = (
        [said[when][name]["value"] for when in ("before", "after")]
        for name in ("auroc", "recall_at_fpr_0.01")
    )
    gain = said["auroc_gain"]
    return (
        f"On {said['galaxies']} galaxies of the demo that were held out, the area under the ROC "
        f"curve rose from {auroc[0]:.3f} to {auroc[1]:.3f} (by {gain['value']:.3f} ± "
        f"{gain['error']:.3f}), and completeness at 1 % false positives from "
        f"{recall[0]:.1%} to {recall[1]:.1%}: most of these arcs are faint."
    )


def calibrated():
    """How many intervals hold the truth of galaxies painted onto the demo's tiles."""
    said = json.loads(HOLD.read_text())
    before, after = (_cell(said[when]["all"], 100) for when in ("before", "after"))
    return (
        f"Of {said['galaxies']} galaxies painted onto the demo's tiles {before} of the 68 % "
        f"intervals held the truth, and {after} after it."
    )


def demo():
    """Table of the demo's completeness, purity and errors."""
    catalog, known = (io.read_table(DEMO / p) for p in ("catalog.fits", "sky/truth.fits"))
    found = truth.compare(catalog, known, sorted(set(catalog["tile"])), Report().match_radius)
    rows = ["| the demo | |", "|---|---|"]
    for name, of in (("completeness", "galaxies"), ("purity", "sources")):
        share, low, high, n = found[name]
        told = f"{name}, of {of} with S/N > 10 and no neighbour within 2 arcsec"
        rows.append(f"| {told} | {share:.1%} ({low:.1%} to {high:.1%}, of {n}) |")
    share, low, high, n = found["coverage"]
    told = "68 % intervals of the total flux that hold the truth, of galaxies without the flags "
    told += "EDGE, MASKED, SATURATED, SHARP"
    rows.append(f"| {told} | {share:.1%} ({low:.1%} to {high:.1%}, of {n}) |")
    told = "median distance of these galaxies from their true positions"
    rows.append(f"| {told} | {found['offset_pix']:.3f} pixel |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
