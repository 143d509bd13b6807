"""A large image is worked through in parts that overlap, each read by itself."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config
from pipeline.config.tile import Tile
from pipeline.ingest import InputError, ingest
from pipeline.planning import inputs, plan
from pipeline.planning.parts import OVERLAP, _starts, split
from tests.detected import detect

SIDE = 300
WINDOW = 40, 90, 240, 250
AS_GIVEN = config.Ingest(zero_point=27.0, fit_sky=False)
LOSSLESS = dict(compression_type="GZIP_2", tile_shape=(32, 32), quantize_level=0)
EXACT = dict(rtol=1e-6, atol=1e-6)


def header(scale=0.2, side=SIDE, sip=False):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if sip else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [(side + 1) / 2] * 2
    wcs.wcs.cd = np.diag([-scale, scale]) / 3600
    made = wcs.to_header(relax=True)
    if sip:
        made.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": -2e-5})
    return made


def planes(rng, side=SIDE):
    image = rng.normal(size=(side, side)).astype("f4")
    mask = (rng.random((side, side)) < 0.02).astype("u2") * 2**15
    return image, rng.uniform(0.5, 2, (side, side)).astype("f4"), mask


@pytest.fixture
def files(tmp_path, rng):
    """A tile of one band; `kind` says how its files are stored."""

    def files(kind):
        sip = kind == "sip"
        names = "image", "weight", "mask"
        for name, plane in zip(names, planes(rng), strict=True):
            hdu = fits.PrimaryHDU(plane, header(sip=sip))
            if kind == "compressed":
                hdu = fits.CompImageHDU(plane, header(), **LOSSLESS)
            elif kind == "cube of one":
                hdu = fits.PrimaryHDU(plane[None], header())
            hdu.writeto(tmp_path / f"{name}.fits{'.gz' * (kind == 'gz')}")
        end = "[1]" if kind == "compressed" else ".gz" * (kind == "gz")
        return Tile(**{name: {"r": f"{tmp_path}/{name}.fits{end}"} for name in names})

    return files


@given(st.integers(1, 40_000), st.integers(1024, 9000))
def test_parts_cover_all_and_overlap(length, side):
    starts = np.array(_starts(length, side))
    ends = np.minimum(starts + side, length)
    assert starts[0] == 0 and ends[-1] == length
    assert (ends[:-1] - starts[1:] >= OVERLAP).all()
    assert len({*(ends - starts)}) == 1


@pytest.mark.parametrize("kind", ["plain", "compressed", "sip", "cube of one", "gz"])
def test_a_window_is_what_the_whole_has_there(files, kind):
    tile = files(kind)
    whole, part = (ingest(each, AS_GIVEN) for each in (tile, windowed(tile)))
    x0, y0, x1, y1 = WINDOW
    assert_allclose(part.flux, whole.flux[y0:y1, x0:x1], **EXACT)
    assert_allclose(part.ivar, whole.ivar[y0:y1, x0:x1], **EXACT)
    assert 0.01 < (part.ivar == 0).mean() < 0.03
    there = whole.wcs.pixel_to_world(x0 + 10.0, y0 + 20.0)
    assert part.wcs.pixel_to_world(10.0, 20.0).separation(there).arcsec < 1e-4
    assert_allclose(part.pixel_scale, 0.2, rtol=0.01)
    if kind == "plain":
        assert plan.megabytes(windowed(tile), inputs.stamps(tile)) == 4e-6 * 3 * 200 * 160


def windowed(tile, window=WINDOW):
    return tile.model_copy(update={"window": window})


def test_planes_of_a_cube_and_another_grid(tmp_path, rng):
    image, weight, _ = planes(rng)
    fits.PrimaryHDU(np.stack([image, 2 * image]), header()).writeto(tmp_path / "cube.fits")
    cube = Tile(image=dict.fromkeys("gr", str(tmp_path / "cube.fits")))
    x0, y0, x1, y1 = WINDOW
    part = ingest(windowed(cube), AS_GIVEN)
    assert_allclose(part.flux[..., 0], part.flux[..., 1] / 2, **EXACT)
    fits.PrimaryHDU(image, header()).writeto(tmp_path / "r.fits")
    fits.PrimaryHDU(weight, header()).writeto(tmp_path / "w.fits")
    side = 200
    coarse = fits.PrimaryHDU(rng.normal(size=(side, side)).astype("f4"), header(0.3, side))
    coarse.writeto(tmp_path / "i.fits")
    tile = Tile(
        image={band: str(tmp_path / f"{band}.fits") for band in "ri"},
        weight={band: str(tmp_path / "w.fits") for band in "r"},
    )
    whole, part = (ingest(each, AS_GIVEN) for each in (tile, windowed(tile)))
    assert_allclose(part.flux, whole.flux[y0:y1, x0:x1], atol=0.01 * np.std(whole.flux[..., 1]))
    assert_array_equal(part.ivar > 0, whole.ivar[y0:y1, x0:x1] > 0)


def test_a_window_without_pixels_is_no_error(tmp_path, rng):
    """As in the empty corners of a mosaic; of another band, too."""
    image, _, _ = planes(rng)
    image[:, :100] = np.nan
    fits.PrimaryHDU(image, header()).writeto(tmp_path / "r.fits")
    fits.PrimaryHDU(image[:, ::-1], header()).writeto(tmp_path / "i.fits")
    tile = Tile(image={band: str(tmp_path / f"{band}.fits") for band in "ri"})
    left = ingest(windowed(tile, (0, 0, 100, 120)), AS_GIVEN)
    assert left.flux.shape == (120, 100, 2) and not left.ivar.any()
    assert len(detect(left, config.Detect(psf_fwhm=3.0))) == 0
    right = ingest(windowed(tile, (200, 0, 300, 120)), AS_GIVEN)
    assert_array_equal((right.ivar > 0).any(axis=(0, 1)), [True, False])
    assert "band i has no usable pixel here" in right.notes


def test_a_tile_is_split_by_its_detection_band(tmp_path):
    fits.PrimaryHDU(np.zeros((1500, 2100), "u1")).writeto(tmp_path / "i.fits")
    image = {"r": "none.fits", "i": str(tmp_path / "i.fits")}
    values = {"detect": {"band": "i"}, "tiles": {"m": {"image": image, "split": 1200}}}
    parts = split(config.read(values)).tiles
    assert {name: part.window for name, part in parts.items()} == {
        "m_0_0": (0, 0, 1200, 1200),
        "m_900_0": (900, 0, 2100, 1200),
        "m_0_300": (0, 300, 1200, 1500),
        "m_900_300": (900, 300, 2100, 1500),
    }
    small = config.read({"tiles": {"m": {"image": {"i": image["i"]}, "split": 2100}}})
    assert split(small).tiles["m"].window is None
    missing = config.read({"tiles": {"m": {"image": {"r": "none.fits"}, "split": 2100}}})
    assert list(split(missing).tiles) == ["m"]
    values["tiles"]["m_0_300"] = {"image": image}
    with pytest.raises(ValueError, match="m_0_300 is called as another tile is"):
        split(config.read(values))


def test_shapes_without_wcs_must_agree_in_a_window_too(tmp_path, rng):
    for band, side in {"g": 300, "r": 290}.items():
        fits.PrimaryHDU(rng.normal(size=(side, side))).writeto(tmp_path / f"{band}.fits")
    tile = Tile(image={band: f"{tmp_path}/{band}.fits" for band in "gr"})
    for each in (tile, windowed(tile)):
        with pytest.raises(InputError, match=r"r\.fits.*: shape \(290, 290\) but .*g\.fits.*resa"):
            ingest(each, AS_GIVEN)


def test_what_a_window_may_not_be(files):
    tile = files("plain")
    with pytest.raises(InputError, match="300x300 pixels do not hold the window"):
        ingest(windowed(tile, (0, 0, 100, 301)), AS_GIVEN)
    for wrong in ({"window": [5, 5, 5, 9]}, {"window": [0, 0, 9, 9], "split": 2048}):
        with pytest.raises(ValueError, match=r"has no pixel|not both"):
            config.read({"tiles": {"t": {"image": {"r": "a"}, **wrong}}})
