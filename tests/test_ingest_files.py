"""Other people's files: how they are named, stored and damaged."""

import gzip
import math

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.ingest import InputError
from pipeline.ingest.fitsfile import image_names, read_bits, read_image, split_name

SHAPE = 40, 50
TAN = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRPIX1": 20.5,
    "CRPIX2": 10.0,
    "CD1_1": -5e-5,
    "CD1_2": 1e-6,
    "CD2_1": 1e-6,
    "CD2_2": 5e-5,
}


@pytest.fixture
def pixels(rng):
    return rng.normal(100, 5, SHAPE).astype("f4")


@pytest.fixture
def mef(tmp_path, pixels):
    """A file of several extensions."""
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])], name="CAT")
    sci, wht = fits.ImageHDU(pixels, name="SCI"), fits.ImageHDU(pixels + 1, name="WHT")
    second = fits.ImageHDU(pixels + 2, name="SCI", ver=2)
    path = tmp_path / "m.fits"
    fits.HDUList([fits.PrimaryHDU(), sci, table, wht, second]).writeto(path)
    return path


class TestNames:
    @pytest.mark.parametrize(
        ("hdu", "plus"),
        [("", 0), ("[SCI]", 0), ("[sci]", 0), ("[1]", 0), ("[WHT]", 1), ("[3]", 1), ("[SCI,2]", 2)],
    )
    def test_an_hdu_by_name_or_number(self, mef, pixels, hdu, plus):
        assert_array_equal(read_image(f"{mef}{hdu}").data, pixels + plus)

    @pytest.mark.parametrize(
        ("named", "listed"),
        [
            (["A", "", "B"], ["A", "2", "B"]),
            (["A,1", "B", "A,2"], ["A,1", "B", "A,2"]),
            (["A", "A", "A,2"], ["1", "2", "A,2"]),
        ],
    )
    def test_every_image_is_listed_by_a_name_of_its_own(self, tmp_path, pixels, named, listed):
        hdus = [fits.PrimaryHDU()]
        for i, (name, _, version) in enumerate(said.partition(",") for said in named):
            hdus.append(fits.ImageHDU(pixels + i, name=name, ver=int(version or 1)))
        fits.HDUList(hdus).writeto(tmp_path / "a.fits")
        names = image_names(tmp_path / "a.fits")
        assert names == listed
        for i, name in enumerate(names):
            assert_array_equal(read_image(f"{tmp_path}/a.fits[{name}]").data, pixels + i)

    def test_a_file_with_brackets_in_its_name(self, tmp_path, pixels):
        path = tmp_path / "a[1].fits[2]"
        fits.PrimaryHDU(pixels).writeto(path)
        assert split_name(str(path)) == (str(path), None)
        assert_array_equal(read_image(str(path)).data, pixels)
        assert_array_equal(read_image(f"{path}[0]").data, pixels)

    def test_the_first_of_several_images_is_noted(self, mef):
        assert any("first of 3 images" in note for note in read_image(str(mef)).notes)

    @pytest.mark.parametrize("hdu", ["NOPE", "9", "SCI,7", ""])
    def test_a_missing_hdu_lists_those_there_are(self, mef, hdu):
        with pytest.raises(InputError, match=r"no such HDU; there are 0 PRIMARY .*1 SCI 50x40"):
            read_image(f"{mef}[{hdu}]")

    @pytest.mark.parametrize("hdu", ["CAT", "0"])
    def test_an_hdu_without_image(self, mef, hdu):
        with pytest.raises(InputError, match=r"holds no image; there are .*2 CAT table"):
            read_image(f"{mef}[{hdu}]")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"nope\.fits: no such file"):
            read_image(str(tmp_path / "nope.fits[SCI]"))

    @pytest.mark.parametrize(
        ("where", "remedy"), [("https://a.org/~b", "download it"), ("~/c.fits", "home folder")]
    )
    def test_what_is_no_path_is_said_as_it_was_given(self, where, remedy):
        with pytest.raises(InputError, match=f"^{where}: no such file .*; .*{remedy}"):
            read_image(f"{where}[SCI]")

    def test_a_folder_is_no_file(self, tmp_path):
        with pytest.raises(InputError, match="set the tile's window instead"):
            read_image(f"{tmp_path}/a.fits[SCI][1:100,*]")
        with pytest.raises(InputError, match="no such file"):
            read_image(str(tmp_path))

    def test_a_file_without_image(self, tmp_path):
        fits.PrimaryHDU().writeto(tmp_path / "a.fits")
        with pytest.raises(InputError, match=r"a\.fits: no HDU holds .*0 PRIM.*copied whole"):
            read_image(str(tmp_path / "a.fits"))


class TestStorage:
    @pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
    def test_tile_compression(self, tmp_path, pixels, kind):
        hdu = fits.CompImageHDU(pixels, compression_type=kind, quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits.fz")
        assert_allclose(read_image(str(tmp_path / "a.fits.fz")).data, pixels, atol=0.4)

    def test_compressed_integers_and_masks(self, tmp_path):
        mask = np.arange(2000, dtype="i4").reshape(SHAPE)
        hdu = fits.CompImageHDU(mask, compression_type="PLIO_1")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits.fz")
        assert_array_equal(read_bits(str(tmp_path / "a.fits.fz")).data, mask)

    def test_gzip(self, tmp_path, pixels):
        fits.PrimaryHDU(pixels).writeto(tmp_path / "a.fits.gz")
        assert_array_equal(read_image(str(tmp_path / "a.fits.gz")).data, pixels)

    @pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
    def test_every_type_becomes_native_float32(self, tmp_path, dtype):
        data = (np.arange(2000) % 100).reshape(SHAPE).astype(dtype)
        fits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
        found = read_image(str(tmp_path / "a.fits")).data
        assert found.dtype == np.dtype("f4") and found.dtype.isnative
        assert found.flags.c_contiguous and found.flags.writeable
        assert_array_equal(found, data)

    @pytest.mark.parametrize("kind", ["plain", "compressed"])
    def test_scaled_integers_and_blanks(self, tmp_path, kind):
        raw = np.arange(2000, dtype="i2").reshape(SHAPE)
        hdu = fits.PrimaryHDU(raw) if kind == "plain" else fits.CompImageHDU(raw)
        hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 10.0, 7
        path = tmp_path / "a.fits"
        hdus = [hdu] if kind == "plain" else [fits.PrimaryHDU(), hdu]
        fits.HDUList(hdus).writeto(path)
        with fits.open(path, do_not_scale_image_data=True) as again:
            assert again[-1].header["BSCALE"] == 0.5
        found = read_image(str(path)).data
        assert np.isnan(found[0, 7]) and np.isnan(found).sum() == 1
        assert_allclose(np.delete(found.ravel(), 7), np.delete(raw.ravel() * 0.5 + 10, 7))

    def test_asinh_scaling_is_undone(self, tmp_path):
        flux = np.linspace(-100, 1e5, 2000).reshape(SHAPE)
        stored = 2.5 / math.log(10) * np.arcsinh((flux - 2) / (2 * 90))
        header = fits.Header({"BSOFTEN": 90.0, "BOFFSET": 2.0})
        fits.PrimaryHDU(stored, header).writeto(tmp_path / "a.fits")
        assert_allclose(read_image(str(tmp_path / "a.fits")).data, flux, rtol=1e-5, atol=1e-4)

    def test_too_large_a_value_is_no_number(self, tmp_path):
        fits.PrimaryHDU(np.full(SHAPE, 1e300)).writeto(tmp_path / "a.fits")
        assert np.isinf(read_image(str(tmp_path / "a.fits")).data).all()


class TestDamage:
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.7])
    @pytest.mark.parametrize("kind", ["a.fits", "a.fits.gz", "a.fits.fz"])
    def test_a_truncated_file(self, tmp_path, pixels, kind, share):
        path = tmp_path / kind
        plain = fits.HDUList([fits.PrimaryHDU(pixels)])
        tiles = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)])
        (tiles if kind.endswith("fz") else plain).writeto(path)
        stored = path.read_bytes()
        path.write_bytes(stored[: int(share * len(stored))])
        with pytest.raises(InputError, match=r"a\.fits"):
            read_image(str(path))

    def test_the_message_says_truncated(self, tmp_path, pixels):
        path = tmp_path / "a.fits"
        fits.PrimaryHDU(pixels).writeto(path)
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(
            InputError, match=r"a\.fits\[PRIMARY\]: truncated, 9000 bytes of.*10880"
        ):
            read_image(str(path))

    def test_missing_padding_is_forgiven_and_noted(self, tmp_path, pixels):
        path = tmp_path / "a.fits"
        fits.PrimaryHDU(pixels).writeto(path)
        path.write_bytes(path.read_bytes()[: 2880 + pixels.nbytes])
        found = read_image(str(path))
        assert_array_equal(found.data, pixels)
        assert any("truncated" in note for note in found.notes)

    def test_what_lies_beyond_the_image_does_not_matter(self, mef, pixels):
        mef.write_bytes(mef.read_bytes()[:-9000])
        assert_array_equal(read_image(f"{mef}[SCI]").data, pixels)
        with pytest.raises(InputError, match=r"m\.fits"):
            read_image(f"{mef}[SCI,2]")

    @pytest.mark.parametrize("content", [b"", b"not FITS", b"SIMPLE  =" + b" " * 3000, b"\x1f\x8b"])
    def test_not_fits(self, tmp_path, content):
        path = tmp_path / "a.fits"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.fits: cannot be read .*is it FITS"):
            read_image(str(path))

    @pytest.mark.parametrize(
        ("hdu", "key", "rows", "pack"),
        [
            (fits.PrimaryHDU, "NAXIS2", 10**8, bytes),
            (fits.PrimaryHDU, "NAXIS2", 10**6, gzip.compress),
            (fits.CompImageHDU, "ZNAXIS2", 10**6, bytes),
        ],
    )
    def test_an_incredible_size(self, tmp_path, hdu, key, rows, pack):
        """It is refused before there is memory asked for."""
        path = tmp_path / "a.fits"
        hdu(np.ones(SHAPE, "f4")).writeto(path)
        card, huge = (f"{key:8}= {n:>20}".encode() for n in (40, rows))
        path.write_bytes(pack(path.read_bytes().replace(card, huge)))
        with pytest.raises(InputError, match="the header is damaged"):
            read_image(str(path))

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        places=st.lists(st.integers(0, 3600), min_size=1, max_size=8),
        bytes_=st.binary(min_size=8, max_size=8),
    )
    def test_a_damaged_header_gives_an_image_or_an_input_error(self, tmp_path, places, bytes_):
        path = tmp_path / "d.fits"
        header = fits.Header(TAN | {"BUNIT": "ADU"})
        fits.PrimaryHDU(np.ones(SHAPE, "i2"), header).writeto(path, overwrite=True)
        stored = bytearray(path.read_bytes())
        for place, byte in zip(places, bytes_, strict=False):
            stored[place] = byte
        path.write_bytes(stored)
        try:
            assert read_image(str(path)).data.ndim == 2
        except InputError as error:
            assert "d.fits" in str(error)
