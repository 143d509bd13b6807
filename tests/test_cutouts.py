import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS, Sip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config
from pipeline.cutouts import bin_blocks, boxes, cut, lens_binning
from pipeline.data import Exposure


def exposure_of(flux, ivar=None, **more):
    flux = np.asarray(flux, "f4")[..., None]
    ivar = np.ones_like(flux) if ivar is None else np.asarray(ivar, "f4")[..., None]
    return Exposure(flux, ivar, more.pop("wcs", None), ("r",), **more)


def sources_at(*positions, **meta):
    x, y = np.array(positions, float).reshape(-1, 2).T
    return Table({"id": np.arange(len(x)) + 7, "x": x, "y": y}, meta=meta)


def distorted_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [40.0, 30.0]
    wcs.wcs.cd = [[-5e-5, 1e-6], [1e-6, 5e-5]]
    a = np.zeros((3, 3))
    a[2, 0] = 1e-4
    wcs.sip = Sip(a, a.T, None, None, [40.0, 30.0])
    wcs.wcs.set()
    return wcs


def test_the_middle_pixel_holds_the_source():
    flux = np.zeros((50, 60))
    flux[20, 30] = 1
    stamps = cut(exposure_of(flux), sources_at((30.4, 19.6)), 16)
    assert stamps.flux[0, 8, 8, 0] == 1
    assert_array_equal(stamps.corner, [[22, 12]])


@pytest.mark.parametrize("position", [(0, 0), (59, 49), (0, 49), (30, 25)])
def test_beyond_the_image_there_is_no_information(position, rng):
    image = rng.normal(size=(50, 60))
    stamps = cut(exposure_of(image), sources_at(position), 32)
    padded = np.pad(image.astype("f4"), 32)
    x, y = stamps.corner[0] + 32
    assert_array_equal(stamps.flux[0, :, :, 0], padded[y : y + 32, x : x + 32])
    inside = np.pad(np.ones((50, 60)), 32)[y : y + 32, x : x + 32]
    assert_array_equal(stamps.ivar[0, :, :, 0], inside)


@settings(max_examples=60, deadline=None)
@given(st.integers(-200, 200), st.integers(-200, 200), st.integers(1, 40))
def test_a_box_anywhere_is_the_padded_image(x, y, size):
    image = np.arange(1, 21).reshape(4, 5)
    padded = np.pad(image, 300)
    expected = padded[y + 300 : y + 300 + size, x + 300 : x + 300 + size]
    assert_array_equal(boxes(image, np.array([[x, y]]), size)[0], expected)


@pytest.mark.parametrize("binning", [1, 2, 3])
def test_binning_conserves_flux_and_variance(binning, rng):
    exposure = exposure_of(rng.normal(size=(90, 90)), rng.uniform(0.5, 2, (90, 90)))
    stamps = cut(exposure, sources_at((45, 45)), 16, binning)
    x, y = stamps.corner[0]
    part = np.s_[y : y + 16 * binning, x : x + 16 * binning, 0]
    assert_allclose(stamps.flux.sum(), exposure.flux[part].sum(), rtol=1e-4, atol=1e-4)
    assert_allclose((1 / stamps.ivar).sum(), (1 / exposure.ivar[part]).sum(), rtol=1e-5)
    assert (stamps.corner[0] + 8 * binning + binning // 2 == 45).all()


def test_a_binned_stamp_has_the_bright_pixel_in_its_middle():
    flux = np.zeros((90, 90))
    flux[33, 41] = 5
    stamps = cut(exposure_of(flux), sources_at((41, 33)), 16, 3)
    assert stamps.flux[0, 8, 8, 0] == 5
    assert stamps.binning == 3


def test_a_block_with_missing_pixels_is_scaled_up():
    flux = np.array([[1.0, 3.0], [99.0, 2.0]])[None, :, :, None].astype("f4")
    ivar = np.array([[1.0, 1.0], [0.0, 0.5]])[None, :, :, None].astype("f4")
    total, weight = bin_blocks(flux, ivar, 2)
    assert_allclose(total, 6 * 4 / 3)
    assert_allclose(1 / weight, (1 + 1 + 2) * (4 / 3) ** 2, rtol=1e-6)


def test_a_block_with_less_than_half_of_its_pixels_says_nothing():
    ivar = np.zeros((1, 2, 2, 1), "f4")
    ivar[0, 0, 0, 0] = 1
    total, weight = bin_blocks(np.ones_like(ivar), ivar, 2)
    assert total.item() == 0
    assert weight.item() == 0


def test_sky_position_survives_the_cut(rng):
    exposure = exposure_of(rng.normal(size=(60, 80)), wcs=distorted_wcs())
    sources = sources_at((12.3, 40.7), (78.0, 1.0), (40.5, 30.2))
    stamps = cut(exposure, sources, 16)
    for i, source in enumerate(sources):
        in_stamp = np.array([source["x"], source["y"]]) - stamps.corner[i]
        sky = stamps.wcs_of(i).pixel_to_world(*in_stamp)
        expected = exposure.wcs.pixel_to_world(source["x"], source["y"])
        assert sky.separation(expected).to_value("mas") < 1e-3


def test_no_sources_give_no_stamps():
    stamps = cut(Exposure.empty(("g", "r"), "broken"), sources_at(), 32, 2)
    assert stamps.flux.shape == (0, 32, 32, 2)


@pytest.mark.parametrize(
    ("scale", "fwhm", "expected"),
    [
        (0.2, 3.3, 1),  # 12.8" already
        (0.1, 1.7, 1),  # exactly 6.4"
        (0.05, 2.4, 2),
        (0.03, 4.0, 3),  # 4 would be wanted, but the PSF is too narrow
        (0.05, 2.0, 1),
        (np.nan, 3.0, 1),
        (0.05, np.nan, 1),
    ],
)
def test_lens_binning_covers_the_angle_unless_the_psf_suffers(scale, fwhm, expected):
    exposure = exposure_of(np.zeros((4, 4)), pixel_scale=scale)
    assert lens_binning(exposure, sources_at(PSFFWHM=fwhm), config.Cut()) == expected


def test_lens_binning_can_be_set():
    exposure = exposure_of(np.zeros((4, 4)), pixel_scale=0.2)
    assert lens_binning(exposure, sources_at(), config.Cut(lens_binning=4)) == 4
