"""What stands before a giant is found; its own light is not taken for sources."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.spatial import cKDTree

from pipeline import config
from pipeline.data import Exposure
from pipeline.detection.psf import Moffat
from pipeline.flags import Flag
from tests.detected import detect

SIDE, FWHM = 400, 3.0
SETTINGS = config.Detect(psf_fwhm=FWHM)
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE // 2
RADIUS, AZIMUTH = np.hypot(1.4 * Y, X), np.arctan2(1.4 * Y, X)
PLACES = np.array([
    (SIDE // 2 + round(r * np.cos(t)), SIDE // 2 + round(r * np.sin(t)))
    for r, t in zip(np.linspace(60, 160, 16), 2.4 * np.arange(16), strict=True)
])  # fmt: skip


def stars(snr):
    """Point sources at `PLACES`, of one S/N in noise of 1."""
    image = np.zeros((SIDE, SIDE))
    profile = Moffat(FWHM).stamps([0.0], [0.0], 41)[0]
    for x, y in PLACES:
        image[y - 20 : y + 21, x - 20 : x + 21] += snr * profile / np.sqrt((profile**2).sum())
    return image


def disc(peak, scale):
    return peak * np.exp(-RADIUS / scale)


def spiral(peak):
    """A disc whose two arms are half as bright again."""
    phase = 2 * AZIMUTH - 6 * np.log(RADIUS + 20)
    return disc(peak, 60) * (1 + 0.5 * np.exp((np.cos(phase) - 1) / 0.2))


def found_in(light):
    noise = np.random.default_rng(0).normal(size=light.shape)
    flux = (light + noise).astype("f4")[..., None]
    return detect(Exposure(flux, np.ones_like(flux), None, ("r",)), SETTINGS)


def found_without(monkeypatch, light):
    """What is found where nobody asks what stands out of halos."""
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.detection.detect.relief_of", lambda sight: None)
        return found_in(light)


def away_from(found):
    """Distance of the nearest source from each of `PLACES` [pixel]."""
    return tree(found).query(PLACES)[0]


def nearest(found):
    """Row of the nearest source to each of `PLACES`."""
    return tree(found).query(PLACES)[1]


def tree(found):
    return cKDTree(np.column_stack([found["x"].value, found["y"].value]))


@pytest.mark.parametrize(("peak", "scale"), [(10, 80), (30, 60)])
def test_faint_stars_before_a_giant_are_found(peak, scale):
    found = found_in(disc(peak, scale) + stars(11.0))
    assert np.mean(away_from(found) < 1) > 0.9
    assert len(found) <= len(PLACES) + 1


def test_noise_on_a_faint_halo_is_not_detected_in_pieces(monkeypatch):
    faint = disc(1.1, scale=300)
    assert len(found_in(faint)) < 0.2 * len(found_without(monkeypatch, faint))


@pytest.mark.parametrize("peak", [10, 100, 1000])
def test_the_arms_of_a_spiral_are_not_taken_for_sources(peak, monkeypatch):
    assert len(found_in(spiral(peak))) <= len(found_without(monkeypatch, spiral(peak)))


def test_a_ridge_before_a_giant_is_not_taken_for_sources(monkeypatch):
    ridge = 3 * np.exp(-(((X + Y) / 4 - 20) ** 2)) * (np.abs(X - Y) < 120)
    light = disc(30, 60) + ridge
    assert len(found_in(light)) <= len(found_without(monkeypatch, light))


def test_without_halos_nothing_changes(monkeypatch):
    light = stars(30.0)
    found, before = found_in(light), found_without(monkeypatch, light)
    assert len(found) == len(PLACES)
    for name in found.colnames:
        assert_array_equal(np.asarray(found[name]), np.asarray(before[name]))


def test_a_star_before_a_giant_is_like_a_point():
    found = found_in(disc(5, 150) + stars(80.0))
    points = found[found["flags"] & Flag.POINT_LIKE > 0]
    assert np.mean(away_from(points) < 1) > 0.9


def test_a_star_before_a_giant_is_still_split_from_it():
    found = found_in(disc(30, 60) + stars(80.0))
    assert found["before"].sum() > 10
    assert (found["flags"][found["before"]] & Flag.BLENDED).all()


@pytest.mark.parametrize(("peak", "scale"), [(30, 60), (100, 60), (100, 300)])
def test_the_light_of_a_giant_is_not_taken_for_noise(peak, scale):
    alone, before = found_in(stars(30.0)), found_in(disc(peak, scale) + stars(30.0))
    assert before.meta["NOISECOR"] < alone.meta["NOISECOR"] + 0.06


@pytest.mark.parametrize("peak", [10, 30, 100])
def test_stars_before_a_giant_are_measured_without_its_light(peak):
    alone, before = found_in(stars(80.0)), found_in(disc(peak, 60) + stars(80.0))
    for name, most in (("flux_auto", 0.1), ("snr", 0.05), ("r50", 0.1)):
        one, other = (np.asarray(found[name]).ravel()[nearest(found)] for found in (alone, before))
        assert abs(np.median(other / one) - 1) < most


@pytest.mark.parametrize("peak", [3, 30])
def test_the_light_of_a_giant_stays_its_own(peak):
    alone, before = found_in(disc(peak, 60)), found_in(disc(peak, 60) + stars(80.0))
    one, other = (found["flux_auto"].max() for found in (alone, before))
    assert abs(other / one - 1) < 0.1


def test_galaxies_wider_than_the_psf_do_not_take_the_light_before_which_they_are():
    galaxies, profile = np.zeros((SIDE, SIDE)), Moffat(3 * FWHM).stamps([0.0], [0.0], 61)[0]
    for x, y in PLACES[::3]:
        galaxies[y - 30 : y + 31, x - 30 : x + 31] += 6000 * profile
    found = found_in(disc(8, 90) + galaxies)
    rows = tree(found).query(PLACES[::3])[1]
    light = found["flux_auto"].value[rows, 0] / 6000
    assert found["before"][rows].all()
    assert ((light > 0.88) & (light < 1.02)).all()


@pytest.mark.parametrize(("scale", "is_giant"), [(30, False), (60, True)])
def test_a_galaxy_beside_one_that_is_not_much_larger_is_left_to_the_networks(scale, is_giant):
    galaxy, x, y = np.zeros((SIDE, SIDE)), SIDE // 2 + 30, SIDE // 2
    galaxy[y - 30 : y + 31, x - 30 : x + 31] = Moffat(2 * FWHM).stamps([0.0], [0.0], 61)[0]
    found = found_in(disc(30, scale) + 6000 * galaxy)
    apart, row = tree(found).query((x, y))
    assert apart < 1
    assert found["before"][row] == is_giant
