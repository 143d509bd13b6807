"""Weights, noise and sky of an ingested tile."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from pipeline import io
from pipeline.config import Ingest, Tile
from pipeline.ingest import InputError, ingest

SHAPE = 120, 150


def sky_header(scale=0.2, shape=SHAPE, offset=(0.0, 0.0), **more):
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN",
        CTYPE2="DEC--TAN",
        CRVAL1=150.0,
        CRVAL2=2.0,
        CRPIX1=(shape[1] + 1) / 2 + offset[0],
        CRPIX2=(shape[0] + 1) / 2 + offset[1],
        CD1_1=-scale / 3600,
        CD1_2=0.0,
        CD2_1=0.0,
        CD2_2=scale / 3600,
    )
    header.update(more)
    return header


@pytest.fixture
def pixels(rng):
    return rng.normal(0, 2, SHAPE).astype("f4")


def take(image, settings=None, detection=None, **more):
    settings = {"zero_point": 31.4, "fit_sky": False} | (settings or {})
    files = {k: v if isinstance(v, dict) else {"r": v} for k, v in {"image": image, **more}.items()}
    return ingest(Tile(**files), Ingest(**settings), detection)


def test_pixels_arrive_as_they_are(save, pixels):
    found = take(save("a.fits", pixels, sky_header()))
    assert_array_equal(found.flux[..., 0], pixels)
    assert found.flux.dtype == found.ivar.dtype == "f4"
    assert found.unit == "nJy" and found.bands == ("r",)


def test_the_sky_is_where_astropy_sees_it(save, pixels):
    path = save("a.fits", pixels, sky_header())
    found = take(path)
    x, y = np.array([0, 149, 70.0]), np.array([0, 119, 33.0])
    expected = WCS(fits.getheader(path)).pixel_to_world(x, y)
    assert found.wcs.pixel_to_world(x, y).separation(expected).to_value("mas").max() < 1e-3
    assert_allclose(found.pixel_scale, 0.2, rtol=1e-6)


def test_it_survives_our_own_format(save, pixels, tmp_path):
    header = sky_header(BUNIT="ADU", GAIN=2.0, SATURATE=500.0)
    found = take(save("a.fits", pixels, header), {"zero_point": None})
    io.write_exposure(tmp_path / "exposure.fits", found)
    again = io.read_exposure(tmp_path / "exposure.fits")
    assert again.notes == found.notes and again.unit == found.unit == "adu"
    assert_array_equal(again.flux, found.flux)
    assert_array_equal(again.ivar, found.ivar)
    assert again.gain == found.gain == (2.0,) and again.saturation == found.saturation == (500.0,)
    assert again.pixel_scale == found.pixel_scale
    wcs, shape, usable = io.read_frame(tmp_path / "exposure.fits")
    assert shape == found.flux.shape[:2]
    assert usable == (np.mean(found.ivar > 0),)
    assert wcs.wcs.compare(again.wcs.wcs)


class TestWeights:
    @pytest.mark.parametrize(
        ("kind", "value"), [("ivar", 0.25), ("variance", 4.0), ("rms", 2.0), ("exposure", 700.0)]
    )
    def test_all_kinds_say_the_same_noise(self, save, pixels, kind, value):
        weight = np.full(SHAPE, value, "f4")
        settings = {"weight_is": kind, "zero_point": 28.9}
        found = take(save("a.fits", pixels), settings, weight=save("w.fits", weight))
        assert_allclose(found.ivar, 0.25 / 100, rtol=0.03 if kind == "exposure" else 1e-5)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e-20])
    @pytest.mark.parametrize("kind", ["ivar", "exposure"])
    def test_a_senseless_weight_is_no_weight(self, save, pixels, value, kind):
        weight = np.full(SHAPE, 0.25, "f4")
        weight[5, 6] = value
        found = take(save("a.fits", pixels), {"weight_is": kind}, weight=save("w.fits", weight))
        assert found.ivar[5, 6, 0] == found.flux[5, 6, 0] == 0
        assert any("0.01% of the pixels have no weight" in note for note in found.notes)
        assert (found.ivar > 0).sum() == found.ivar.size - 1

    @pytest.mark.parametrize("kind", ["rms", "variance"])
    @pytest.mark.parametrize("value", [0.0, np.nan, -2.0, 1e-30, 1e10, np.inf])
    def test_a_senseless_noise_is_no_weight(self, save, pixels, kind, value):
        weight = np.full(SHAPE, 2.0, "f4")
        weight[5, 6] = value
        found = take(save("a.fits", pixels), {"weight_is": kind}, weight=save("w.fits", weight))
        assert found.ivar[5, 6, 0] == 0 and (found.ivar > 0).sum() == found.ivar.size - 1

    @pytest.mark.parametrize(
        ("kind", "value"), [("ivar", 1e-20), ("ivar", 1e30), ("variance", 1e30), ("rms", 1e10)]
    )
    def test_sentinels_where_there_is_no_light_may_be_many(self, save, pixels, kind, value):
        weight = np.full(SHAPE, 1.0, "f4")
        weight[:, 40:], pixels[:, 40:] = value, 0
        found = take(save("a.fits", pixels), {"weight_is": kind}, weight=save("w.fits", weight))
        assert (found.ivar[:, :40] == 1).all() and not found.ivar[:, 40:].any()

    def test_half_the_exposure_has_twice_the_variance(self, save, rng):
        seconds = np.where(np.arange(256) < 128, 100.0, 400.0) * np.ones((256, 1))
        image = rng.normal(0, 20 / np.sqrt(seconds))
        settings = {"weight_is": "exposure", "sky_mesh": 64}
        found = take(save("a.fits", image), settings, weight=save("w.fits", seconds))
        assert_allclose(found.ivar[0, [0, 200], 0], [0.25, 1.0], rtol=0.1)

    @pytest.mark.parametrize(
        ("factor", "said"), [(1.0, []), (1.5, [""]), (0.7, [""]), (20.0, ["?"]), (0.05, ["?"])]
    )
    def test_an_unlikely_noise_is_noted(self, save, pixels, factor, said):
        weight = np.full(SHAPE, 0.25 / factor**2)  # the noise is 2
        found = take(save("a.fits", pixels), weight=save("w.fits", weight))
        notes = [note for note in found.notes if "is measured" in note]
        assert [note[-1:] == "?" for note in notes] == [mark == "?" for mark in said]
        assert all(f"noise of {2 * factor:.3g} a pixel" in note for note in notes)

    def test_the_noise_of_a_mosaic_is_compared_place_by_place(self, save, rng):
        noise = np.where(np.arange(256) < 130, 1.0, 4.0) * np.ones((256, 1))
        files = {"image": save("a.fits", rng.normal(0, noise)), "weight": save("w.fits", noise)}
        found = take(settings={"weight_is": "rms", "sky_mesh": 64}, **files)
        assert not [note for note in found.notes if "is measured" in note]

    def test_another_shape_is_an_error(self, save, pixels):
        weight = save("w.fits", np.ones((120, 149)))
        with pytest.raises(InputError, match=r"w\.fits\[PRIMARY\]: shape \(120, 149\).*a\.fits"):
            take(save("a.fits", pixels), weight=weight)


class TestSky:
    @pytest.mark.parametrize("smoothing", [0.0, 1.0, 3.0])
    @pytest.mark.parametrize("height", [0.0, 0.1, 1.0, 2.0])
    def test_a_sky_that_still_waves_is_noted(self, save, rng, height, smoothing):
        wave = np.sin(2 * np.pi * np.arange(1024) / 512 + 0.8)
        noise = gaussian_filter(rng.normal(size=(1024, 1024)), smoothing, mode="wrap")
        image = noise / noise.std() + height * wave * wave[:, None]
        found = take(save("a.fits", image), {"fit_sky": True})
        doubts = [note for note in found.notes if "sky still waves" in note]
        assert bool(doubts) == (height > 0.5)
        assert all(note.endswith("should ingest.sky_mesh be smaller?") for note in doubts)

    def test_a_long_wave_of_the_height_of_the_noise_is_noted(self, save, rng):
        wave = np.sin(2 * np.pi * np.arange(1024) / 1024)
        image = rng.normal(wave * wave[:, None], 1)
        found = take(save("a.fits", image), {"fit_sky": True})
        assert any("sky still waves" in note for note in found.notes)

    @pytest.mark.parametrize("side", [192, 256])
    @pytest.mark.parametrize("smoothing", [1.0, 2.0, 4.0])
    def test_correlated_noise_does_not_wave(self, save, rng, side, smoothing):
        for i in range(8):
            image = gaussian_filter(rng.normal(size=(side, side)), smoothing)
            found = take(save(f"{i}.fits", image / image.std()), {"fit_sky": True})
            assert not any("sky_mesh be smaller" in note for note in found.notes)

    def test_a_sky_that_no_mesh_follows_is_noted(self, save, rng):
        image = rng.normal(np.abs(np.arange(512) - 200.0), 1, (512, 512))
        told = take(save("a.fits", image), {"fit_sky": True}).notes[-1]
        assert "the sky was not followed, and its noise is" in told
        assert told.endswith("should ingest.sky_mesh be smaller?")

    def test_a_sky_without_noise_does_not_wave(self, save):
        image = np.zeros((256, 256), "f4")
        image[::7, ::5] = 1e-3
        found = take(save("a.fits", image), {"fit_sky": True}, weight=save("w.fits", image + 1))
        assert not any("sky still waves" in note for note in found.notes)

    def test_an_image_without_noise_needs_a_weight(self, save):
        y, x = np.indices((300, 300)) - 150
        image = save("a.fits", 1e3 * np.exp(-(x**2 + y**2) / 18))
        with pytest.raises(InputError, match=r"a\.fits.*: there is no noise.* needs a weight"):
            take(image, {"fit_sky": True})
        assert (take(image, weight=save("w.fits", np.ones((300, 300)))).ivar > 0).any()

    def test_noise_of_an_empty_image(self, save, rng):
        image = rng.normal(50, 3, (512, 512)).astype("f4")
        found = take(save("a.fits", image), {"fit_sky": True, "sky_mesh": 64})
        assert_allclose(np.median(found.ivar) ** -0.5, 3, rtol=0.01)
        assert_allclose(found.ivar**-0.5, 3, rtol=0.1)
        assert abs(found.flux.mean()) < 0.05

    @pytest.mark.parametrize("smoothing", [0.0, 1.0])
    def test_noise_of_strips_of_few_exposures(self, save, rng, smoothing):
        noise = np.ones((512, 512))
        noise[:, :24], noise[300:332, 200:] = 2.5, 2
        image = gaussian_filter(rng.normal(size=noise.shape), smoothing)
        found = take(save("a.fits", noise * image / image.std()), {"fit_sky": True}).ivar[..., 0]
        for strip in (np.s_[:, :16], np.s_[304:320, 208:496]):
            assert_allclose(np.median(found[strip]) ** -0.5, noise[strip].mean(), rtol=0.15)
        assert (found[:288, 180:] ** -0.5 < 1.15).all()

    def test_noise_is_above_nought_beside_a_part_without_any(self, save, rng):
        image = rng.normal(size=(512, 512))
        image[:, 300:] *= 1e-4
        found = take(save("a.fits", image), {"fit_sky": True, "sky_mesh": 64})
        assert 0.01 < found.ivar.max() ** -0.5 < 0.15

    @pytest.mark.parametrize(
        ("side", "mesh", "sky"),
        [
            (512, 64, lambda y, x: 0.03 * x + 0.01 * y),
            (512, 128, lambda y, x: 0.08 * x + 0.05 * y),
            (512, 128, lambda y, x: (x / 90) ** 2 + (y / 150) ** 3),
            (192, 128, lambda y, x: 0.05 * x),
        ],
    )
    def test_a_steep_sky_is_removed_to_the_edges(self, save, rng, side, mesh, sky):
        image = rng.normal(sky(*np.indices((side, side))), 1)
        found = take(save("a.fits", image), {"fit_sky": True, "sky_mesh": mesh})
        blocks = found.flux[..., 0].reshape(8, side // 8, 8, side // 8).mean((1, 3))
        assert abs(blocks).max() < 0.15
        assert_allclose(np.median(found.ivar) ** -0.5, 1, rtol=0.02)

    def test_a_bright_galaxy_in_a_corner_is_no_steep_sky(self, save, rng):
        y, x = np.indices((512, 512))
        away = np.hypot(x - 100, y - 400)
        galaxy = 200 * np.exp(-away / 48)
        found = take(save("a.fits", rng.normal(galaxy, 1)), {"fit_sky": True})
        near = away < 240
        assert abs(1 - found.flux[near, 0].sum() / galaxy[near].sum()) < 0.03

    def test_it_can_be_switched_off(self, save, pixels):
        found = take(save("a.fits", pixels + 50))
        assert_allclose(found.flux.mean(), 50, atol=0.1)

    @pytest.mark.parametrize("sky", [0.0, 1.0, 100.0])
    def test_noise_is_none_of_the_sky_that_is_left(self, save, rng, sky):
        found = take(save("a.fits", rng.normal(sky, 1, (256, 256))), {"fit_sky": False})
        assert_allclose(found.ivar**-0.5, 1, rtol=0.1)

    def test_it_does_not_eat_a_large_galaxy(self, save, rng):
        y, x = np.indices((1024, 1024))
        galaxy = 20 * np.exp(-np.hypot(x - 500, y - 520) / 24)  # half-light radius 40 pixels
        image = rng.normal(galaxy + 100, 1)
        found = take(save("a.fits", image), {"fit_sky": True})
        near = np.hypot(x - 500, y - 520) < 120
        lost = 1 - found.flux[near, 0].sum() / galaxy[near].sum()
        assert abs(lost) < 0.01

    def test_noise_is_not_the_galaxies(self, save, rng):
        image = rng.normal(0, 1, (512, 512))
        y, x = rng.integers(10, 500, (2, 150))
        for i in range(-4, 5):
            for j in range(-4, 5):
                image[y + i, x + j] += 40 * np.exp(-(i**2 + j**2) / 6)
        found = take(save("a.fits", image), {"fit_sky": True, "sky_mesh": 64})
        assert_allclose(np.median(found.ivar) ** -0.5, 1, rtol=0.03)

    @pytest.mark.parametrize("shape", [(1, 7), (1, 40), (3, 3), (15, 200), (17, 16), (64, 64)])
    def test_small_images_are_taken_and_doubted(self, save, rng, shape):
        image = save("a.fits", rng.normal(100, 1, shape).astype("f4"))
        weight = save("w.fits", np.ones(shape))
        given, found = (take(image, {"fit_sky": fit}, weight=weight) for fit in (False, True))
        noted = [any("hardly tell" in note for note in one.notes) for one in (given, found)]
        assert noted == [False, min(shape) < 32]
        assert found.flux.shape == (*shape, 1) and abs(found.flux).max() < 6

    def test_tiny_units_do_no_harm(self, save, rng):
        image = save("a.fits", rng.normal(1e-11, 1e-12, (256, 256)).astype("f4"))
        found = take(image, {"fit_sky": True, "zero_point": None})
        assert_allclose(np.median(found.ivar) ** -0.5, 1e-12, rtol=0.02)
        assert abs(found.flux.mean()) < 1e-13


def test_no_wcs_is_allowed(save, pixels):
    found = take(save("a.fits", pixels))
    assert found.wcs is None and np.isnan(found.pixel_scale)
    assert take(save("b.fits", pixels), {"pixel_scale": 0.3}).pixel_scale == 0.3
    assert any("no celestial WCS, nor ingest.pixel_scale" in note for note in found.notes)


def test_nothing_is_warned_of_but_noted(save, pixels):
    header = sky_header(RADECSYS="FK5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = take(save("a.fits", pixels, header))
    assert any("RADECSYS" in note for note in found.notes)


def test_the_inputs_are_not_touched(save, pixels, tmp_path):
    path = save("a.fits", pixels, sky_header())
    before = (tmp_path / "a.fits").read_bytes()
    take(path, {"fit_sky": True})
    assert (tmp_path / "a.fits").read_bytes() == before
