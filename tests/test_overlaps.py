"""Which rows of sources in overlapping tiles a merged catalog has."""

import pytest
from numpy.testing import assert_allclose

from pipeline import config
from pipeline.catalogs.catalog import assemble
from pipeline.catalogs.merge import merge
from tests.test_catalog import stage_tables
from tests.test_coverage import tile
from tests.test_merge import ARCSEC, NO_LENSES


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
