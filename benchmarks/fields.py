"""Paint galaxies of known flux onto real images of several surveys, and see what is made of them.

    ARCLET_REAL_DATA=... python -m benchmarks.fields [FIELD ...]

The images are those of the configs in config/real; products are in build/fields, the numbers in
numbers.json there, for the README's table.  Ten minutes.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import yaml

from pipeline import io
from pipeline.config import read
from pipeline.injection import calibrate
from pipeline.injection.completeness import completeness
from pipeline.models import engine
from pipeline.tiles import STAGES

ROOT = Path(__file__).parent.parent
HOME = ROOT / "build" / "fields"
NUMBERS = HOME / "numbers.json"
FIELDS = {  # name, and passes, for small images hold few galaxies at once
    "vista": ("VISTA H", 1),
    "emmi": ("EMMI R", 2),
    "kids": ("KiDS r", 12),
    "viking": ("VIKING Z", 40),
    "decals": ("DECaLS r", 60),
}
SNR = 10.0, 300.0  # of the galaxies


def main():
    """Measure the fields that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fields", nargs="*", metavar="FIELD", default=list(FIELDS))
    args = parser.parse_args()
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for field in args.fields:
        numbers[field] = measure(field)
        io.write_json(NUMBERS, numbers)
    sys.stdout.write(table(numbers) + "\n")


def measure(field):
    """Numbers of a field, of one tile."""
    written = (ROOT / "config" / "real" / f"{field}.yaml").read_text()
    given = yaml.safe_load(written.replace("real/", f"{os.environ['ARCLET_REAL_DATA']}/"))
    config = read(given | {"recover": {"passes": FIELDS[field][1], "snr": SNR}})
    folder = HOME / field / next(iter(config.tiles))
    for stage in ("ingest", "detect", "recovered"):
        STAGES[stage].work(config, folder)
    found, before = (io.read_table(folder / f"{name}.fits") for name in ("recovered", "sources"))
    row = completeness([found], config.recover)[0]
    known = calibrate.samples([found])
    shipped = engine.load(config.networks, "photometry", config.apply).card["calibration"]
    return {
        "fwhm": float(before.meta["PSFFWHM"]),
        **{name: float(row[name]) for name in row.colnames if name != "kind"},
        "calibrated": calibrate.gained(shipped, known)["after"]["all"],
        "sure": bool("DOUBT" not in before.meta),
    }


def table(numbers):
    """Table of the fields' numbers, a row each."""
    says = (
        "PSF [pixel] | painted | detected | median Δm | NMAD | coverage of 68 % | calibrated here"
    )
    lines = [f"| field | {says} |", "|---|" + "---|" * 7]
    for field, n in numbers.items():
        cells = [FIELDS[field][0], f"{n['fwhm']:.1f}{'' if n['sure'] else ', doubtful'}"]
        cells += [f"{n['n']:.0f}", f"{n['completeness']:.1%} ± {n['completeness_err']:.1%}"]
        cells += [f"{n['median_dm']:+.3f} ± {n['median_dm_err']:.3f}", f"{n['nmad_dm']:.3f}"]
        after = n["calibrated"]
        shares = ((n["coverage_68"], n["coverage_68_err"]), (after["value"], after["error"]))
        cells += [f"{share:.1%} ± {error:.1%}" for share, error in shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
