from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS, Sip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config, io
from pipeline.data import Cutouts, Exposure
from pipeline.flags import Flag
from pipeline.stamps.cutouts import (
    LARGEST_BINNING,
    bin_blocks,
    boxes,
    cut,
    deblend_binning,
    lens_binning,
)


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
    assert_array_equal(stamps.binning, [3])


def test_stamps_of_several_binnings_are_those_of_each_alone(rng):
    exposure = exposure_of(rng.normal(size=(90, 90)), rng.uniform(0, 2, (90, 90)))
    sources, binning = sources_at((45, 45), (3, 80), (60, 22), (45, 44)), np.array([2, 1, 3, 1])
    together = cut(exposure, sources, 16, binning)
    for i, block in enumerate(binning):
        alone = cut(exposure, sources[i : i + 1], 16, int(block))
        for name in ("flux", "ivar", "id", "corner", "binning"):
            assert_array_equal(getattr(together[[i]], name), getattr(alone, name), err_msg=name)


def test_stamps_survive_the_disk(tmp_path, rng):
    exposure = exposure_of(rng.normal(size=(60, 80)), wcs=distorted_wcs())
    stamps = cut(exposure, sources_at((12, 40), (50, 9), (33, 33)), 16, np.array([2, 1, 5]))
    stamps = replace(stamps, bands=("g",), unit="adu", reference=3)
    io.write_cutouts(tmp_path / "cutouts.fits", stamps)
    for ids, rows in ((None, [0, 1, 2]), ([9, 7], [0, 2]), ([], [])):
        there, here = io.read_cutouts(tmp_path / "cutouts.fits", ids), stamps[rows]
        for name in ("flux", "ivar", "id", "corner", "binning"):
            assert_array_equal(getattr(there, name), getattr(here, name), err_msg=name)
        assert (there.bands, there.unit, there.reference) == (("g",), "adu", 3)
        assert there.wcs.wcs.compare(exposure.wcs.wcs)


@pytest.mark.parametrize("binning", [[1, 2], [0, 1, 1], 0])
def test_a_binning_of_other_stamps_is_refused(binning):
    plane = np.zeros((3, 4, 4, 1), "f4")
    with pytest.raises(ValueError, match="binning must be 1 or more, one for each of 3 stamps"):
        Cutouts(plane, plane, np.arange(3), np.zeros((3, 2), int), ("r",), binning=binning)


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


@pytest.mark.parametrize("binning", [1, 2, 5])
def test_sky_position_survives_the_cut(binning, rng):
    exposure = exposure_of(rng.normal(size=(60, 80)), wcs=distorted_wcs())
    sources = sources_at((12.3, 40.7), (78.0, 1.0), (40.5, 30.2))
    stamps = cut(exposure, sources, 16, binning)
    for i, source in enumerate(sources):
        first = stamps.corner[i] + (binning - 1) / 2
        in_stamp = (np.array([source["x"], source["y"]]) - first) / binning
        sky = stamps.wcs_of(i).pixel_to_world(*in_stamp)
        expected = exposure.wcs.pixel_to_world(source["x"], source["y"])
        assert sky.separation(expected).to_value("mas") < 1e-3


def test_binned_coordinates_without_a_cd_matrix():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [20.0, 20.0], [-5e-5, 5e-5]
    stamps = cut(exposure_of(np.zeros((40, 40)), wcs=wcs), sources_at((20, 20)), 16, 2)
    middle = stamps.corner[0] + 2 * 5 + 0.5  # of the pixel (5, 5)
    sky = stamps.wcs_of(0).pixel_to_world(5, 5)
    assert sky.separation(wcs.pixel_to_world(*middle)).to_value("mas") < 1e-3


def test_no_coordinates_are_made_up():
    stamps = cut(exposure_of(np.zeros((40, 40))), sources_at((20, 20)), 16)
    with pytest.raises(ValueError, match="no WCS for the stamp of source 7"):
        stamps.wcs_of(0)


def test_no_sources_give_no_stamps():
    stamps = cut(Exposure.empty(("g", "r"), "broken"), sources_at(), 32, 2)
    assert stamps.flux.shape == (0, 32, 32, 2)


@pytest.mark.parametrize(
    ("scale", "fwhm", "expected"),
    [
        (0.2, 3.3, 1),  # 19.2" already
        (0.1, 1.7, 1),  # exactly 9.6"
        (0.05, 2.4, 2),
        (0.03, 2.4, 3),  # 4 would be wanted, but the PSF is too narrow
        (0.05, 1.3, 1),
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


def sizes(a, *, b=None, theta=0.0, extent=0.0, flags=0):
    """Sources with a Kron radius of 2."""
    columns = {"a": a, "b": a if b is None else b, "theta": theta, "kron_radius": 2.0}
    columns |= {"extent": extent, "flags": flags}
    arrays = np.broadcast_arrays(*(np.atleast_1d(value) for value in columns.values()))
    return Table(dict(zip(columns, arrays, strict=True)))


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (sizes(14.3), 1),  # 28.6 of 28.8 pixels
        (sizes(14.5), 2),
        (sizes(28.7), 2),
        (sizes(100.0, b=10.0), 7),
        (sizes(100.0, b=10.0, theta=90.0), 7),
        (sizes(100.0, b=10.0, theta=45.0), 5),
        (sizes(10.0, extent=90.0), 4),
        (sizes(50.0, extent=20.0), 4),
        (sizes(50.0, extent=20.0, flags=int(Flag.BLENDED)), 2),  # its aperture is not believed
        (sizes(9999.0), LARGEST_BINNING),
        (sizes(np.nan), 1),
        (sizes(np.nan, extent=40.0), 2),
        (sizes(np.zeros(0)), None),
    ],
)
def test_stamps_are_binned_until_the_source_fits(sources, expected):
    found = deblend_binning(sources, 64)
    assert_array_equal(found, [] if expected is None else [expected])
    assert found.dtype == int
