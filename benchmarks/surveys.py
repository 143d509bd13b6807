"""Run the chain on a simulated tile of each of many surveys, and compare with the truth.

    python benchmarks/surveys.py [SURVEY ...]

Every tile is as surveycodex describes the survey; tiles and products are in build/surveys, the
numbers in numbers.json there, for the README's table.  Ten minutes.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from pipeline import io
from pipeline.catalogs.catalog import flux_snr
from pipeline.comparison import truth
from pipeline.config import Config, Lens, Survey
from pipeline.flags import Flag
from pipeline.models import metrics
from pipeline.models.lens import FAINTEST
from pipeline.report.choose import systems
from pipeline.simulate.camera import like
from pipeline.survey import simulate_survey
from pipeline.tiles import ON_REQUEST, STAGES

ROOT = Path(__file__).parent.parent
HOME = ROOT / "build" / "surveys"
NUMBERS = HOME / "numbers.json"
SURVEYS = {  # what departs from the demo's numbers of pixels and galaxies
    "SDSS r": {"galaxies_per_arcmin2": 10.0},
    "PanSTARRS r": {"galaxies_per_arcmin2": 15.0},
    "DES r": {},
    "CFHTLS r": {"galaxies_per_arcmin2": 40.0},
    "HSC i": {"galaxies_per_arcmin2": 60.0},
    "LSST i": {"galaxies_per_arcmin2": 45.0},
    "Euclid_NISP JE": {"galaxies_per_arcmin2": 30.0},
    "Euclid_VIS IE": {"galaxies_per_arcmin2": 100.0, "stars_per_arcmin2": 8.0},
    "Roman_WFI F158": {"galaxies_per_arcmin2": 100.0, "stars_per_arcmin2": 8.0},
    "COSMOS f814w": {"galaxies_per_arcmin2": 150.0, "stars_per_arcmin2": 10.0, "side": 2048},
}
BRIGHT = 30.0  # S/N above which magnitudes are compared
RADIUS = 0.6, 0.7  # of a match: at least [arcsec], and in widths of the PSF


def main():
    """Measure the surveys that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("surveys", nargs="*", metavar="SURVEY", default=list(SURVEYS))
    args = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for survey in args.surveys:
        numbers[survey] = measure(survey, run(survey))
        NUMBERS.write_text(json.dumps(numbers, indent=1))
    sys.stdout.write(table(numbers) + "\n")


def run(survey):
    """Simulate a survey and run the chain on it, in this process; its folder of products."""
    folder = HOME / survey.replace(" ", "_")
    config = Config.model_validate(settings(survey, folder))
    simulate_survey(config, folder / "sky")
    for stage in STAGES.values():
        if stage.name not in ON_REQUEST:
            stage.work(config, folder / "t1")
    return folder


def settings(survey, folder):
    """Config of a survey of one whole tile."""
    planes = {"image": "SCI", "weight": "WHT", "mask": "MSK"}
    tile = {kind: {"r": f"{folder / 'sky/t1.fits'}[{hdu}]"} for kind, hdu in planes.items()}
    drawn = {"like": survey, "tiles": 1, "side": 1024, "damage": False} | SURVEYS[survey]
    return {"name": "survey", "tiles": {"t1": tile}, "survey": drawn}


def measure(survey, folder):
    """Numbers of a survey's catalog against its truth."""
    names = "t1/catalog.fits", "sky/truth.fits", "t1/sources.fits"
    catalog, known, sources = (io.read_table(folder / name) for name in names)
    drawn = like(Survey(like=survey))
    radius = max(RADIUS[0], RADIUS[1] * drawn.psf_fwhm)
    found = truth.compare(catalog, known, ["t1"], radius)
    pairs = found["pairs"]
    bright = pairs["delta_p50"][pairs["clean"] & pairs["galaxy"] & (pairs["snr"] > BRIGHT)]
    error = np.asarray(bright[np.isfinite(bright)])
    fwhm = drawn.psf_fwhm / drawn.pixel_scale
    return {
        "sources": len(catalog),
        "fwhm": fwhm,
        "fwhm_measured": sources.meta["PSFFWHM"] / fwhm,
        **{name: found[name] for name in ("completeness", "purity", "coverage")},
        "median_dm": float(np.median(error)),
        "nmad_dm": metrics.nmad(error),
        "auroc": found["roc"]["auroc"],
        "lenses": found["roc"]["n_lenses"],
        "lenses_expected": expected(catalog, found["roc"]["n_lenses"]),
    }


def expected(catalog, n_lenses):
    """Lenses that ``p_lens`` promises, a system counted once, had it been told their prevalence.

    That is of galaxies with a S/N above `FAINTEST`, as for ``lens.prevalence``.
    """
    galaxies = (np.asarray(catalog["flags"]) & Flag.POINT_LIKE) == 0
    own = n_lenses / np.sum(galaxies & (flux_snr(catalog, "flux") > FAINTEST))
    p_lens = np.asarray(catalog["p_lens"], "f8")[systems(catalog)]
    return float(expit(logit(p_lens) - logit(Lens().prevalence) + logit(own)).sum())


def table(numbers):
    """Table of the surveys' numbers, a row each, and the sum of their lenses."""
    says = "sources | PSF [pixel] | as measured | completeness | purity | coverage of 68 %"
    says += " | median Δm | NMAD | lenses, AUROC | expected, of those found"
    lines = [f"| survey | {says} |", "|---|" + "---|" * 10]
    for survey, n in numbers.items():
        shares = (n[name] for name in ("completeness", "purity", "coverage"))
        cells = [survey, str(n["sources"]), f"{n['fwhm']:.2f}", f"{n['fwhm_measured'] - 1:+.1%}"]
        cells += [f"{s:.1%} ± {(high - low) / 2:.1%}" for s, low, high, _ in shares]
        cells += [f"{n['median_dm']:+.3f}", f"{n['nmad_dm']:.3f}", f"{n['auroc']:.3f}"]
        cells.append(f"{n['lenses_expected']:.1f} of {n['lenses']}")
        lines.append(f"| {' | '.join(cells)} |")
    lenses, promised = (
        sum(n[name] for n in numbers.values()) for name in ("lenses", "lenses_expected")
    )
    lines += ["", f"Of {lenses} lenses found in all, `p_lens` promises {promised:.0f}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
