"""Time and weigh the chain on one tile of 4096 x 4096 pixels: a line a stage.

    python benchmarks/chain.py --cores 2 [--side 4096]

The tile is simulated (`pipeline.simulate`) in build/bench, once; the figures are Snakemake's own
(`results/bench/benchmarks`): every stage is a process of its own, its imports included.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline import io
from pipeline.tiles import STAGES

ROOT = Path(__file__).parent.parent
RUN = Path("results/bench")


def main():
    """Run the chain afresh, and print what each stage took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--side", type=int, default=4096, help="of the tile [pixel]")
    args = parser.parse_args()
    home = ROOT / "build" / "bench" / str(args.side)
    home.mkdir(parents=True, exist_ok=True)
    config = home / "config.yaml"
    config.write_text(yaml.safe_dump(settings(args.side)))
    for products in ("tiles", "benchmarks", "logs"):
        shutil.rmtree(home / RUN / products, ignore_errors=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow/Snakefile"]
    command += ["--configfile", config, "--directory", home, "--cores", str(args.cores)]
    command += ["--quiet", "all", "--"]
    subprocess.run([*command, "demo_survey"], check=True)
    subprocess.run(command, check=True)
    said = table(home)
    (home / "table.txt").write_text(said)
    sys.stdout.write(said)


def settings(side):
    """Config of a survey of one whole tile as Euclid sees the sky, of some 3000 sources."""
    planes = {"image": "SCI", "weight": "WHT", "mask": "MSK"}
    tile = {kind: {"r": f"{RUN}/sky/t1.fits[{hdu}]"} for kind, hdu in planes.items()}
    survey = {"like": "Euclid_VIS IE", "tiles": 1, "side": side, "damage": False}
    return {"name": RUN.name, "tiles": {"t1": tile}, "survey": survey}


def table(home):
    """Seconds, CPU seconds and peak memory of each stage, and of all."""
    rows = {stage: home / RUN / "benchmarks" / stage / "t1.tsv" for stage in STAGES}
    rows = {stage: path for stage, path in rows.items() if path.exists()}  # those that ran
    rows |= {step: home / RUN / "benchmarks" / f"{step}.tsv" for step in ("merge", "report")}
    lines, total = [f"{'stage':12}{'s':>8}{'CPU s':>8}{'MB':>8}"], [0.0, 0.0, 0.0]
    seconds = {}
    for stage, path in rows.items():
        with path.open(newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        took = [float(row[name]) for name in ("s", "cpu_time", "max_rss")]
        seconds[stage] = took[0]
        total = [total[0] + took[0], total[1] + took[1], max(total[2], took[2])]
        lines.append(_line(stage, took))
    n = len(io.read_table(home / RUN / "catalog.fits"))
    rate = n / (seconds["segment"] + seconds["uncertainty"])
    last = f"{n} sources; segment and uncertainty together: {rate:.0f} a second"
    return "\n".join([*lines, _line("all", total), last, ""])


def _line(name, took):
    return f"{name:12}{took[0]:8.1f}{took[1]:8.1f}{took[2]:8.0f}"


if __name__ == "__main__":
    main()
