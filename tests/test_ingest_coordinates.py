"""Other people's coordinates: projections, dialects and distortions."""

import errno
import math

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable
from numpy.testing import assert_allclose

from pipeline.config import Ingest, Tile
from pipeline.ingest import InputError, ingest
from pipeline.ingest.coordinates import celestial
from pipeline.ingest.fitsfile import read_image
from pipeline.ingest.look import look
from pipeline.ingest.regrid import pixel_side
from tests.test_ingest_files import SHAPE, TAN


@pytest.fixture
def pixels(rng):
    return rng.normal(100, 5, SHAPE).astype("f4")


PV = {"0": 1e-4, "1": 1.01, "2": 1e-3, "4": 2e-2, "5": 1e-2, "6": -2e-2, "7": 0.5}
TPV = TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
TPV |= {f"PV{axis}_{i}": value for axis in (1, 2) for i, value in PV.items()}
SCAMP = TPV | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
POLYNOMIAL = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 2e-5}
SIP = TAN | POLYNOMIAL | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
ZPN = TAN | {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 42.0}


def sky_of(cards):
    wcs, notes = celestial(fits.Header({"NAXIS1": 50, "NAXIS2": 40} | cards), None)
    x, y = np.array([0, 49, 0, 49, 20.0]), np.array([0, 0, 39, 39, 17.0])
    again = WCS(wcs.to_header(relax=True)).pixel_to_world(x, y)
    position = wcs.pixel_to_world(x, y)
    assert position.separation(again).to_value("mas").max() < 1e-3  # our own format keeps it
    return position, notes


class TestCoordinates:
    @pytest.mark.parametrize("cards", [TAN, TPV, SIP, ZPN])
    def test_astropy_agrees(self, cards):
        x, y = np.array([0, 49, 0, 49, 20.0]), np.array([0, 0, 39, 39, 17.0])
        expected = WCS(fits.Header(cards)).pixel_to_world(x, y)
        assert sky_of(cards)[0].separation(expected).to_value("mas").max() < 1e-3

    @pytest.mark.parametrize(
        ("dialect", "cards", "said"),
        [
            (SCAMP, TPV, "read as TPV"),
            (SCAMP | POLYNOMIAL, TPV, "read as TPV"),
            (TAN | POLYNOMIAL, SIP, "read as SIP; is that right?"),
            (TAN | POLYNOMIAL | {"D001VER": "WDRIZZLE"}, TAN, "left out, since"),
            (TPV | POLYNOMIAL, TPV, "left out"),
            ({k: v for k, v in TPV.items() if k.startswith("PV")} | SIP, SIP, "left out"),
            (TAN | {"PV1_1": 0.0, "PV2_1": 0.0, "PV2_5": 0.0}, TAN, "left out"),
        ],
    )
    def test_dialects_of_tan(self, dialect, cards, said):
        (found, notes), (expected, _) = sky_of(dialect), sky_of(cards)
        assert found.separation(expected).to_value("mas").max() < 1e-3
        assert said in notes[0]

    @pytest.mark.parametrize(("cards", "expected"), [(TAN | POLYNOMIAL, TAN), (SIP, SIP)])
    def test_a_drizzled_image_is_distorted_only_if_it_says_so(
        self, tmp_path, pixels, cards, expected
    ):
        first = fits.PrimaryHDU(header=fits.Header({"NDRIZIM": 4, "D001DATA": "a_flt.fits"}))
        sci = fits.ImageHDU(pixels, fits.Header(cards), name="SCI")
        fits.HDUList([first, sci]).writeto(tmp_path / "a.fits")
        image = read_image(str(tmp_path / "a.fits"))
        there = WCS(fits.Header(expected)).pixel_to_world([0, 49], [0, 39])
        distance = image.wcs.pixel_to_world([0, 49], [0, 39]).separation(there)
        assert distance.to_value("mas").max() < 1e-3
        assert bool(image.notes) == (cards is not SIP)

    def test_scale_and_rotation_in_three_ways(self):
        base = {k: v for k, v in TAN.items() if not k.startswith("CD")}
        base |= {"CDELT1": -5e-5, "CDELT2": 5e-5}
        sine, cosine = math.sin(math.radians(30)), math.cos(math.radians(30))
        pc = {"PC1_1": cosine, "PC1_2": sine, "PC2_1": -sine, "PC2_2": cosine}
        signs = {"CD1_1": -1, "CD1_2": -1, "CD2_1": 1, "CD2_2": 1}
        cd = {k: 5e-5 * s * v for (k, s), v in zip(signs.items(), pc.values(), strict=True)}
        rotated = sky_of(base | {"CROTA2": 30.0})[0]
        for cards in (base | pc, {k: v for k, v in TAN.items() if k[:2] != "CD"} | cd):
            assert sky_of(cards)[0].separation(rotated).to_value("mas").max() < 1e-3

    def test_pixel_scale_is_of_the_image_not_of_cdelt(self):
        wcs, _ = celestial(fits.Header({"NAXIS1": 50, "NAXIS2": 40} | TPV), None)
        assert_allclose(pixel_side(wcs, SHAPE), 0.18 * 1.01, rtol=2e-3)

    def test_a_distortion_kept_as_images_survives_our_format(self, tmp_path, pixels):
        y, x = np.indices(SHAPE, dtype="f4")
        wcs = WCS(fits.Header(TAN))
        wcs.cpdis1 = DistortionLookupTable(2e-5 * x * y, (1, 1), (1, 1), (1, 1))
        wcs.cpdis2 = DistortionLookupTable(1e-4 * x**2, (1, 1), (1, 1), (1, 1))
        hdus = wcs.to_fits(relax=True)
        hdus[0].data = pixels
        hdus.writeto(tmp_path / "a.fits")
        image = read_image(str(tmp_path / "a.fits"))
        with fits.open(tmp_path / "a.fits") as hdus:
            expected = WCS(hdus[0].header, hdus)
            assert expected.cpdis1 is not None
        found = WCS(image.wcs.to_header(relax=True))
        grid = np.array([0, 49, 0, 49, 20.0]), np.array([0, 0, 39, 39, 17.0])
        distance = found.pixel_to_world(*grid).separation(expected.pixel_to_world(*grid))
        assert distance.to_value("mas").max() < 1
        assert any("SIP polynomial" in note for note in image.notes)

    @pytest.mark.parametrize("declination", [0.0, 60.0, -89.99])
    @pytest.mark.parametrize("ra", [0.0, 180.0, 359.9999])
    def test_pixel_scale_anywhere_on_the_sky(self, ra, declination):
        cards = TAN | {"CRVAL1": ra, "CRVAL2": declination}
        wcs, _ = celestial(fits.Header({"NAXIS1": 50, "NAXIS2": 40} | cards), None)
        assert_allclose(pixel_side(wcs, SHAPE), 0.18, rtol=1e-3)

    @pytest.mark.parametrize("longer", [1.0, 2.0])
    def test_pixels_that_are_not_square_are_noted(self, tmp_path, pixels, longer):
        cards = TAN | {"CD1_1": longer * TAN["CD1_1"], "CD2_1": longer * TAN["CD2_1"]}
        fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(tmp_path / "a.fits")
        found = ingest(Tile(image={"r": str(tmp_path / "a.fits")}), Ingest())
        said = [note for note in found.notes if "2.00 times as long as wide" in note]
        assert len(said) == (longer == 2)
        assert_allclose(found.pixel_scale, 0.18 * longer**0.5, rtol=1e-3)

    @pytest.mark.parametrize("off", [0.0, 0.3, 0.5])
    def test_pixel_scale_at_the_pole(self, off):
        centre = {"CRVAL2": 90.0, "CRPIX1": SHAPE[1] / 2 + 0.5 + off, "CRPIX2": SHAPE[0] / 2 + 0.5}
        wcs, _ = celestial(fits.Header({"NAXIS1": 50, "NAXIS2": 40} | TAN | centre), None)
        assert_allclose(pixel_side(wcs, SHAPE), 0.18, rtol=1e-3)

    def test_a_system_that_is_not_known_is_taken_for_icrs(self):
        found, notes = sky_of(TAN | {"RADESYS": "GAPPT", "EQUINOX": 2000.0})
        assert found.separation(sky_of(TAN)[0]).to_value("mas").max() < 1e-3
        assert notes == ("RADESYS is 'GAPPT' and was taken for ICRS; is that right?",)

    def test_galactic_coordinates(self):
        found, _ = sky_of(TAN | {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "RADESYS": "ICRS"})
        centre = SkyCoord(150, 2, unit="deg", frame="galactic")
        assert found.separation(centre).arcsec.max() < 10

    @pytest.mark.parametrize(
        "cards",
        [
            {"CD1_1": 0.0, "CD1_2": 0.0},
            {"CTYPE2": "DEC--SIN"},
            {"CRVAL1": "10:00:00.0"},
            {"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"},
            {"RADESYS": "B1950", "EQUINOX": 1950.0},
        ],
    )
    def test_nonsense_is_an_error(self, tmp_path, pixels, cards):
        path = tmp_path / "a.fits"
        fits.PrimaryHDU(pixels, fits.Header(TAN | cards)).writeto(path)
        with pytest.raises(InputError, match=r"a\.fits\[PRIMARY\]: the coordinates cannot be und"):
            read_image(str(path))

    @pytest.mark.parametrize(
        "error", [OSError(errno.ESTALE, "Stale"), OSError(errno.ENOTCONN, "Fuse")]
    )
    @pytest.mark.parametrize("module", ["fitsfile", "look"])
    def test_a_disk_that_does_not_answer_is_not_the_coordinates(
        self, tmp_path, pixels, monkeypatch, module, error
    ):
        def failed(*_):
            raise error

        monkeypatch.setattr(f"pipeline.ingest.{module}.celestial", failed)
        fits.PrimaryHDU(pixels, fits.Header(TAN)).writeto(tmp_path / "a.fits")
        with pytest.raises(OSError, match=error.strerror):
            {"fitsfile": read_image, "look": look}[module](str(tmp_path / "a.fits"))
