from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import io
from pipeline.data import Cutouts
from pipeline.stamps import planes
from pipeline.stamps.masks import corner_in_tile, enlarge, expand, on_tile, side_in_tile
from pipeline.storage import cubes


def stamps_of(binning, size=8):
    """Stamps whose sources are in the pixels (100, 200), (101, 200)..."""
    n, binning = len(binning), np.asarray(binning, int)
    centre = np.column_stack([100 + np.arange(n), np.full(n, 200)])
    corner = centre - ((size // 2) * binning + binning // 2)[:, None]
    none = np.zeros((n, size, size, 1), "f4")
    return Cutouts(none, none, np.arange(n) + 5, corner, ("r",), binning=binning)


def write_masks(path, stamps, maps):
    """Write maps of stamps, some after the others."""
    with io.new_masks(path, stamps, *maps) as keep:
        for rows in io.parts(len(stamps)):
            keep(rows, {name: values[rows] for name, values in maps.items()})


@pytest.mark.parametrize(
    ("binning", "expected"),
    [
        ([], 64),
        ([1, 1, 1], 64),
        ([1] * 98 + [7, 9], 64),
        ([1] * 97 + [3, 7, 9], 192),
        ([16] * 3, 512),
    ],
)
def test_squares_hold_nearly_all_stamps(binning, expected):
    assert side_in_tile(np.array(binning, int), 64) == expected


def test_squares_are_multiples_of_the_stamps_and_at_least_one():
    assert side_in_tile(np.array([16]), 96) == 480
    assert side_in_tile(np.array([16]), 1024) == 1024


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 4))
def test_a_map_lies_in_its_square_where_its_stamp_lies_in_the_tile(binning, factor):
    stamps, side = stamps_of(binning), 8 * factor
    maps = np.random.default_rng(1).random((len(stamps), 8, 8)).astype("f4")
    squares, corner = expand(maps, stamps.binning, side), corner_in_tile(stamps, side)
    assert_array_equal(
        corner + side // 2, np.column_stack([100 + np.arange(len(corner)), 200 + 0 * corner[:, 0]])
    )
    for i, block in enumerate(binning):
        pixel = np.arange(side) + corner[i][:, None]  # x and y in the tile
        column, row = pixel - stamps.corner[i][:, None]
        inside = ((row >= 0) & (row < 8 * block))[:, None] & ((column >= 0) & (column < 8 * block))
        last, whole = 8 * block - 1, enlarge(maps[i : i + 1], block)[0]
        value = whole[np.clip(row, 0, last)][:, np.clip(column, 0, last)]
        assert_array_equal(squares[i], np.where(inside, value, 0))


@pytest.mark.parametrize("binning", [1, 2, 3, 8])
def test_between_the_middles_of_blocks_maps_are_linear(binning):
    y, x = np.mgrid[: 8 * binning, : 8 * binning]
    ramp = (2 * x - 3 * y).astype("f8")
    blocks = ramp.reshape(8, binning, 8, binning).mean((1, 3))
    found = enlarge(np.stack([blocks, np.ones((8, 8))]), binning)
    inside = slice(binning // 2, 8 * binning - binning // 2)
    assert_allclose(found[0, inside, inside], ramp[inside, inside], atol=1e-4)
    assert_allclose(found[1], 1, rtol=1e-6)
    assert found[0].min() >= blocks.min() - 1e-4
    assert found[0].max() <= blocks.max() + 1e-4


def test_masks_are_written_in_the_tiles_pixels(tmp_path, rng):
    stamps = stamps_of([1, 2, 4, 1])
    maps = {name: rng.random((4, 8, 8)).astype("f4") for name in ("TARGET", "TARGET_STD")}
    write_masks(tmp_path / "masks.fits", stamps, maps)
    ids, corner, target, spread = io.read_maps(tmp_path / "masks.fits", *maps)
    assert_array_equal(ids, stamps.id)
    assert_array_equal(corner[:, 0] + 16, [100, 101, 102, 103])
    assert_allclose(target, expand(maps["TARGET"], stamps.binning, 32), atol=0.5 / 255 + 1e-6)
    assert_allclose(spread, expand(maps["TARGET_STD"], stamps.binning, 32), atol=0.5 / 255 + 1e-6)
    with fits.open(tmp_path / "masks.fits", do_not_scale_image_data=True) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "TARGET", "TARGET_STD", "STAMPS"]
        assert hdus["TARGET"].data.dtype == np.uint8
        assert hdus["STAMPS"].columns.names == ["id", "x0", "y0"]
    some, _, few = io.read_maps(tmp_path / "masks.fits", "TARGET", ids=[8, 6])
    assert_array_equal(some, [6, 8])
    assert_array_equal(few, target[[1, 3]])


def test_many_masks_are_written_a_few_at_a_time(tmp_path, rng, monkeypatch):
    stamps = stamps_of(rng.integers(1, 4, 50))
    maps = {"TARGET": rng.random((50, 8, 8))}
    write_masks(tmp_path / "once.fits", stamps, maps)
    monkeypatch.setattr(cubes, "_PIXELS_AT_ONCE", 3 * 24**2)
    monkeypatch.setattr(planes, "AT_ONCE", 7)
    write_masks(tmp_path / "parts.fits", stamps, maps)
    assert (tmp_path / "once.fits").read_bytes() == (tmp_path / "parts.fits").read_bytes()


def test_masks_of_no_sources(tmp_path):
    none = np.zeros((0, 8, 8), "f4")
    write_masks(tmp_path / "masks.fits", stamps_of([]), {"TARGET": none})
    ids, corner, target = io.read_maps(tmp_path / "masks.fits", "TARGET")
    assert len(ids) == 0 and corner.shape == (0, 2) and target.shape == (0, 8, 8)


def test_maps_say_how_their_stamps_are_binned(tmp_path, rng):
    stamps, share = stamps_of([1, 3]), rng.random((2, 8, 8))
    io.write_maps(
        tmp_path / "shares.fits", stamps.id, stamps.corner, binning=stamps.binning, SHARE=share
    )
    assert_array_equal(fits.getdata(tmp_path / "shares.fits", "STAMPS")["binning"], [1, 3])
    _, corner, found = io.read_maps(tmp_path / "shares.fits", "SHARE")
    assert_array_equal(corner, stamps.corner)
    assert_allclose(found, share, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("corner", [(-1, -2), (3, 2), (90, 195), (-60, 4), (400, 400)])
@pytest.mark.parametrize("binning", [1, 3])
def test_a_stamp_lies_on_the_tile_where_it_was_cut_and_ends_with_it(rng, corner, binning):
    stamps = replace(stamps_of([binning]), corner=np.array([corner]))
    maps = rng.random((1, 8, 8)).astype("f4")
    tile, whole = np.zeros((100, 200), "f4"), np.zeros((1000, 1000), "f4")
    for window, part in on_tile(maps, stamps, tile.shape):
        tile[window] = part
    x, y = np.add(corner, 400)
    side = 8 * binning
    whole[y : y + side, x : x + side] = enlarge(maps, binning)[0]
    assert_array_equal(tile, whole[400:500, 400:600])
