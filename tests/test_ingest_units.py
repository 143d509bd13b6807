"""Zero points and electrons, as surveys write them into their headers."""

import math
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.config import Ingest, Tile
from pipeline.ingest import InputError, ingest
from tests.test_ingest_files import SHAPE, TAN


@pytest.fixture
def pixels(rng):
    return rng.normal(100, 5, SHAPE).astype("f4")


def calibrated(tmp_path, pixels, cards, primary=None, **more):
    path = Path(tmp_path) / "a.fits"
    sci = fits.ImageHDU(pixels, fits.Header(cards), name="SCI")
    first = fits.PrimaryHDU(header=fits.Header(primary or {}))
    fits.HDUList([first, sci]).writeto(path, overwrite=True)
    return ingest(Tile(image={"r": str(path)}), Ingest(**{"fit_sky": False} | more))


def zero_point_of(found, pixels):
    return 31.4 - 2.5 * math.log10(found.flux[3, 4, 0] / pixels[3, 4])


class TestZeroPoint:
    @pytest.mark.parametrize(
        ("cards", "expected"),
        [
            ({"MAGZERO": 27.0}, 27.0),
            ({"MAGZPT": 26.5}, 26.5),
            ({"MAGZPT": 23.0, "EXPTIME": 10.0}, 25.5),
            ({"MAGZPT": 23.0, "EXPTIME": 10.0, "BUNIT": "adu/s"}, 23.0),
            ({"MAGZPT": 23.0, "EXP_TIME": 10.0}, 25.5),
            ({"MAGZPT": 23.0, "EXP_TIME": 10.0, "BUNIT": "counts/exp"}, 25.5),
            ({"MAGZP": "26.5"}, 26.5),
            ({"PHOTZP": 30.0}, 30.0),
            ({"MAGZERO": 29.915, "MAGZPT": 24.842}, 29.915),
            ({"FLUXMAG0": 63095734448.0}, 27.0),
            ({"PHOTFLAM": 7.072e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS/S"}, 25.9405),
            ({"PHOTFLAM": 7.072e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS", "EXPTIME": 100.0},
             30.9405),
            ({"PHOTFLAM": 7.072e-20, "PHOTPLAM": 8045.0, "BUNIT": "photons", "EXPTIME": 100.0},
             30.9405),
            ({"MAGZPT": 23.0, "EXPTIME": 10.0, "BUNIT": "ph"}, 25.5),
            ({"HIERARCH FPA.ZP": 25.0, "EXPTIME": 100.0}, 30.0),
            ({"BUNIT": "1e-20 erg/s/cm2/Angstrom", "PHOTPLAM": 8045.0, "PHOTFLAM": 7e-20}, 28.0644),
            ({"BUNIT": "1E-20 ERGS/S/CM2/A", "PHOTPLAM": 8045.0}, 28.0644),
            ({"BUNIT": "microJy", "PHOTFLAM": 7e-20, "PHOTPLAM": 8045.0}, 23.9),
            ({"BUNIT": "UJY"}, 23.9),
            ({"BUNIT": "nJy"}, 31.4),
            ({"BUNIT": "uJy"}, 23.9),
            ({"BUNIT": "Jy/pixel"}, 8.9),
            ({"BUNIT": "JY/PIXEL"}, 8.9),
            ({"BUNIT": "nanomaggy"}, 22.5),
            ({"BUNIT": "nmgy/pix"}, 22.5),
            ({"BUNIT": "Maggies"}, 0.0),
            ({"BUNIT": "1e-9 NMaggy"}, 45.0),
            ({"BUNIT": "micro-Jy"}, 23.9),
            ({"BUNIT": "3.631 uJy"}, 22.4999),
            ({"BUNIT": "nJy", "MAGZERO": 20.0}, 31.4),
            ({"SURVEY": "DECaLS", "BRICK": "0591m305"}, 22.5),
        ],
    )  # fmt: skip
    def test_as_the_surveys_write_it(self, tmp_path, pixels, cards, expected):
        for where in ({"cards": cards}, {"cards": {}, "primary": cards}):
            found = calibrated(tmp_path, pixels, **where)
            assert found.unit == "nJy"
            assert_allclose(zero_point_of(found, pixels), expected, atol=1e-4)

    @pytest.mark.parametrize("keyword", ["EXPTIME", "BUNIT", "PHOTFLAM"])
    def test_a_keyword_in_the_other_header_counts_too(self, tmp_path, pixels, keyword):
        cards = {"PHOTFLAM": 7.072e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS", "EXPTIME": 100.0}
        names = {keyword, "PHOTPLAM"} if keyword == "PHOTFLAM" else {keyword}
        first = {name: cards.pop(name) for name in names}
        found = calibrated(tmp_path, pixels, cards, first)
        assert_allclose(zero_point_of(found, pixels), 30.9405, atol=1e-4)
        assert any("from PHOTFLAM, of 100 s" in note for note in found.notes)

    def test_counts_of_unknown_exposure_are_noted(self, tmp_path, pixels):
        found = calibrated(tmp_path, pixels, {"MAGZPT": 23.0, "BUNIT": "adu"})
        assert any("no EXPTIME" in note for note in found.notes)

    def test_surface_brightness(self, tmp_path, pixels):
        found = calibrated(tmp_path, pixels, TAN | {"BUNIT": "MJy/sr"})
        area = math.radians(0.18 / 3600) ** 2
        assert_allclose(found.flux[3, 4, 0], pixels[3, 4] * 1e15 * area, rtol=1e-3)
        capital = calibrated(tmp_path, pixels, TAN | {"BUNIT": "MJY/SR", "PHOTFLAM": 7e-20})
        assert_array_equal(capital.flux, found.flux)

    @pytest.mark.parametrize("bunit", ["MJY", "bananas", "Jy/beam", "erg/s/cm2"])
    def test_photflam_is_of_counts_alone(self, tmp_path, pixels, bunit):
        unit, cards = {"BUNIT": bunit}, {"PHOTFLAM": 7.072e-20, "PHOTPLAM": 8045.0}
        for where in ({"cards": unit | cards}, {"cards": unit, "primary": cards}):
            found = calibrated(tmp_path, pixels, **where)
            assert_array_equal(found.flux[..., 0], pixels)
            (doubt,) = (note for note in found.notes if note.endswith("?"))
            assert f"PHOTFLAM was left out, for it is of counts, but BUNIT is '{bunit}'" in doubt

    @pytest.mark.parametrize(("side", "doubted"), [(0.18, False), (0.1815, False), (0.378, True)])
    def test_a_pixel_has_the_area_of_its_coordinates(self, tmp_path, pixels, side, doubted):
        area = math.radians(0.18 / 3600) ** 2
        cards = {"BUNIT": "MJy/sr", "PIXAR_SR": math.radians(side / 3600) ** 2}
        found = calibrated(tmp_path, pixels, TAN | cards)
        assert_allclose(found.flux[3, 4, 0], pixels[3, 4] * 1e15 * area, rtol=1e-3)
        doubts = [note for note in found.notes if note.endswith("?")]
        assert ["PIXAR_SR is 4.41 times" in note for note in doubts] == [True] * doubted

    def test_without_coordinates_a_pixel_has_the_area_that_the_header_says(self, tmp_path, pixels):
        cards = {"BUNIT": "MJy/sr", "PIXAR_SR": 1e-12}
        found = calibrated(tmp_path, pixels, cards)
        assert_allclose(found.flux[3, 4, 0], pixels[3, 4] * 1e3, rtol=1e-6)
        assert calibrated(tmp_path, pixels, {"BUNIT": "MJy/sr"}).unit == "MJy sr-1"

    def test_the_image_comes_before_the_primary(self, tmp_path, pixels):
        found = calibrated(tmp_path, pixels, {"MAGZERO": 27.0}, {"MAGZERO": 25.0})
        assert_allclose(zero_point_of(found, pixels), 27, atol=1e-4)

    def test_the_config_comes_first(self, tmp_path, pixels):
        cards = {"MAGZERO": 27.0, "MYZP": 24.5}
        assert_allclose(
            [zero_point_of(calibrated(tmp_path, pixels, cards, zero_point=z), pixels)
             for z in (25.0, "MYZP", 0.0)],
            [25.0, 24.5, 0.0], atol=1e-4)  # fmt: skip

    @pytest.mark.parametrize("value", [0.0, -21.1, 99.0])
    def test_an_absurd_one_is_an_error(self, tmp_path, pixels, value):
        with pytest.raises(InputError, match=r"a\.fits\[SCI\]: MAGZERO gives .*set ingest\.zero_"):
            calibrated(tmp_path, pixels, {"MAGZERO": value})

    def test_a_missing_keyword_is_an_error(self, tmp_path, pixels):
        with pytest.raises(InputError, match=r"a\.fits\[SCI\]: zero_point names .* NOPE"):
            calibrated(tmp_path, pixels, {}, zero_point="NOPE")

    @pytest.mark.parametrize("own", [26.0, {"r": 26.0}, "MYZP"])
    def test_a_tile_may_have_one_of_its_own(self, tmp_path, pixels, own):
        path = tmp_path / "a.fits"
        fits.PrimaryHDU(pixels, fits.Header({"MYZP": 26.0})).writeto(path)
        tile = Tile(image={"r": str(path)}, zero_point=own)
        found = ingest(tile, Ingest(fit_sky=False, zero_point=27.0))
        assert_allclose(zero_point_of(found, pixels), 26.0, atol=1e-4)
        other = ingest(tile.model_copy(update={"zero_point": {"i": 25}}), Ingest(zero_point=27))
        assert any("zero point 27" in note for note in other.notes)

    def test_no_number_is_no_zero_point(self, tmp_path, pixels):
        assert calibrated(tmp_path, pixels, {"MAGZERO": "UNKNOWN"}).unit == "ct"

    @pytest.mark.parametrize(
        "cards",
        [
            {"PHOTZP": 23.0, "PHOTSYS": "VEGA"},
            {"MAGZP": 20.5, "TELESCOP": "WISE"},
            {"MAGZP": 20.9, "ORIGIN": "2MASS"},
            {"MAGZPT": 23.0, "TELESCOP": "ESO-VISTA", "EXPTIME": 10.0},
        ],
    )
    def test_vega_is_noted(self, tmp_path, pixels, cards):
        found = calibrated(tmp_path, pixels, cards)
        assert any("VEGA" in note and "should ingest.zero_point" in note for note in found.notes)

    @pytest.mark.parametrize(
        "cards", [{"MAGZP": 26.0, "TELESCOP": "ZTF"}, {"PHOTZP": 30.0, "TELESCOP": "ESO-VISTA"}]
    )
    def test_ab_is_not_taken_for_vega(self, tmp_path, pixels, cards):
        found = calibrated(tmp_path, pixels, cards)
        assert not any("VEGA" in note for note in found.notes)

    @pytest.mark.parametrize(
        ("bunit", "unit"),
        [("ADU", "adu"), ("counts", "count"), ("electrons/s", "count s-1"), ("DN", "adu"),
         ("bananas", "ct"), ("", "ct"), ("Jy/beam", "Jy beam-1"), ("JY/BEAM", "Jy beam-1")],
    )  # fmt: skip
    def test_without_one_the_unit_is_the_image_s(self, tmp_path, pixels, bunit, unit):
        found = calibrated(tmp_path, pixels, {"BUNIT": bunit})
        assert found.unit == unit
        assert_array_equal(found.flux[..., 0], pixels)
        assert any("no zero point in the header" in note for note in found.notes)

    @pytest.mark.parametrize("weighed", [False, True])
    @pytest.mark.parametrize("factor", [1e-21, 1e21])
    def test_values_beyond_single_precision_need_one(self, tmp_path, pixels, factor, weighed):
        """As those of images in erg/s/cm2/Angstrom, whose zero points are near -22."""
        path, weight = str(tmp_path / "a.fits"), str(tmp_path / "w.fits")
        fits.PrimaryHDU(pixels * np.float32(factor)).writeto(path)
        fits.PrimaryHDU(np.full(SHAPE, factor, "f4")).writeto(weight)
        tile = Tile(image={"r": path}, weight={"r": weight} if weighed else {})
        with pytest.raises(InputError, match=r"beyond single precision; set ingest\.zero_po"):
            ingest(tile, Ingest(weight_is="rms"))
        zero_point = 31.4 + 2.5 * math.log10(factor)
        if zero_point < 40:
            found = ingest(tile, Ingest(weight_is="rms", zero_point=zero_point, fit_sky=False))
            assert_allclose(found.flux[..., 0], pixels, rtol=1e-4)

    @pytest.mark.parametrize(("kind", "power"), [("ivar", -2), ("rms", 1), ("variance", 2)])
    def test_weights_beyond_single_precision_are_taken(self, tmp_path, pixels, kind, power):
        noise = np.where(np.arange(SHAPE[1]) < 20, 5e-32, 2e-32) * np.ones(SHAPE)
        path, weight = str(tmp_path / "a.fits"), str(tmp_path / "w.fits")
        fits.PrimaryHDU(pixels * 1e-31, fits.Header({"BUNIT": "erg/s/cm2/Hz"})).writeto(path)
        fits.PrimaryHDU(noise**power).writeto(weight)
        tile = Tile(image={"r": path}, weight={"r": weight})
        found = ingest(tile, Ingest(weight_is=kind, fit_sky=False))
        assert_allclose(found.ivar[..., 0], (noise * 1e32) ** -2, rtol=1e-5)

    def test_a_large_value_for_missing_pixels_is_none_of_them(self, tmp_path, pixels):
        pixels[:25] = 1e30
        found = calibrated(tmp_path, pixels, {})
        assert (found.ivar[25:] > 0).all()
        assert not found.ivar[:25].any()


class TestElectrons:
    def test_gain_is_per_flux_unit(self, tmp_path, pixels):
        cards = {"MAGZERO": 28.9, "GAIN": 2.0, "SATURATE": 5000.0}
        found = calibrated(tmp_path, pixels, cards)
        assert_allclose(found.gain, [0.2], rtol=1e-5)
        assert_allclose(found.saturation, [50000.0], rtol=1e-5)
        assert_allclose(calibrated(tmp_path, pixels, cards, gain=3.0).gain, [0.3], rtol=1e-5)

    @pytest.mark.parametrize(
        ("bunit", "gain"), [("ELECTRONS", 1.0), ("electrons/s", 900.0), ("e/s", 900.0), ("e", 1.0)]
    )
    def test_counts_of_electrons(self, tmp_path, pixels, bunit, gain):
        cards = {"BUNIT": bunit, "EXPTIME": 900.0, "GAIN": 7.0}
        assert calibrated(tmp_path, pixels, cards).gain == (gain,)

    @pytest.mark.parametrize("bunit", ["ADU/s", "counts s-1", "electron / s"])
    def test_rates_need_the_time(self, tmp_path, pixels, bunit):
        cards = {"BUNIT": bunit, "GAIN": 2.0}
        assert calibrated(tmp_path, pixels, cards).gain == (0.0,)
        per_second = 1.0 if "electron" in bunit else 2.0
        found = calibrated(tmp_path, pixels, cards | {"EXPTIME": 20.0})
        assert found.gain == (20 * per_second,)

    @pytest.mark.parametrize("gain", [40.0, 1800.0])
    def test_the_gain_of_a_count_a_second_is_taken_as_it_is(self, tmp_path, pixels, gain):
        cards = {"BUNIT": "ADU/s", "GAIN": gain, "EXPTIME": 900.0}
        found = calibrated(tmp_path, pixels, cards)
        assert found.gain == (gain,)
        assert any("from GAIN, taken for that of a count/s" in note for note in found.notes)

    def test_a_header_s_gain_is_not_taken_with_a_weight(self, tmp_path, pixels):
        path, weight = str(tmp_path / "b.fits"), str(tmp_path / "w.fits")
        fits.PrimaryHDU(pixels, fits.Header({"GAIN": 2.0})).writeto(path)
        fits.PrimaryHDU(np.ones(SHAPE)).writeto(weight)
        tile = Tile(image={"r": path}, weight={"r": weight})
        assert ingest(tile, Ingest()).gain == (0.0,)
        assert ingest(tile, Ingest(gain="GAIN")).gain == (2.0,)
        assert ingest(tile, Ingest(gain=3.0)).gain == (3.0,)

    def test_an_impossible_gain_is_not_believed(self, tmp_path, pixels):
        found = calibrated(tmp_path, pixels, {"GAIN": 1e-3})
        assert found.gain == (0.0,)
        assert any("gain is not believed" in note for note in found.notes)

    def test_saturation_is_above_the_sky(self, tmp_path, pixels):
        found = calibrated(tmp_path, pixels, {"SATURATE": 5000.0}, fit_sky=True)
        assert_allclose(found.saturation, [4900.0], rtol=1e-3)
        found = calibrated(tmp_path, pixels, {"SATURATE": 101.0}, fit_sky=True)
        assert found.saturation == (np.inf,)

    def test_saturation_is_what_several_share_far_above_the_sky(self, tmp_path, pixels):
        assert calibrated(tmp_path, np.minimum(pixels, 110), {}).saturation == (np.inf,)
        for n, level in ((7, np.inf), (8, 5000.0)):
            pixels[20, :n] = 5000
            assert calibrated(tmp_path, pixels, {}).saturation == (level,)

    def test_a_saturated_pixel_keeps_its_flux(self, tmp_path, pixels):
        pixels[5, 5] = 6000
        found = calibrated(tmp_path, pixels, {"SATURATE": 5000.0})
        assert found.flux[5, 5, 0] == 6000 and found.ivar[5, 5, 0] > 0
