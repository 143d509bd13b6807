"""Compact sources are shown and shared out without the light of large ones behind them."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import uniform_filter

from pipeline import config, io
from pipeline.data import Exposure
from pipeline.deblending import colours
from pipeline.deblending.deblend import deblended_flux
from pipeline.deblending.own import own_light
from pipeline.deblending.shares import Front, divide, divide_bands, reconcile
from pipeline.detection.detect import detect
from pipeline.detection.psf import Moffat
from pipeline.stamps.behind import cut_without
from pipeline.stamps.cutouts import cut

SIDE = 256
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE // 2
DISC = 30 * np.exp(-np.hypot(1.4 * Y, X) / 60)
PLACES = [(70, 120), (190, 150), (120, 210), (150, 60), (60, 50)]


def exposure_of(light, rng, gain=(0.0,)):
    flux = (light + rng.normal(size=light.shape)).astype("f4")[..., None]
    return Exposure(flux, np.ones_like(flux), None, ("r",), gain=gain)


def stars(flux):
    image, profile = np.zeros((SIDE, SIDE)), Moffat(3.0).stamps([0.0], [0.0], 41)[0]
    for x, y in PLACES:
        image[y - 20 : y + 21, x - 20 : x + 21] += flux * profile / profile.sum()
    return image


def sources(*before):
    x, y = np.array(PLACES[: len(before)], float).T
    return Table({"id": np.arange(len(x)) + 40, "x": x, "y": y, "before": np.array(before, bool)})


@pytest.mark.parametrize("binning", [1, 2])
def test_those_before_the_light_are_cut_without_it_and_the_others_with_it(rng, binning):
    exposure, light = exposure_of(DISC, rng), DISC.astype("f4")[..., None]
    found, blocks = sources(0, 1, 0, 1), np.full(4, binning)
    stamps = cut_without(exposure, light, found, 32, blocks)
    with_it = cut(exposure, found, 32, blocks)
    bare = cut(replace(exposure, flux=exposure.flux - light), found, 32, blocks)
    assert_array_equal(stamps.flux[[0, 2]], with_it.flux[[0, 2]])
    assert_allclose(stamps.flux[[1, 3]], bare.flux[[1, 3]], atol=1e-4)
    assert_array_equal(stamps.ivar, with_it.ivar)


def test_photons_of_the_light_stay_as_noise_where_they_can_be_counted(rng):
    exposure = exposure_of(DISC, rng, gain=(4.0,))
    for level, electrons in ((12, 12), (-3, 0)):
        light = np.full((SIDE, SIDE, 1), level, "f4")
        stamps = cut_without(exposure, light, sources(1, 0), 32, np.ones(2, int))
        assert_allclose(1 / stamps.ivar[0], 1 + electrons / 4)
    assert_allclose(stamps.ivar[1], 1)


def test_lost_pixels_stay_lost(rng):
    exposure, light = exposure_of(DISC, rng), DISC.astype("f4")[..., None]
    ivar, flux = np.ones_like(exposure.ivar), exposure.flux.copy()
    ivar[115:117], flux[115:117] = 0, 0
    lost = replace(exposure, flux=flux, ivar=ivar)
    stamps = cut_without(lost, light, sources(1), 32, np.ones(1, int))
    assert (stamps.ivar == 0).any() and (stamps.flux[stamps.ivar == 0] == 0).all()


def claims(rng):
    """A giant in blocks of 8, a star before it and its `Front`: exposure, stamps and SHARE."""
    light, star = np.full((SIDE, SIDE, 1), 20, "f4"), np.zeros((SIDE, SIDE, 1), "f4")
    star[116:125, 66:75] = 30
    exposure = Exposure(light + star, np.ones_like(light), None, ("r",))
    found = sources(1, 0)
    found["x"][1], found["y"][1] = 128, 128
    stamps = cut_without(exposure, light, found, 32, np.array([1, 8]))
    share = np.zeros((2, 32, 32), "f4")
    share[0, 12:21, 12:21], share[1] = rng.uniform(0.6, 1, (9, 9)), 0.9
    return exposure, stamps, share, Front.of(light, exposure, found)


def test_a_star_has_none_of_a_giants_light_and_the_giant_the_rest(rng):
    exposure, stamps, share, front = claims(rng)
    reconcile({"TARGET": share, "NEIGHBOUR": share, "SHARE": share}, stamps, (SIDE, SIDE), front)
    parts = dict(divide_all(share, stamps, front))
    taken = [(parts[i] * stamps.flux[i, ..., 0]).sum() for i in (0, 1)]
    assert_allclose(taken[0], 30 * 81, rtol=1e-5)
    assert 0.99 < sum(taken) / exposure.flux.sum() < 1.0001


@pytest.mark.parametrize("reference", [0, 1])
@pytest.mark.parametrize("star", [(60, 3), (6, 60), (30, 30)])
def test_light_before_a_giant_adds_up_in_every_band(star, reference):
    """Of a star that fills whole blocks of the giant's, which thus has its own light of them."""
    light = np.full((SIDE, SIDE, 2), (20, 60), "f4")
    exposure = Exposure(light.copy(), np.ones_like(light), None, ("r", "g"))
    exposure.flux[116:132, 68:84] += star
    found = sources(1, 0)
    found["x"][1], found["y"][1], found.meta["DETBAND"] = 128, 128, reference
    stamps = cut_without(exposure, light, found, 32, np.array([1, 8]))
    maps = {name: np.ones((2, 32, 32), "f4") for name in ("TARGET", "SHARE", "SHARE_0", "SHARE_1")}
    stamps, front = replace(stamps, reference=reference), Front.of(light, exposure, found)
    colours.colour(maps, stamps, (SIDE, SIDE), front)
    share, taken = [maps[name] for name in colours.names(stamps)], np.zeros_like(stamps.flux)
    for rows, divided in divide_bands(share, stamps, (SIDE, SIDE), front):
        taken[rows] = divided * stamps.flux[rows]
    assert_allclose(taken[0].sum((0, 1)) / 256, star, rtol=1e-4)
    assert_allclose(taken[1, 15:17, 9:11].sum((0, 1)) / 256, (20, 60), rtol=1e-4)


def test_a_star_has_no_light_on_lost_pixels(rng):
    exposure, stamps, share, front = claims(rng)
    exposure.ivar[118:121, 60:75] = exposure.flux[118:121, 60:75] = 0
    ((_, window, light),) = own_light([40], exposure, stamps, share, front)
    lost = window.ivar == 0
    assert lost.any() and not light[lost].any()
    assert_allclose(light.sum(), 30 * (81 - 3 * 9), rtol=1e-5)


def divide_all(share, stamps, front):
    for rows, divided in divide(share, stamps, (SIDE, SIDE), front):
        yield from zip(rows.tolist(), divided, strict=True)


def test_whose_stamps_show_all_light_compete_for_all_light(rng):
    """A source of its own in fine pixels beside the star, which is not seen without the giant."""
    _, stamps, share, front = claims(rng)
    share[:], front = 0.5, Front(front.rows, np.full((SIDE, SIDE, 1), 0.25, "f4"))
    stamps = replace(stamps, binning=np.array([1, 1]), corner=np.repeat(stamps.corner[:1], 2, 0))
    parts = dict(divide_all(share, stamps, front))
    assert_allclose(parts[1], 0.5 / (0.5 + 0.125))
    assert_allclose(parts[0], 0.5)


def test_no_light_is_counted_twice(rng):
    """Of sources in fine pixels at one place, some of which are before a giant's light."""
    _, stamps, share, front = claims(rng)
    share = rng.uniform(0.01, 1, (5, 32, 32)).astype("f4")
    front = Front(rng.permutation(np.arange(5) < 3), front.fraction)
    stamps = stamps[np.zeros(5, int)]
    parts = dict(divide_all(share, stamps, front))
    x, y = stamps.corner[0]
    seen = front.fraction[y : y + 32, x : x + 32, 0]
    taken = sum(parts[i] * np.where(front.rows[i], seen, 1) for i in range(5))
    assert taken.min() > 0.3 and taken.max() < 1 + 1e-5


@pytest.mark.parametrize("network", ["claims", "misses"])
def test_stars_before_a_giant_have_their_flux_whoever_claims_the_giants(rng, network):
    exposure = exposure_of(DISC + stars(2000.0), rng)
    found, behind = detect(exposure, config.Detect(psf_fwhm=3.0))
    rows = np.flatnonzero(found["before"])
    assert len(rows) == len(PLACES)
    giant = np.argmax(found["flux_auto"])
    binning = np.where(np.arange(len(found)) == giant, 8, 1)
    stamps = cut_without(exposure, behind, found, 64, binning)
    share = np.ones((len(found), 64, 64), "f4")
    share[giant] = 0.9 if network == "claims" else 0
    front = Front.of(behind, exposure, found)
    flux = np.asarray(deblended_flux(exposure, found, stamps, share, front)["flux"]).ravel()
    assert_allclose(flux[rows], 2000, rtol=0.1)


def test_without_such_light_nothing_is_behind(rng):
    found, behind = detect(exposure_of(stars(2000.0), rng), config.Detect(psf_fwhm=3.0))
    assert behind is None and not found["before"].any()


def test_the_light_behind_is_known_within_the_noise_of_a_compact_source(rng):
    """In apertures of 13 x 13 pixels, away from the cusp in the middle of the giant."""
    exposure = exposure_of(DISC + stars(2000.0), rng)
    _, behind = detect(exposure, config.Detect(psf_fwhm=3.0))
    error = uniform_filter(behind[..., 0] - DISC, 13)[np.hypot(Y, X) > 60]
    assert np.sqrt(np.mean(error**2)) < 1 / 13


def test_a_bright_star_far_from_the_giant_does_not_pass_for_such_light(rng):
    light = np.pad(DISC**2 / 30 + stars(2000.0), ((0, 0), (0, SIDE)))
    light[108:149, 450:491] += 3e5 * Moffat(3.0).stamps([0.0], [0.0], 41)[0]
    found, behind = detect(exposure_of(light, rng), config.Detect(psf_fwhm=3.0))
    assert found["before"].any() and np.abs(behind[:, 400:]).max() < 20


@pytest.mark.parametrize("bands", [1, 2])
def test_what_is_behind_comes_back_from_its_file(tmp_path, rng, bands):
    light = rng.random((20, 30, bands)).astype("f4")
    exposure = Exposure(light, np.ones_like(light), WCS(naxis=2), tuple("gr")[:bands])
    io.write_behind(tmp_path / "behind.fits", exposure, light)
    assert_array_equal(io.read_behind(tmp_path / "behind.fits"), light)


def test_nothing_behind_is_a_file_without_pixels(tmp_path):
    io.write_behind(tmp_path / "behind.fits", Exposure.empty(("g", "r"), "dark"), None)
    assert io.read_behind(tmp_path / "behind.fits") is None
