import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.config import Ingest, Tile
from pipeline.ingest import ingest
from pipeline.ingest.steps import spread


def coarse(rng, step, level, side=512):
    """Noise of 1 about a level that is given in steps, rounded to the next step."""
    return step * np.rint(level + rng.normal(size=(side, side)) / step)


@pytest.mark.parametrize(("step", "level"), [(0.1, 7.5), (0.25, 7.2), (0.5, 7.2), (1.0, 7.5)])
def test_the_sky_of_integers_is_right_wherever_it_lies_between_them(step, level, save, rng):
    image = save("a.fits", coarse(rng, step, level).astype("f4"))
    exposure = ingest(Tile(image={"r": image}), Ingest(zero_point=31.4))
    assert abs(exposure.flux.mean()) < 0.03
    assert_allclose(np.median(exposure.ivar) ** -0.5, np.hypot(1, step / np.sqrt(6)), rtol=0.02)
    assert any("come in steps of" in note for note in exposure.notes)


@pytest.mark.parametrize("counts", [0.5, 5.0])
def test_the_sky_of_a_few_counts_is_their_mean_though_they_are_skewed(counts, save, rng):
    image = save("a.fits", rng.poisson(counts, (512, 512)).astype("i2"))
    exposure = ingest(Tile(image={"r": image}), Ingest(zero_point=31.4))
    assert abs(exposure.flux.mean()) < 0.05 * np.sqrt(counts)


def test_what_is_spread_stays_within_its_step_and_keeps_the_flux_of_a_few_pixels(rng):
    flux = coarse(rng, 0.5, 3.0).astype("f4")
    before, bad = flux.copy(), np.zeros(flux.shape, bool)
    assert_allclose(spread(flux, bad), 0.5, rtol=0.1)
    added = flux - before
    assert np.abs(added).max() < 0.2501
    of_blocks = added.reshape(64, 8, 64, 8).sum(axis=(1, 3))
    assert of_blocks.std() < 0.3 * 8 * added.std()


@pytest.mark.parametrize("side", [8, 300])
def test_values_of_their_own_are_left_alone(side, rng):
    flux = rng.normal(size=(side, side)).astype("f4")
    before, bad = flux.copy(), np.zeros(flux.shape, bool)
    assert spread(flux, bad) == 0
    assert (flux == before).all()
    assert spread(np.full_like(flux, 3), bad) == 0
