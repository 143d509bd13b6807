"""Write the README's figures: from model cards, the demo, `make bench` and `make external`.

    python benchmarks/readme.py

Every part of the README between ``<!-- begin X -->`` and ``<!-- end X -->`` is written anew;
nothing there is typed by hand.
"""

import json
import re
from pathlib import Path

import tables

from pipeline import io, truth
from pipeline.catalog import COLUMNS
from pipeline.config import Report
from pipeline.flags import MEANING

ROOT = Path(__file__).parent.parent
DEMO, BENCH = ROOT / "results" / "demo", ROOT / "build" / "bench"
TIMES = {"bench": BENCH / "4096" / "table.txt", "networks": BENCH / "networks.txt"}
# What is scored, its entry in the model card, and what is published (of other data; see text).
SCORES = (
    ("lens", "auroc", "lens finder, AUROC", "0.93 (Metcalf+19, best of the challenge)"),
    ("lens", "recall_at_fpr_0.01", "lens finder, recall at 1 % false positives", ""),
    (
        "lens",
        "recall_of_clear_arcs_at_fpr_0.01",
        "the same, arcs of S/N > 20 and Einstein radius > 0.8 arcsec",
        "",
    ),
    ("lens", "calibration_error", "lens finder, calibration error", ""),
    ("lens", "auroc_of_snr_alone", "AUROC of S/N alone, which should be 0.5", ""),
    ("lens", "auroc_of_size_alone", "AUROC of size alone, which should be 0.5", ""),
    ("unet", "iou_target", "U-Net, IoU of the target's mask", ""),
    ("unet", "iou_neighbour", "U-Net, IoU of the neighbours' mask", ""),
    ("unet", "share_nmad_dm", "U-Net, NMAD of the shared-out light [mag]", ""),
    ("punet", "iou_target", "probabilistic U-Net, IoU of the mean mask", ""),
    ("punet", "calibration_error_on_union", "its calibration error on the masks' union", ""),
    ("punet", "auroc_of_spread_against_error", "AUROC of its spread against its errors", ""),
    ("punet", "diversity", "diversity of its draws, 1 - IoU of pairs", ""),
    ("photometry", "median_dm", "photometry, median error [mag]", ""),
    ("photometry", "nmad_dm", "photometry, NMAD [mag]", "0.081 (Boucaud+20, pairs)"),
    ("photometry", "mape", "photometry, mean absolute error", "7.6 % (Boucaud+20, pairs)"),
    ("photometry", "outliers_0.75", "photometry, beyond 0.75 mag", "0.1 % (Boucaud+20, pairs)"),
    ("photometry", "coverage_68", "coverage of the 68 % interval", "not given"),
    ("photometry", "coverage_95", "coverage of the 95 % interval", "not given"),
    ("anomaly", "auroc_trail", "anomaly, AUROC of trails", ""),
    ("anomaly", "auroc_noise_doubled", "anomaly, AUROC of noise twice as high as said", ""),
)


def main():
    """Write the parts for which there is something to say."""
    parts = {"columns": columns(), "flags": flags(), "scores": scores()}
    if (DEMO / "catalog.fits").exists():
        parts["demo"] = demo()
    parts |= {k: f"```\n{p.read_text()}```" for k, p in TIMES.items() if p.exists()}
    if tables.MEASURED.exists():
        parts["deblending"] = tables.table(tables.DEBLENDING)
        parts["finding"] = tables.table(tables.FINDING)
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
    rows = []
    for network, key, what, published in SCORES:
        card = json.loads((ROOT / "pipeline" / "weights" / network / "card.json").read_text())
        rows.append(f"| {what} | {card['scores'][key]:.3g} | {published} |")
    return "\n".join(["| what | here | published |", "|---|---|---|", *rows])


def demo():
    """Table of the demo's completeness, purity and errors."""
    catalog, known = (io.read_table(DEMO / p) for p in ("catalog.fits", "sky/truth.fits"))
    found = truth.compare(catalog, known, sorted(set(catalog["tile"])), Report().match_radius)
    rows = [
        "| of galaxies (sources) with S/N > 10 and no neighbour within 2 arcsec | |",
        "|---|---|",
    ]
    for name in ("completeness", "purity"):
        share, low, high, n = found[name]
        rows.append(f"| {name} | {share:.1%} ({low:.1%} to {high:.1%}, of {n}) |")
    rows.append(f"| median distance from the truth | {found['offset_pix']:.3f} pixel |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
