"""What is sharper than the PSF, and that no light of the sky is."""

from typing import NamedTuple

import galsim
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config
from pipeline.detection.psf import Moffat
from pipeline.detection.sharp import SHARP, excess
from pipeline.flags import Flag
from tests.detected import detect
from tests.test_detect import distances, exposure_of, paint

SIZE = 15
WIDTHS = [0.8, 1.0, 1.2, 1.8, 3.0, 5.0]


class Row(NamedTuple):
    """Stamps side by side, with the pixel that is the brightest of each."""

    flux: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, stamps):
        x = SIZE // 2 + SIZE * np.arange(len(stamps))
        return cls(np.concatenate(list(stamps), axis=1), x, np.full(len(x), SIZE // 2))

    def excess(self, psf, ivar=1.0):
        return excess(self.flux, np.full(self.flux.shape, ivar), self.x, self.y, psf)


def stars(psf, snr):
    """A star of each S/N on every place within a pixel, its S/N that of noise of 1."""
    phase = np.arange(-0.5, 0.51, 0.1)
    dx, dy = (axis.ravel() for axis in np.meshgrid(phase, phase))
    light = psf.stamps(dx, dy, SIZE)
    light /= np.sqrt((light**2).sum((1, 2), keepdims=True))
    return np.concatenate([s * light for s in snr])


def defects(kind):
    """A hot pixel, or tracks of cosmic rays, of 1 sigma; (n, SIZE, SIZE)."""
    light, middle = np.zeros((3, SIZE, SIZE)), SIZE // 2
    light[:, middle, middle] = 1
    if kind == "track":
        light[0, middle, middle - 1 : middle + 2] = 1
        light[1, middle - 3 : middle + 4, middle] = 1
        light[2, range(4, 11), range(4, 11)] = 1
    return light


@pytest.mark.parametrize("beta", [2.5, 40.0])
@pytest.mark.parametrize("fwhm", WIDTHS)
@pytest.mark.parametrize("wrong", [0.9, 1.0, 1.1])
def test_no_star_is_sharp_though_the_psf_is_a_tenth_wrong(beta, fwhm, wrong):
    seen = Row.of(stars(Moffat(fwhm, beta), [5, 30, 1e3, 1e6]))
    assert (seen.excess(Moffat(wrong * fwhm)) < 1).all()


@pytest.mark.parametrize("fwhm", [0.9, 1.2, 1.5, 1.8, 3.0])
def test_no_star_with_the_rings_of_a_telescope_in_space_is_sharp(fwhm):
    psf, phase = galsim.Airy(lam_over_diam=fwhm / 1.03, obscuration=0.33), np.arange(-0.4, 0.5, 0.2)
    light = [
        psf.drawImage(nx=SIZE, ny=SIZE, scale=1.0, offset=(dx, dy)).array
        for dx in phase
        for dy in phase
    ]
    for snr in (10, 1e2, 1e4):
        assert (Row.of(snr * np.array(light)).excess(Moffat(fwhm)) < 1).all()


@pytest.mark.parametrize("fwhm", WIDTHS)
def test_noise_makes_no_star_sharp(fwhm, rng):
    light = stars(Moffat(fwhm), [5, 10, 30, 300])
    light += rng.normal(size=light.shape) * np.sqrt(1 + light / 10)
    assert (Row.of(light).excess(Moffat(fwhm)) < SHARP).all()


def test_neither_galaxies_nor_blends_are_sharp(rng):
    light = stars(Moffat(2.0), [1.0])
    blends = np.stack([rng.random(len(light)) @ light.reshape(len(light), -1) for _ in range(50)])
    blends = 1e4 * np.append(blends, light[:50].reshape(50, -1) + light[50:100].reshape(50, -1), 0)
    assert (Row.of(blends.reshape(-1, SIZE, SIZE)).excess(Moffat(2.0)) <= 0).all()


@pytest.mark.parametrize("kind", ["hot", "track"])
@pytest.mark.parametrize("fwhm", [1.8, 3.0, 5.0])
def test_what_is_sharp_stands_out(fwhm, kind):
    assert (Row.of(20 * defects(kind)).excess(Moffat(fwhm)) > SHARP).all()


def test_where_stars_are_as_sharp_nothing_stands_out():
    assert (Row.of(20 * defects("hot")).excess(Moffat(0.8)) < SHARP).all()


def test_the_unit_and_the_way_up_do_not_matter(rng):
    flux, ivar = rng.normal(size=(9, 9)) + 10 * defects("track")[1, 3:12, 3:12], np.ones((9, 9))
    ivar[3, 4] = 0
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(9), np.arange(9)))
    found = excess(flux, ivar, x, y, Moffat(2.5))
    assert np.isfinite(found).any()
    assert_allclose(excess(30 * flux, ivar / 900, x, y, Moffat(2.5)), found)
    for turn in (np.transpose, np.flipud, np.rot90):
        turned = excess(turn(flux), turn(ivar), x, y, Moffat(2.5)).reshape(9, 9)
        assert_allclose(turned, turn(found.reshape(9, 9)))


def test_pixels_that_are_not_known_say_nothing():
    hot, ivar = 50 * defects("hot")[0], np.ones((SIZE, SIZE))
    middle = np.array([SIZE // 2])
    known = excess(hot, ivar, middle, middle, Moffat(2.5))
    assert known > SHARP
    ivar[middle, middle] = 0
    assert excess(hot, ivar, middle, middle, Moffat(2.5)) == -np.inf
    ivar[:] = 0
    ivar[middle, middle] = 1
    assert excess(hot, ivar, middle, middle, Moffat(2.5)) == -np.inf
    corners = np.array([0, 0, SIZE - 1, SIZE - 1]), np.array([0, SIZE - 1, 0, SIZE - 1])
    assert_array_equal(excess(hot, np.ones_like(hot), *corners, Moffat(2.5)), -np.inf)


def test_detected_hot_pixels_and_tracks_are_flagged_and_stars_are_not(rng):
    places = {"hot": (30, 30), "track": (30, 90), "star": (90, 30), "full": (90, 90)}
    image = paint((120, 120), [places["star"], places["full"]], [300, 9000], fwhm=2.2)
    image[30, 30] += 40
    image[90, 27:34] += 40
    image = np.minimum(image + rng.normal(size=image.shape), 300)
    found = detect(exposure_of(image, saturation=(300.0,)), config.Detect(psf_fwhm=2.2))
    away, rows = distances(found, list(places.values()))
    is_sharp = (found["flags"][rows] & Flag.SHARP) > 0
    assert (away < 2).all()
    assert dict(zip(places, is_sharp, strict=True)) == {
        "hot": True,
        "track": True,
        "star": False,
        "full": False,
    }
