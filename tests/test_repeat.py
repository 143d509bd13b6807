"""Exposures of one sky: what is measured twice differs by as much as its errors say."""

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from pipeline import config
from pipeline.deblending.deblend import deblended_flux
from pipeline.deblending.shares import reconcile
from pipeline.models import unet
from pipeline.models.engine import load
from pipeline.stamps.cutouts import cut, deblend_binning
from tests.detected import detect
from tests.test_hidden import SETTINGS, sky_of

CELL, CELLS, EXPOSURES = 70, 9, 4


@pytest.fixture(scope="module")
def pulls():
    """Difference over error, of single sources and of pairs, in one exposure and the next."""
    rng = np.random.default_rng(3)
    network, found = load(None, "unet", config.Apply(precision="f32")), []
    galaxies = []
    for y, x in np.ndindex(CELLS, CELLS):
        place = CELL * (np.array([x, y]) + 0.5) + rng.uniform(-3, 3, 2)
        galaxies.append((rng.uniform(2, 4), *place, 10 ** rng.uniform(2.6, 3.8)))
        if (x + y) % 3:
            angle, apart = rng.uniform(0, 6.28), rng.uniform(6, 11)
            place = place + apart * np.array([np.cos(angle), np.sin(angle)])
            galaxies.append((rng.uniform(1, 3), *place, 10 ** rng.uniform(2.6, 3.8)))
    exposures = [sky_of(galaxies, (CELL * CELLS, CELL * CELLS), rng) for _ in range(EXPOSURES)]
    sources = detect(exposures[0], SETTINGS)
    for exposure in exposures:
        stamps = cut(exposure, sources, 64, deblend_binning(sources, 64))
        maps = unet.apply(network, stamps)
        reconcile(maps, stamps, exposure.flux.shape)
        found.append(deblended_flux(exposure, sources, stamps, maps["SHARE"]))
    flux, error = (np.array([one[n].value[:, 0] for one in found]) for n in ("flux", "flux_err"))
    cell = (np.column_stack([sources["x"].value, sources["y"].value]) // CELL).sum(axis=1)
    pull = (flux[::2] - flux[1::2]) / np.hypot(error[::2], error[1::2])
    return pull.ravel(), np.tile(cell % 3 > 0, len(pull))


@pytest.mark.parametrize("in_pairs", [False, True])
def test_a_source_seen_twice_differs_by_its_errors(pulls, in_pairs):
    pull = pulls[0][pulls[1] == in_pairs]
    assert len(pull) > 20
    assert 0.7 < median_abs_deviation(pull, scale="normal") < 1.4
    assert np.mean(np.abs(pull) > 3) < 0.1
