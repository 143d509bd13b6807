"""What positions and shapes in pixels are on the sky."""

import galsim
import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from pipeline.astrometry import on_sky, position_error
from tests.detected import detect
from tests.test_detect import FWHM, SETTINGS, exposure_of, paint


@pytest.mark.parametrize("turn", [0.0, 30.0, 200.0])
@pytest.mark.parametrize("mirror", [1, -1])
def test_position_angles_go_from_north_to_east(turn, mirror):
    """`turn` is the angle from north to the image's y axis, through east."""
    wcs, cos, sin = WCS(naxis=2), np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = (
        ["RA---TAN", "DEC--TAN"],
        [359.999, 60.0],
        [50, 50],
    )
    wcs.wcs.cd = np.array([[-mirror * cos, sin], [mirror * sin, cos]]) * 1e-4
    theta = np.array([0.0, 45, 90, 135, 180])
    _, _, angle = on_sky(wcs, np.full(5, 49.0), np.full(5, 49.0), theta)
    expected = turn + mirror * (theta - 90)
    assert_allclose((angle - expected + 90) % 180 - 90, 0, atol=0.01)
    assert ((angle >= 0) & (angle < 180)).all()


def test_without_wcs_nothing_is_on_the_sky():
    assert np.isnan(on_sky(None, *np.ones((3, 4)))).all()


@pytest.mark.parametrize(("snr", "gain"), [(10, 0.0), (40, 0.0), (40, 1.0), (150, 2.0)])
def test_positions_scatter_as_their_errors_say(rng, snr, gain):
    grid = np.stack(np.mgrid[30:960:30, 30:960:30], -1).reshape(-1, 2).astype(float)
    places = grid + rng.uniform(-0.5, 0.5, grid.shape)
    profile = paint((100, 100), [(50, 50)], [1.0])
    fluxes = np.full(len(places), snr / np.sqrt((profile**2).sum()))
    image = paint((960, 960), places, fluxes)
    image = (rng.poisson(gain * image) / gain if gain else image) + rng.normal(size=image.shape)
    found = detect(exposure_of(image, pixel_scale=0.2, gain=(gain,)), SETTINGS)
    at = np.column_stack([found["x"].value, found["y"].value])
    off = 0.2 * (at - places[np.argmin(np.hypot(*(at[:, None] - places).T), axis=0)])
    pull = (off / found["pos_err"].value[:, None])[np.abs(off).max(axis=1) < 0.5]
    assert len(pull) > 900
    assert 0.7 < 1.4826 * np.median(np.abs(pull)) < 1.3


@pytest.mark.parametrize(("r50", "flux"), [(2, 200), (2, 800), (4, 800), (4, 1600)])
def test_positions_of_wide_galaxies_scatter_nearly_as_their_errors_say(rng, r50, flux):
    """Of smooth discs by less, for galaxies have structure."""
    grid = np.stack(np.mgrid[30:940:30, 30:940:30], -1).reshape(-1, 2).astype(float)
    places = grid + rng.uniform(-0.5, 0.5, grid.shape)
    disc = galsim.Exponential(half_light_radius=r50, flux=flux)
    disc = galsim.Convolve(disc, galsim.Gaussian(fwhm=FWHM))
    image = galsim.ImageD(960, 960, xmin=0, ymin=0)
    for place in places:
        at = galsim.PositionD(*place)
        stamp = disc.drawImage(nx=48, ny=48, scale=1, center=at, method="no_pixel")
        image[stamp.bounds & image.bounds] += stamp[stamp.bounds & image.bounds]
    image = image.array + rng.normal(size=image.array.shape)
    found = detect(exposure_of(image, pixel_scale=1.0), SETTINGS)
    at = np.column_stack([found["x"].value, found["y"].value])
    off = at - places[np.argmin(np.hypot(*(at[:, None] - places).T), axis=0)]
    pull = off / found["pos_err"].value[:, None]
    assert len(pull) > 900
    assert 0.55 < 1.4826 * np.median(np.abs(pull)) < 1.1


def test_a_source_that_noise_makes_narrow_is_as_uncertain_as_a_point():
    narrow, point = (
        position_error(np.array([r]), np.array([9.0]), FWHM, 0.0) for r in (1.0, FWHM / 2)
    )
    assert narrow == point


def test_however_bright_a_galaxy_its_centre_is_as_uncertain_as_a_hundredth_of_its_width():
    sigma = np.array([3.0, 6.0])
    error = position_error(np.sqrt(2 * np.log(2)) * sigma, np.array([1e9, 1e9]), FWHM, 0.0)
    assert_allclose(error, sigma / 100, rtol=1e-5)


def test_an_error_without_signal_is_unknown():
    assert np.isnan(position_error(np.array([2.0]), np.array([-1.0]), FWHM, 0.0)).all()
