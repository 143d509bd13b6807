"""Weights of single pixels far above those around are lost, those of deep areas are not."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from pipeline.config import Ingest, Tile
from pipeline.ingest import ingest
from pipeline.ingest.outliers import outlying

SIDE = 300


@pytest.fixture
def depth(rng):
    """Weights of a deep stripe, a deeper field turned by 45 degrees, a skirt, and lost pixels."""
    y, x = np.indices((SIDE, SIDE))
    ivar = rng.uniform(0.8, 1.2, (SIDE, SIDE))
    ivar[:, 100:150] *= 500
    ivar[np.abs(x - 220) + np.abs(y - 220) < 40] *= 2000
    ivar[:30] /= 300
    ivar[rng.uniform(size=ivar.shape) < 0.05] = 0
    ivar[:, :20] = 0
    return ivar.astype("f4")


def test_steps_in_depth_are_no_outliers(depth):
    assert not outlying(depth).any()


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_single_pixels_groups_and_columns_are_found_at_any_depth(depth, rng, unit):
    lone = rng.uniform(size=depth.shape) < 1e-3
    lone[:, 60], lone[200:203, 122:125] = True, True
    lone[170:, 170:] = False  # beside the deepest field they may be no better than it
    lone &= depth > 0
    found = outlying(np.where(lone, depth * 1e5, depth) * np.float32(unit))
    assert lone[:30].any() and lone[:, 100:150].any()
    assert_array_equal(found, lone)


@pytest.mark.parametrize(("factor", "is_far"), [(50, False), (200, True)])
def test_a_little_more_weight_is_not_far_more(factor, is_far):
    ivar = np.ones((SIDE, SIDE), "f4")
    places = np.zeros(ivar.shape, bool)
    places[[0, 5, 150, 299], [7, 0, 150, 299]] = True
    ivar[places] = factor
    assert_array_equal(outlying(ivar), places & is_far)


@pytest.mark.parametrize("kind", ["rms", "variance", "ivar", "exposure"])
def test_they_are_lost_with_a_note(tmp_path, rng, kind):
    noise = np.ones((SIDE, SIDE))
    lone = rng.uniform(size=noise.shape) < 1e-3
    noise[lone] = 0.01
    weight = noise ** {"rms": 1, "variance": 2}.get(kind, -2)
    fits.writeto(tmp_path / "a.fits", rng.normal(size=noise.shape))
    fits.writeto(tmp_path / "w.fits", weight)
    files = {"image": {"r": str(tmp_path / "a.fits")}, "weight": {"r": str(tmp_path / "w.fits")}}
    found = ingest(Tile(**files), Ingest(weight_is=kind))
    assert_array_equal(found.ivar[..., 0] == 0, lone)
    said = f"{lone.mean():.2%} of the pixels have far more weight than those around"
    assert sum(said in note for note in found.notes) == 1
