"""Which tile a place on the sky belongs to."""

import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import io
from pipeline.catalogs.coverage import STEP, Territories, coverage
from pipeline.data import Exposure, Frame

ARCSEC = 1 / 3600


def tile(corner=(0, 0), side=800, *, noise=1.0, hole=None, unit="nJy", turn=0.0):
    """Coverage of a tile of pixels of an arcsec.

    Its first pixel is `corner` arcsec (east, north) of (150, 2), and `turn` [deg] its angle; the
    columns from and to `hole` have no usable pixels.
    """
    wcs, cos, sin = WCS(naxis=2), np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.cd = np.array([[cos, -sin], [sin, cos]]) * ARCSEC
    wcs.wcs.crpix = 1 - wcs.wcs.cd.T @ corner * 3600
    wcs.wcs.set()
    ivar = np.full((side, side, 1), noise**-2.0, "f4")
    if hole:
        ivar[slice(*hole), slice(*hole)] = 0
    some = ivar[::STEP, ::STEP]
    exposure = Exposure(0 * some, some, wcs, ("r",), unit, pixel_scale=1.0)
    found = coverage(exposure, Frame(wcs, (side, side)))
    return found._replace(usable=lambda row, column: ivar[row, column, 0] > 0)


def places(east, north=0.0):
    """Coordinates [deg] of places `east`, `north` arcsec of (150, 2)."""
    east, north = np.broadcast_arrays(np.asarray(east, float), north)
    return 150 + east * ARCSEC / np.cos(np.radians(2)), 2 + north * ARCSEC


def owners(coverages, ra, dec):
    """Names of the tiles that have each place; (n,) lists."""
    owned = Territories(coverages, "nJy")
    its = {name: owned.has(name, ra, dec) & (it.at(ra, dec) > 0) for name, it in coverages.items()}
    return [[name for name, has in its.items() if has[i]] for i in range(len(ra))]


def test_every_place_has_one_owner_and_areas_add_up(rng):
    """Tiles turned, deep, shallow and with holes: 20,000 darts say how large their union is."""
    coverages = {
        "a": tile((0, 0)),
        "b": tile((300, 200), turn=20.0),
        "c": tile((-300, 400), noise=2.0, hole=(320, 480)),
        "d": tile((100, -100), side=500, noise=0.5),
        "far": tile((5000, 0), side=320),
    }
    ra, dec = places(rng.uniform(-500, 1500, 20_000), rng.uniform(-500, 1500, 20_000))
    covered = np.any([it.at(ra, dec) > 0 for it in coverages.values()], axis=0)
    assert 0.2 < covered.mean() < 0.8
    assert_array_equal([len(them) for them in owners(coverages, ra, dec)], covered)
    union = covered.mean() * (2000 / 60) ** 2 + (320 / 60) ** 2
    assert_allclose(Territories(coverages, "nJy").area(), union, rtol=0.02)
    assert np.isnan(Territories({}, "nJy").area())


@pytest.mark.parametrize("side, overlap", [(200, 50), (600, 100), (1000, 96)])
def test_an_overlap_of_any_width_counts_once(side, overlap):
    row = {str(i): tile((i * (side - overlap), 0), side) for i in range(5)}
    union = (5 * side - 4 * overlap) * side / 3600
    assert_allclose(Territories(row, "nJy").area(), union, rtol=0.004)


def test_the_area_is_of_all_usable_pixels_not_of_those_looked_at(tmp_path):
    ivar = np.zeros((150, 150, 2), "f4")
    ivar[12:-12, 12:-12, 1] = 1
    path, exposure = tmp_path / "a.fits", Exposure(0 * ivar, ivar, None, ("g", "r"), pixel_scale=60)
    io.write_exposure(path, exposure)
    some, frame = io.read_exposure(path, STEP), io.read_frame(path)
    assert [coverage(some, frame, band).area for band in (0, 1)] == [0, pytest.approx(126**2)]
    older = coverage(some, frame._replace(usable=()), 1).area
    assert_allclose(older, 126**2, rtol=0.15)


def test_alike_tiles_share_an_overlap_in_its_middle():
    coverages = {"a": tile(), "b": tile((600, 0))}
    assert owners(coverages, *places([10, 640, 760, 1300], 400)) == [["a"], ["a"], ["b"], ["b"]]


@pytest.mark.parametrize(
    "noise, owner", [(0.5, "b"), (0.8, "b"), (0.95, "a"), (1.05, "a"), (2.0, "a")]
)
def test_the_deeper_tile_has_the_whole_overlap(noise, owner):
    coverages = {"a": tile(), "b": tile((600, 0), noise=noise), "c": tile((9e3, 0))}
    assert owners(coverages, *places([640], 400)) == [[owner]]
    odd = coverages | {"b": tile((600, 0), noise=noise, unit="ct")}
    assert owners(odd, *places([640, 790, 810], 400)) == [["a"], ["a"], ["b"]]


def test_who_has_a_hole_there_has_not_the_place():
    coverages = {"a": tile(hole=(640, 656)), "b": tile((600, 0))}
    assert owners(coverages, *places([630, 648, 660], 648)) == [["a"], ["b"], ["a"]]


def test_a_trail_that_no_pixel_looked_at_is_on_is_found_where_it_matters():
    territories = Territories({"a": tile(hole=(642, 652)), "b": tile((600, 0))}, "nJy")
    here = places([630, 647, 660], 647)
    assert_array_equal(territories.has("b", *here), [False, False, False])
    assert_array_equal(territories.has("b", *here, exactly=True), [False, True, False])
    assert_array_equal(territories.has("a", *here, exactly=True), [True, False, True])


def test_tiles_that_only_touch_take_nothing_from_each_other():
    coverages = {"b": tile(side=795), "a": tile((795, 0))}
    east = np.arange(780.0, 810)
    assert [them for (them,) in owners(coverages, *places(east, 400))] == ["b"] * 15 + ["a"] * 15


def test_places_without_coordinates_or_coverage_stay():
    coverages = {"a": tile(), "b": tile()._replace(wcs=None), "c": tile()}
    owned, here = Territories(coverages, "nJy"), places([400.0], 400)
    assert owned.has("a", *here) and not owned.has("c", *here)
    assert owned.has("b", *here) and owned.has("unknown", *here)
    assert owned.has("c", np.array([np.nan]), np.array([np.nan]))
    assert_allclose(owned.area(), 2 * (800 / 60) ** 2)
