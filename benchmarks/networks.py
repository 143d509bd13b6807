"""Time the networks on simulated stamps in memory: a line a network, stamps a second.

Last comes how many scenes a second are drawn for their training.

    python benchmarks/networks.py [--stamps 2048]

Each is called as the chain calls it, with its pre- and post-processing, once compiled; the best
of three runs counts.  ``draws`` is the probabilistic U-Net on what the U-Net has left, 32 draws.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from jax import device_get

from pipeline.config import NETWORKS, Apply, Cut, Lens, Punet, Scenes
from pipeline.config.train import Fit
from pipeline.data import Cutouts
from pipeline.models import anomaly, engine, lens, photometry, punet, unet
from pipeline.scenes.sets import DRAW, stream

PRECISIONS = "f32", "bf16"
FWHM = 3.0  # of the PSF [pixel]; no network's time depends on it
RUNS = 3
TABLE = Path(__file__).parent.parent / "build" / "bench" / "networks.txt"


def main():
    """Print the table, and keep it in build/bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stamps", type=int, default=2048)
    n = parser.parse_args().stamps
    rates = [measured(n, precision) for precision in PRECISIONS]
    lines = [f"{'stamps a second':24}" + "".join(f"{name:>8}" for name in PRECISIONS)]
    for name in rates[0]:
        lines.append(f"{name:24}" + "".join(f"{rate[name]:8.0f}" for rate in rates))
    drawn = " or ".join(f"{drawing_rate(kind):.0f} {kind}" for kind in DRAW)
    said = "\n".join([*lines, f"drawn a second for training: {drawn}", ""])
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(said)
    sys.stdout.write(said)


def measured(n, precision):
    """Stamps a second of each network, and of the U-Net and its draws together."""
    settings, cut = Apply(precision=precision), Cut()
    stamps, large = _stamps(n, cut.size), _stamps(n, cut.lens_size)
    opened = {name: engine.load(None, name, settings) for name in NETWORKS}
    maps = unet.apply(opened["unet"], stamps)
    _, drawn = punet.apply(opened["punet"], stamps, maps, Punet())
    calls = {
        f"lens, {cut.lens_size} x {cut.lens_size}": lambda: lens.apply(
            opened["lens"], large, Lens()
        ),
        "U-Net": lambda: unet.apply(opened["unet"], stamps),
        "draws": lambda: punet.apply(opened["punet"], stamps, maps, Punet()),
        "photometry": lambda: photometry.apply(
            opened["photometry"], stamps, maps, drawn["flux_draws"]
        ),
        "anomaly": lambda: anomaly.apply(opened["anomaly"], stamps, FWHM),
    }
    seconds = {name: _best(call) for name, call in calls.items()}
    both = seconds["U-Net"] + seconds["draws"]
    return {name: n / took for name, took in seconds.items()} | {"U-Net and draws": n / both}


def drawing_rate(kind, batches=12, n=512):
    """Scenes of a kind that are drawn a second, once compiled."""
    draw = stream(kind, Scenes(), Fit(batch_size=n), lambda drawn, key: device_get(drawn))
    for number in range(batches):  # as many are drawn ahead
        draw(number)
    start = time.perf_counter()
    for number in range(batches, 2 * batches):
        draw(number)
    return n * batches / (time.perf_counter() - start)


def _best(call):
    """Shortest time of some runs [s], after one that compiles."""
    call()
    took = []
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)


def _stamps(n, size):
    """Stamps of round galaxies in noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] - size // 2
    light = 50 * np.exp(-np.hypot(x, y) / 4.0)
    flux = (light + rng.normal(size=(n, size, size))).astype("f4")[..., None]
    corner = np.zeros((n, 2), int)
    return Cutouts(flux, np.ones_like(flux), np.arange(n), corner, ("r",))


if __name__ == "__main__":
    main()
