"""Damaged HCOMPRESS tiles are refused before the decoder, which they would crash, sees them."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from pipeline.ingest.fitsfile import InputError, read_image


def packed(path, shape=(200, 300), tile=(50, 300), kind="HCOMPRESS_1"):
    pixels = np.random.default_rng(1).integers(900, 1100, shape, "i4")
    image = fits.CompImageHDU(pixels, name="SCI", compression_type=kind, tile_shape=tile)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    with fits.open(path) as hdus:
        rows = hdus[1]._bintable.header["NAXIS2"]
        return pixels, hdus[1].fileinfo()["datLoc"], hdus[1].fileinfo()["datLoc"] + 8 * rows


def overwrite(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize("tile", [(50, 300), (48, 64), (204, 300), (8, 290)])
def test_sound_tiles_are_read(tmp_path, tile):
    pixels, *_ = packed(tmp_path / "a.fits.fz", (204, 300), tile)
    assert_allclose(read_image(str(tmp_path / "a.fits.fz")).data, pixels)


@pytest.mark.parametrize(
    "at, content",
    [(0, b"xx"), (2, b"\x7f\0\0\0"), (6, b"\0\0\0\1"), (22, b"\xff"), (24, b"\x80")],
)
def test_a_stream_that_lies_about_its_tile_is_refused(tmp_path, at, content):
    _, _, heap = packed(tmp_path / "a.fits.fz")
    overwrite(tmp_path / "a.fits.fz", heap + at, content)
    with pytest.raises(InputError, match=r"a\.fits\.fz\[SCI\]: compressed tile 1 is damaged; copy"):
        read_image(str(tmp_path / "a.fits.fz"))


@pytest.mark.parametrize("place", [(2**30, 0), (100, 2**30), (100, -5), (3, 0)])
def test_a_tile_that_lies_beyond_the_file_is_refused(tmp_path, place):
    _, rows, _ = packed(tmp_path / "a.fits.fz")
    overwrite(tmp_path / "a.fits.fz", rows + 16, np.array(place, ">i4").tobytes())
    with pytest.raises(InputError, match="compressed tile 3 is damaged"):
        read_image(str(tmp_path / "a.fits.fz"))


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_other_compressions_are_left_to_their_own_checks(tmp_path, kind):
    pixels, *_ = packed(tmp_path / "a.fits.fz", kind=kind)
    assert_allclose(read_image(str(tmp_path / "a.fits.fz")).data, pixels)
