"""Measure the chain on images that no training saw, and write numbers and figures.

    ARCLET_REAL_DATA=FOLDER python -m benchmarks.external [pairs hsc lenses challenge]

Numbers go to build/external/*.json, each with its standard error; `benchmarks.readme` puts them
into the README.  None of these images may be trained on, or chosen by.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

import numpy as np

from pipeline import io
from pipeline.planning import digest

ROOT = Path(__file__).parent.parent.parent
LOOKS = {"0.06": (0.06, 0.18), "0.10": (0.10, 0.18), "0.20": (0.20, 0.70)}
IN_GALLERY = 8
DEBLENDING, FINDING = ("unet", "punet", "photometry"), ("lens",)
log = logging.getLogger("external")


def main():
    """Run the tests that are named; all if none is."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pipeline").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", help=f"of {', '.join(TESTS)}; all if left out")
    parser.add_argument("--n", type=int, default=600, help="pairs of each pixel scale")
    parser.add_argument("--challenge", type=int, default=20_000, help="simulated stamps")
    parser.add_argument("--networks", help="folder of networks; the shipped ones if left out")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "external")
    args = parser.parse_args()
    real = Path(os.environ.get("ARCLET_REAL_DATA", ""))
    if not (real / "hsc_injected").is_dir():
        sys.exit("ARCLET_REAL_DATA names no folder of real images")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.tests or TESTS:
        log.info("== %s", name)
        TESTS[name](args, real)


def pairs(args, real):
    """Pairs of galaxies, at three pixel scales."""
    for name, look in LOOKS.items():
        _pairs(args, real / "fields" / "cosmos_real_stamps", name, look)


def _pairs(args, folder, name, look):
    from benchmarks.external import blends, figures, scores
    from benchmarks.external.pairs import Look, draw_pairs

    sky = draw_pairs(args.n, Look(*look), folder)
    said = {
        kind: blends.chain_on(sky, args.networks, args.out / "products", given=kind == "given")
        for kind in ("given", "own")
    }
    peers = blends.peers_of(sky)
    methods = {
        f"{kind}_{mask}": found for kind, s in said.items() for mask, found in s.matched.items()
    }
    numbers = {kind: scores.summary(found) for kind, found in (methods | peers).items()}
    pixels = blends.pixels_of(sky, said["given"].maps)
    seconds = {kind: s.seconds for kind, s in said.items()}
    numbers |= {"pixels": blends.calibration(pixels, sky.galaxy), "seconds": seconds}
    _write(args, f"pairs_{name}", numbers, DEBLENDING)
    shown = {kind: s.matched["unet"] for kind, s in said.items()} | peers
    rows = np.random.default_rng(1).permutation(len(sky.image))[:IN_GALLERY]
    _save(args, f"pairs_{name}", figures.by_condition(sky, shown))
    _save(args, f"reliability_{name}", figures.reliability(pixels))
    ratio = shown["given"].ratio
    worst = np.argsort(-np.abs(np.log(np.maximum(ratio, 1e-6))).max(1))[:IN_GALLERY]
    for kind, which in (("gallery", rows), ("worst", worst)):
        maps = {k: plane[which] for k, plane in said["given"].maps.items()}
        _save(args, f"{kind}_{name}", figures.gallery(sky, maps, ratio, which))


def hsc(args, real):
    """Sources of known flux in real HSC blends."""
    from benchmarks.external import figures, hsc

    blends = hsc.read_blends(real / "hsc_injected")
    measured = hsc.measure(blends, args.networks, args.out / "products")
    _write(args, "hsc", hsc.summary(measured, blends.mag), DEBLENDING)
    _save(args, "hsc", figures.injected(measured, blends.mag))


def lenses(args, real):
    """Real lenses, their controls, and real galaxies that are no lenses."""
    from benchmarks.external import chain, lenses

    options = chain.settings(args.networks, lens=lenses.BALANCED)
    fields = {
        name: lenses.field(
            ROOT / "config" / "real" / f"{name}.yaml", real, args.out / "products", args.networks
        )
        for name in lenses.FIELDS
    }
    scores = lenses.slacs(real / "lenses", args.networks)
    galaxies = lenses.cosmos(real / "nonlenses", args.networks)
    threshold = chain.lens_threshold(options)
    _write(args, "lenses", lenses.summary(scores, galaxies, fields, threshold), FINDING)
    io.write_csv(args.out / "slacs.csv", scores)


def challenge(args, real):
    """A simulated set like that of the lens finding challenge, and as Hubble would see it."""
    from benchmarks.external import challenge, figures
    from pipeline.simulate.challenge import HUBBLE

    score, truth = challenge.draw_scored(args.challenge, args.networks)
    _write(args, "challenge", challenge.summary(score, truth), FINDING)
    edges = {"theta_e": challenge.THETA_E, "arc_snr": challenge.ARC_SNR}
    _save(args, "challenge", figures.completeness(score, truth, edges))
    for name, binning in (("hubble", None), ("hubble_unbinned", 1)):
        drawn = challenge.draw_scored(args.challenge // 4, args.networks, HUBBLE, binning)
        _write(args, f"challenge_{name}", challenge.summary(*drawn), FINDING)


TESTS = {"pairs": pairs, "hsc": hsc, "lenses": lenses, "challenge": challenge}


def _write(args, name, numbers, used):
    """Write numbers, and the digests of the networks that they are of."""
    networks = {network: digest.weights(network, args.networks) for network in used}
    io.write_json(args.out / f"{name}.json", numbers | {"networks": networks})
    log.info("   %s", args.out / f"{name}.json")


def _save(args, name, figure):
    figure.savefig(args.out / f"{name}.png", dpi=110)
    log.info("   %s", args.out / f"{name}.png")


if __name__ == "__main__":
    main()
