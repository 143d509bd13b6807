"""Light of blended sources of several colours goes to each in every band."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data import Exposure
from pipeline.deblending import colours
from pipeline.deblending.deblend import deblended_flux
from pipeline.deblending.shares import divide
from pipeline.stamps.cutouts import boxes, cut
from pipeline.stamps.masks import on_tile
from tests.test_deblend import sources_at

SIDE = 90
PLACES = (40.0, 45.0), (49.0, 45.0), (45.0, 52.0)
FLUX = np.array([[900.0, 900.0], [600.0, 150.0], [400.0, 1600.0]])  # of each source and band


def profiles(places, sigma=3.0):
    """Light of sources of unit flux; (source, y, x)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    at = np.array(places)[..., None, None]
    square = (x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2
    return np.exp(-square / 2 / sigma**2) / (2 * np.pi * sigma**2)


def blend(flux=FLUX, *, noise=None, reference=0):
    """Exposure of two bands, its sources, their stamps, and maps right in the `reference` band."""
    each = profiles(PLACES)
    image = np.einsum("nyx,nb->yxb", each, flux)
    image += 0 if noise is None else noise.normal(size=image.shape)
    exposure = Exposure(
        *np.array([image, np.ones_like(image)], "f4"), None, ("r", "g"), gain=(0, 0)
    )
    found = sources_at(*PLACES, a=6.0)
    found["noise_ratio"] = np.ones((len(found), 2))
    stamps = replace(cut(exposure, found, 48), reference=reference)
    model = each * flux[:, reference, None, None]
    share, light = model / np.maximum(model.sum(0), 1e-9), each.sum(0) > 1e-4
    own = [boxes(p, c[None], 48) for p, c in zip(np.float32(share), stamps.corner, strict=True)]
    maps = {"SHARE": np.concatenate(own), "TARGET": boxes(np.float32(light), stamps.corner, 48)}
    return exposure, found, stamps, maps


def coloured(maps, stamps):
    """Shares of each band."""
    every = {name: maps["SHARE"].copy() for name in colours.names(stamps)}
    colours.colour(maps | every, stamps, (SIDE, SIDE))
    return [every[name] for name in colours.names(stamps)]


@pytest.mark.parametrize("reference", [0, 1])
def test_each_source_has_its_own_colour(reference):
    exposure, found, stamps, maps = blend(reference=reference)
    share, other = coloured(maps, stamps), 1 - reference
    flux = deblended_flux(exposure, found, stamps, share)["flux"].value
    grey = deblended_flux(exposure, found, stamps, maps["SHARE"])["flux"].value
    held = grey[:, reference] / FLUX[:, reference]  # of the light, by the apertures
    assert_array_equal(flux[:, reference], grey[:, reference])
    assert np.abs(grey[:, other] / held / FLUX[:, other] - 1).max() > 0.3
    assert_allclose(flux[:, other] / held, FLUX[:, other], rtol=0.05)


def test_shares_of_a_band_add_up_as_those_of_the_detection():
    _, _, stamps, maps = blend()
    first, second = coloured(maps, stamps)
    sums = []
    for share in (first, second):
        total = np.zeros((SIDE, SIDE))
        for window, part in on_tile(share, stamps, (SIDE, SIDE)):
            total[window] += part
        sums.append(total)
    assert np.abs(first - second).max() > 0.2
    assert_allclose(*sums, atol=1e-4)


def test_shares_of_one_light_are_the_same_in_any_unit():
    _, _, stamps, maps = blend(FLUX[:, [0, 0]] * [1, 1e3])
    assert_allclose(*coloured(maps, stamps), atol=2e-3)


@pytest.mark.parametrize("factor", [1e17, 1e3, 1e-3, 1e-16])
def test_a_bands_unit_is_nothing(factor):
    _, _, stamps, maps = blend()
    unit = np.array([1, factor], "f4")
    other = replace(stamps, flux=stamps.flux * unit, ivar=stamps.ivar / unit**2)
    assert_allclose(coloured(maps, other)[1], coloured(maps, stamps)[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_source_that_a_band_has_lost_has_the_colour_of_others_in_any_unit(factor):
    _, _, stamps, maps = blend()
    seen = np.where(maps["TARGET"][:1] > 0, 0, stamps.ivar[:1, ..., 1])
    ivar = stamps.ivar.copy()
    ivar[:1, ..., 1] = seen
    unit = np.array([1, factor], "f4")
    lost = replace(stamps, ivar=ivar)
    other = replace(lost, flux=stamps.flux * unit, ivar=ivar / unit**2)
    assert_allclose(coloured(maps, other)[1], coloured(maps, lost)[1], rtol=1e-3, atol=1e-5)


def test_a_band_without_pixels_tells_nothing():
    _, _, stamps, maps = blend()
    seen = np.array([1, 0], "f4")
    share = coloured(maps, replace(stamps, flux=stamps.flux * seen, ivar=stamps.ivar * seen))
    assert_allclose(*share, atol=1e-5)


def test_of_noise_nobody_is_given_much(rng):
    exposure, found, stamps, maps = blend(FLUX * [1, 1e-3], noise=rng)
    share = coloured(maps, stamps)
    table = deblended_flux(exposure, found, stamps, share)
    assert (np.abs(table["flux"].value[:, 1]) < 4 * table["flux_err"].value[:, 1]).all()
    assert (share[1] >= 0).all() and (share[1] <= 1).all()


def test_one_band_has_the_shares_of_the_detection():
    _, _, stamps, maps = blend()
    one = replace(stamps, bands=("r",), flux=stamps.flux[..., :1], ivar=stamps.ivar[..., :1])
    (share,) = coloured(maps, one)
    assert_array_equal(share, maps["SHARE"])


def test_one_colour_of_all_divides_light_as_none():
    _, _, stamps, maps = blend()
    plain, alike = (
        np.concatenate([part for _, part in divide(maps["SHARE"], stamps, (SIDE, SIDE), None, by)])
        for by in (None, np.full(3, 7, "f4"))
    )
    assert_allclose(plain, alike, atol=1e-4)
