"""Narrow gaps: what is interpolated, and that sources stay whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data import Exposure
from pipeline.flags import Flag
from pipeline.pixels.gaps import NARROW, spanned
from tests.detected import detect
from tests.test_detect import SETTINGS, exposure_of, paint


def gapped(image, gap, saturation=np.inf):
    """An exposure without the pixels of `gap`."""
    image, ivar = image.copy(), np.ones_like(image)
    image[gap], ivar[gap] = 0, 0
    return exposure_of(image, ivar=ivar, saturation=(saturation,))


@pytest.mark.parametrize("way", ["column", "row", "diagonal"])
@pytest.mark.parametrize("width", [1, NARROW])
def test_a_narrow_gap_in_a_cubic_is_filled_exactly(way, width):
    y, x = np.mgrid[-1:1:30j, -1:1:30j]
    image = 5 + x - 2 * y + 3 * x * y + 4 * x**3 - y**3
    across = {"column": x * 14.5, "row": y * 14.5, "diagonal": (x + y) * 14.5}[way]
    gap = np.abs(across - 0.5 * (width % 2 - (way == "diagonal"))) < width / 2
    inside = np.s_[6:-6, 6:-6, 0]  # at the edges there are too few pixels for a cubic
    found = spanned(gapped(image, gap))
    assert gap[6:-6, 6:-6].any()
    assert (found.ivar[inside] == 1).all()
    assert_allclose(found.flux[inside], image[6:-6, 6:-6], rtol=1e-5)
    assert_array_equal(found.gaps[inside], gap[6:-6, 6:-6])
    assert_array_equal(found.seen[inside], ~gap[6:-6, 6:-6])


def test_a_gap_without_room_for_a_cubic_is_filled_as_a_plane_exactly():
    y, x = np.mgrid[:20, :30]
    gap = np.zeros(x.shape, bool)
    gap[:, 1:3] = gap[:, 26:28] = True
    found = spanned(gapped(3.0 * x - 2 * y, gap))
    assert (found.ivar == 1).all()
    assert_allclose(found.flux[..., 0], 3.0 * x - 2 * y, rtol=1e-5, atol=1e-4)


def test_wide_gaps_edges_and_saturated_pixels_are_not_spanned(rng):
    image, gap = rng.normal(size=(40, 60)), np.zeros((40, 60), bool)
    gap[:, 20 : 21 + NARROW], gap[:, 59], gap[30, 40] = True, True, True
    exposure = gapped(image, gap, saturation=50.0)
    exposure.flux[30, 40] = 50
    before = exposure.flux.copy()
    found = spanned(exposure)
    assert_array_equal(found.ivar, exposure.ivar)
    assert_array_equal(found.flux, before)
    assert not found.gaps.any()


def test_each_band_has_its_own_gaps(rng):
    ivar = np.ones((20, 20, 2))
    ivar[5, :, 0], ivar[:, 9, 1] = 0, 0
    flux = np.where(ivar > 0, 3, 0).astype("f4")
    exposure = Exposure(flux, ivar.astype("f4"), None, ("g", "r"))
    found = spanned(exposure)
    assert_allclose(found.flux, 3)
    assert_array_equal(found.gaps, ivar == 0)
    assert (exposure.flux == flux).all()


@pytest.mark.parametrize("column", [-2, -1, 0, 1, 2])
def test_a_bad_column_leaves_a_source_whole(rng, column):
    places = [(25.3, 40.2), (75.1, 39.7), (124.8, 40.4)]
    image = paint((80, 150), places, [2000] * 3) + rng.normal(size=(80, 150))
    gap = np.zeros(image.shape, bool)
    for x, _ in places:
        gap[:, round(x) + column] = True
    found = detect(gapped(image, gap), SETTINGS)
    found = found[np.argsort(found["x"])]
    assert len(found) == len(places)
    assert_allclose(found["x"].value, [x for x, _ in places], atol=0.2)
    whole = detect(exposure_of(image), SETTINGS)
    whole = whole[np.argsort(whole["x"])]
    assert_allclose(found["flux_auto"].value, whole["flux_auto"].value, rtol=0.1)
    assert (found["flags"] & Flag.MASKED).all()
