"""Which rows of sources in overlapping tiles a merged catalog has."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline import config
from pipeline.catalogs.catalog import assemble
from pipeline.catalogs.merge import merge
from pipeline.flags import DEFECT, Flag
from tests.test_catalog import stage_tables
from tests.test_coverage import tile
from tests.test_merge import ARCSEC, NO_LENSES, TWO, catalog


def placed(name, x, unit):
    """Sources at `x` arcsec east of (150, 2), of fluxes in a unit."""
    made = assemble(stage_tables(len(x), unit=unit, tile=name), name)
    for column, values in {"x": x, "ra": [150 + at * ARCSEC for at in x], "dec": 2.0}.items():
        made[column][:] = values
    made["flags"][:] = 0
    return made


@pytest.mark.parametrize("unit", ["nJy", "count", "count s-1", "adu s-1"])
def test_a_unit_is_the_same_however_it_is_spelled(unit):
    tiles = {"left": tile((-100, -400), unit=unit), "deep": tile((500, -400), noise=0.5, unit=unit)}
    tables = [placed("left", [0, 520, 560], unit), placed("deep", [520.1, 900], unit)]
    merged = merge(tables, tiles, config.Merge(), NO_LENSES)
    assert sorted(merged["x"].tolist()) == [0, 520.1, 900]
    assert_allclose(merged.meta["AREAFLUX"], merged.meta["AREA"])


DEEP = TWO | {"right": tile((500, -400), noise=0.5)}
EDGE = int(Flag.EDGE)


def sized(name, x, a, flags=0):
    """Sources at `x` arcsec east of (150, 2) whose semi-major axes are `a` arcsec."""
    return catalog(name, x, a=a, pixel_scale=1.0, flags=flags)


def kept(*tables, tiles=DEEP):
    return sorted(merge(tables, tiles, config.Merge(), NO_LENSES)["x"].tolist())


@pytest.mark.parametrize("middle", [497.5, 499.5, 501])
def test_a_galaxy_that_the_edge_of_a_deeper_tile_cuts_is_in_the_catalog_once_and_whole(middle):
    cut = sized("right", [502.2, 900], 2.0, flags=[EDGE, 0])
    assert kept(sized("left", [10, middle], 2.0), cut) == [10, middle, 900]


@pytest.mark.parametrize("flag", [Flag.EDGE, Flag.SATURATED])
def test_what_an_edge_cut_stays_if_the_whole_one_is_spoilt(flag):
    spoilt = sized("left", [10, 499], 2.0, flags=[0, int(flag)])
    assert kept(spoilt, sized("right", [502], 2.0, flags=EDGE)) == [10, 499, 502]


def test_a_second_galaxy_at_the_edge_is_not_lost():
    one, cut = sized("left", [498], 2.0), sized("right", [501.5], 2.0, flags=EDGE)
    assert kept(sized("left", [498, 501.3], 2.0), cut) == [498, 501.3]
    assert kept(sized("left", [501.9], 2.0), sized("right", [501, 502], 2.0, [EDGE, 0])) == [
        501,
        502,
    ]
    assert kept(one, sized("right", [500.5], 0.5, flags=EDGE)) == [498, 500.5]
    assert kept(sized("left", [498], 0.5), cut) == [498, 501.5]


@pytest.mark.parametrize("flag", [*DEFECT, Flag.STAMP_CLIPPED])
def test_whatever_spoils_a_source_its_clean_twin_is_kept(flag):
    spoilt = sized("left", [0, 560], 0.3, flags=[0, int(flag)])
    merged = merge([spoilt, sized("right", [560], 0.3)], TWO, config.Merge(), NO_LENSES)
    assert dict(merged["x", "tile"].iterrows()) == {0: "left", 560: "right"}


def test_a_source_with_a_flux_is_not_dropped_for_one_without():
    tiles, masked = TWO | {"right": tile((500, -400), unit="ct")}, [0, int(Flag.MASKED)]
    tables = [sized("left", [0, 560], 0.3, flags=masked), placed("right", [560.1, 900], "ct")]
    assert kept(*tables, tiles=tiles) == [0, 560, 900]
    tables[0]["flux"][1] = np.nan
    assert kept(*tables, tiles=tiles) == [0, 560.1, 900]


@pytest.mark.parametrize("apart", [0.4, 1.2, 2.0, 4.0])
def test_a_source_that_each_of_two_tiles_leaves_to_the_other_is_in_the_catalog_once(apart):
    """As its blend is divided otherwise, its centroid is on the other side of the border."""
    left, right = sized("left", [10, 604 + apart / 2], 0.3), sized("right", [604 - apart / 2], 0.3)
    assert len(kept(left, right, tiles=TWO)) == 2


def test_what_either_of_two_tiles_leaves_to_a_third_is_not_in_the_catalog():
    three = TWO | {"deep": tile((500, -160), side=200, noise=0.5)}
    assert kept(sized("left", [10, 601], 0.3), sized("right", [603], 0.3), tiles=three) == [10]
