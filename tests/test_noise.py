"""Noise: the S/N of detections and the errors of fluxes, white and correlated."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from pipeline.detection import kron
from pipeline.detection.matched import matched_snr, noise_correlation, snr_at
from pipeline.detection.psf import Moffat
from tests.detected import detect
from tests.test_detect import FWHM, SETTINGS, distances, exposure_of, paint


def test_snr_is_that_of_the_matched_filter(rng):
    places, fluxes = [(30.3, 40.2), (90.6, 41.5)], [100, 300]
    image = paint((80, 120), places, fluxes)
    found = detect(exposure_of(image + rng.normal(size=image.shape)), SETTINGS)
    power = np.sqrt((Moffat(FWHM).stamps([0], [0], 101) ** 2).sum())
    _, rows = distances(found, places)
    assert_allclose(found["snr"][rows], np.array(fluxes) * power, atol=3, rtol=0.03)


def test_correlated_noise_is_measured(rng):
    white = rng.normal(size=(1200, 1200))
    smooth = gaussian_filter(white, 1.0)
    smooth /= smooth.std()
    kernel, ones = Moffat(FWHM).kernel(), np.ones((1200, 1200))
    factor = noise_correlation(smooth, ones, kernel)
    assert_allclose(noise_correlation(white, ones, kernel), 1, atol=0.04)
    assert_allclose(factor, matched_snr(smooth, ones, kernel).std(), rtol=0.05)
    assert factor > 1.8
    assert len(detect(exposure_of(smooth), SETTINGS)) == 0


def test_matched_snr_by_hand():
    kernel = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0]]) / 6
    flux, ivar = np.zeros((9, 9)), np.full((9, 9), 4.0)
    flux[4, 4] = 3
    ivar[4, 5] = 0
    snr = matched_snr(flux, ivar, kernel)
    assert_allclose(snr[4, 4], 2 / 6 * 3 * 4 / np.sqrt(4 * 7 / 36))
    assert_allclose(snr[0, 0], 0, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-17, 1e17])
def test_matched_snr_is_the_same_in_any_unit(unit, rng):
    flux, kernel = rng.normal(size=(256, 256)).astype("f4"), Moffat(FWHM).kernel()
    expected, found = (
        matched_snr(flux * np.float32(one), np.full(flux.shape, one**-2, "f4"), kernel)
        for one in (1.0, unit)
    )
    assert found.dtype == "f4"
    assert_allclose(found, expected, atol=1e-4)


def test_snr_at_a_hidden_position_is_not_told():
    flux, ivar = np.ones((20, 20)), np.zeros((20, 20))
    snr, seen = snr_at(flux, ivar, np.array([10.0]), np.array([10.0]), Moffat(2.0))
    assert np.isnan(snr) and seen == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.2])
@pytest.mark.parametrize("radius", [3.5, 6.0, 12.0])
def test_the_error_of_a_flux_is_its_scatter_on_empty_sky(radius, smoothing, rng):
    noise = gaussian_filter(rng.normal(size=(700, 700)), smoothing)
    exposure = exposure_of(noise / noise.std())
    kernel, step = Moffat(FWHM).kernel(), 2 * radius + 5
    x, y = (v.ravel() for v in np.mgrid[20:680:step, 20:680:step])
    round_ = {"x": x, "y": y, "a": np.ones(len(x)), "b": np.ones(len(x)), "theta": 0 * x}
    places, radii = Table(round_), np.full(len(x), radius)
    segments = np.zeros(noise.shape, "i4")
    flux, error, _ = kron.aperture_flux(exposure, places, radii, segments)
    factor = noise_correlation(exposure.flux[..., 0], exposure.ivar[..., 0], kernel)
    error = error[:, 0] * kron.correlated(factor, kernel, np.pi * radii**2)
    few = 2 / np.sqrt(2 * len(x))  # what the scatter itself may scatter, at 2 sigma
    assert_allclose(error.mean(), flux.std(), rtol=0.08 + few)


def test_the_catalog_s_errors_allow_for_correlated_noise_in_each_band(rng):
    places = [(40, 40), (120, 60), (60, 140)]
    light = paint((400, 400), places, [3000, 3000, 3000])
    white = rng.normal(size=light.shape)
    smooth = gaussian_filter(white, 1.0)
    both = detect(exposure_of(light + white, light + smooth / smooth.std()), SETTINGS)
    _, rows = distances(both, places)
    ratio = both["flux_auto_err"][rows].value
    assert (ratio[:, 1] > 2.5 * ratio[:, 0]).all()
