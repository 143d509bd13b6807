"""Sources that lost pixels stay one source, and say so."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data import Exposure
from pipeline.deblending import deblend
from pipeline.flags import Flag
from pipeline.pixels.apertures import folded, weighted_flux
from pipeline.pixels.holes import bridge
from pipeline.stamps.cutouts import cut
from tests.detected import detect
from tests.test_detect import FWHM, SETTINGS, exposure_of, paint

SIDE, LEVEL = 160, 2000.0


def saturated_star(rng, flux=1e6, place=(80.3, 79.6)):
    """A star, its noise of 1, and a mask of two pixels about the saturated ones and their trail."""
    image = paint((SIDE, SIDE), [place], [flux]) + rng.normal(size=(SIDE, SIDE))
    full = image > LEVEL
    full[30:130, 79:82] = True  # the trail
    y, x = np.nonzero(full)
    lost = np.zeros_like(full)
    for step in np.ndindex(5, 5):
        lost[y + step[0] - 2, x + step[1] - 2] = True
    flux = np.where(lost, 0, image)
    flux[full] = LEVEL
    return exposure_of(flux, ivar=np.where(lost, 0.0, 1.0), saturation=(LEVEL,))


def test_a_saturated_star_is_one_source_that_says_so(rng):
    found = detect(saturated_star(rng), SETTINGS)
    near = np.hypot(found["x"].value - 80.3, found["y"].value - 79.6) < 40
    assert near.sum() == 1
    star = found[near][0]
    assert np.hypot(star["x"].value - 80.3, star["y"].value - 79.6) < 3
    assert star["flags"] & Flag.SATURATED
    assert star["flags"] & Flag.MASKED


def test_a_trail_that_ends_in_a_masked_border_does_not_bridge_the_border(rng):
    exposure = saturated_star(rng)
    flux, ivar = (image[..., 0].copy() for image in (exposure.flux, exposure.ivar))
    border = np.ones(flux.shape, bool)
    border[30:-30, 30:-30] = False
    flux[border & (flux < LEVEL)], ivar[border] = 0, 0
    _, bridged = bridge(flux, ivar, LEVEL)
    far = np.abs(np.arange(SIDE) - 80) > 40
    assert (bridged[35:45, 79:82] > 0).all()
    assert_array_equal(bridged[:, far] > 0, ivar[:, far] > 0)


def test_saturated_stars_where_nobody_looked_are_no_holes(rng):
    """Beyond a star at the edge of what was seen, which its trail connects them with."""
    exposure = saturated_star(rng)
    flux, ivar = (image[..., 0].copy() for image in (exposure.flux, exposure.ivar))
    ivar[:, 100:], ivar[79:82, 80:] = 0, 0
    flux[78:84, 140:146] = 2 * LEVEL
    _, bridged = bridge(flux, ivar, LEVEL)
    assert (bridged[78:83, 79:82] > 0).all() and not bridged[:, 130:].any()


def test_a_masked_border_by_a_bright_star_is_no_hole(rng):
    image = paint((SIDE, SIDE), [(18, 80)], [50_000]) + rng.normal(size=(SIDE, SIDE))
    exposure = exposure_of(image, saturation=(LEVEL,))
    flux, ivar = (plane[..., 0].copy() for plane in (exposure.flux, exposure.ivar))
    border = np.ones(flux.shape, bool)
    border[16:-16, 16:-16] = False
    flux[border] = ivar[border] = 0
    assert bridge(flux, ivar, LEVEL)[0] is flux


@pytest.mark.parametrize("lost", [(0, 0), (1, 0), (0, -1)])
def test_a_star_with_a_lost_pixel_in_its_core_is_one_source(rng, lost):
    places = [(25.0 + 37 * i + 0.21 * i, 30.0 + 0.13 * i) for i in range(4)]
    image = paint((60, 170), places, [2000] * 4) + rng.normal(size=(60, 170))
    ivar = np.ones_like(image)
    for x, y in places:
        ivar[round(y) + lost[1], round(x) + lost[0]] = 0
    found = detect(exposure_of(np.where(ivar > 0, image, 0), ivar=ivar), SETTINGS)
    assert len(found) == len(places)
    assert (found["flags"] & Flag.MASKED).all() or lost != (0, 0)
    assert not (found["flags"] & Flag.SATURATED).any()


def test_only_holes_in_bright_light_are_bridged(rng):
    image = paint((80, 160), [(40, 40)], [5000]) + rng.normal(size=(80, 160))
    ivar = np.ones_like(image)
    ivar[40, 40], ivar[20, 120], ivar[:, 140:] = 0, 0, 0
    image = np.where(ivar > 0, image, 0).astype("f4")
    flux, weight = bridge(image, ivar.astype("f4"), np.inf)
    assert flux[40, 40] > 0.5 * image[39:42, 39:42].max()
    assert weight[40, 40] == 1
    weight[40, 40] = 0
    flux[40, 40] = 0
    assert_array_equal(weight, ivar)
    assert_array_equal(flux, image)
    assert image[40, 40] == 0  # what came is left as it was


def test_a_masked_cosmic_ray_is_no_star(rng):
    image = rng.normal(size=(80, 80))
    image[40, 38:43], ivar = LEVEL, np.ones((80, 80))
    ivar[40, 38:43] = 0
    assert len(detect(exposure_of(image, ivar=ivar, saturation=(LEVEL,)), SETTINGS)) == 0


def test_nothing_is_copied_where_there_are_no_holes(rng):
    image = rng.normal(size=(50, 50)).astype("f4")
    flux, _ = bridge(image, np.ones_like(image), np.inf)
    assert flux is image


def test_nothing_but_lost_pixels_bridges_nothing():
    nothing = np.zeros((20, 20), "f4")
    flux, ivar = bridge(nothing, nothing, np.inf)
    assert not flux.any()
    assert not ivar.any()


@pytest.mark.parametrize("size", [8, 9])
def test_pixels_opposite_the_middle_stand_in_for_lost_ones(rng, size):
    weights, lost = rng.random((1, size, size)), np.zeros((1, size, size, 1), bool)
    middle = size // 2
    lost[0, 2, 3], lost[0, middle, middle] = True, True
    found = folded(weights, lost)[0, ..., 0]
    there = 2 * middle - 2, 2 * middle - 3
    assert found[2, 3] == found[middle, middle] == 0
    assert_allclose(found[there], weights[0][there] + weights[0, 2, 3])
    assert (found == weights[0]).sum() == size**2 - 3


def test_the_error_of_a_flux_whose_half_is_lost_is_its_scatter(rng):
    noise = rng.normal(size=(4000, 9, 9, 1)).astype("f4")
    ivar = np.ones_like(noise)
    ivar[:, :, :4] = 0
    weights = folded(np.ones((4000, 9, 9)), ivar == 0)
    flux, error = weighted_flux(noise, ivar, weights, (0.0,))
    assert_allclose(error, np.sqrt(9 + 36 * 4))
    assert_allclose(flux.std(), error[0, 0], rtol=0.05)


def half_covered(rng):
    """A star of 2,000 whose left half the second band has not seen, and one that it has not."""
    image = paint((60, 120), [(30, 30), (90, 30)], [2000, 2000]) + rng.normal(size=(60, 120))
    ivar = np.ones((60, 120, 2))
    ivar[:, :29, 1] = ivar[:, 60:, 1] = 0
    flux = np.repeat(image[..., None], 2, axis=-1)
    return Exposure(np.where(ivar > 0, flux, 0).astype("f4"), ivar.astype("f4"), None, ("g", "r"))


def test_lost_light_is_taken_from_opposite_and_none_is_not_zero(rng):
    exposure = half_covered(rng)
    found = detect(exposure, SETTINGS)
    found = found[np.argsort(found["x"])]
    stamps = cut(exposure, found, 48)
    own = np.hypot(*(np.indices((48, 48)) - 24)) < 20
    whole = np.repeat(own[None].astype("f4"), len(found), axis=0)
    table = deblend.deblended_flux(exposure, found, stamps, whole)
    for flux in (found["flux_auto"].value, table["flux"].value):
        assert_allclose(flux[0], flux[0, 0], rtol=0.05)
        assert flux[0, 0] > 1800
        assert np.isfinite(flux[1, 0])
        assert np.isnan(flux[1, 1])
    assert np.isnan(table["flux_err"].value[1, 1])
    assert (found["flags"] & Flag.MASKED).all()


def test_half_light_radii_do_not_jump_with_the_place_in_the_pixel(rng):
    places = (
        rng.uniform(25, 35, (40, 2))
        + np.stack(np.mgrid[0:400:60, 0:400:60], -1).reshape(-1, 2)[:40]
    )
    image = paint((420, 420), places, [1e5] * len(places)) + rng.normal(size=(420, 420))
    found = detect(exposure_of(image), SETTINGS)
    assert len(found) == len(places)
    assert np.std(found["r50"].value) < 0.01 * FWHM
