import itertools

import numpy as np
import pytest
from astropy.table import Table, vstack
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config
from pipeline.catalogs.catalog import COLUMNS, assemble
from pipeline.catalogs.coverage import Territories
from pipeline.catalogs.known import known_lenses, name_known, told_apart
from pipeline.catalogs.merge import merge, rejected
from pipeline.catalogs.overlaps import seen_elsewhere, superfluous
from pipeline.flags import Flag
from tests.test_catalog import stage_tables
from tests.test_coverage import tile

ARCSEC = 1 / 3600
NO_LENSES = Table({"name": ["none"], "ra": [0.0], "dec": [-89.0]})


def catalog(tile, x, y=None, **columns):
    """Sources at `x` arcsec east of (150, 2), in a tile whose first pixel is there too."""
    made = assemble(stage_tables(len(x), tile=tile), tile)
    x, y = np.asarray(x, float), np.zeros(len(x)) if y is None else np.asarray(y, float)
    columns = {"ra": 150 + x * ARCSEC, "dec": 2 + y * ARCSEC, "flags": 0, **columns}
    for name, values in {"x": x, "y": y, **columns}.items():
        made[name][:] = values
    return made


def ids(table):
    return sorted(np.asarray(table["id"]).tolist())


TWO = {"left": tile((-100, -400)), "right": tile((500, -400))}  # meet in the middle of 500 to 700


def test_a_source_in_two_tiles_is_kept_in_the_tile_that_has_the_place():
    left, right = catalog("left", [0, 520, 660]), catalog("right", [520.1, 660.2, 900])
    merged = merge([left, right], TWO, config.Merge(), NO_LENSES)
    assert list(merged["tile"]) == ["left", "left", "right", "right"]
    assert_array_equal(merged["x"], [0, 520, 660.2, 900])
    assert [c.name for c in COLUMNS] == merged.colnames
    assert_allclose(merged.meta["AREA"], 800 * 1400 / 3600, rtol=0.01)


def test_tiles_without_fluxes_in_the_catalog_add_no_area_to_its_counts():
    tiles = {"left": tile((0, 0)), "far": tile((5000, 0), unit="ct")}
    merged = merge([catalog("left", [9.0, 20.0])], tiles, config.Merge(), NO_LENSES)
    assert_allclose(merged.meta["AREA"], 2 * 800**2 / 3600, rtol=1e-6)
    assert_allclose(merged.meta["AREAFLUX"], 800**2 / 3600, rtol=1e-6)


def test_a_spoilt_twin_is_dropped_wherever_it_is():
    left = catalog("left", [0, 520, 530], flags=[0, int(Flag.MASKED), 0])
    right = catalog("right", [520, 530, 900])
    merged = merge([left, right], TWO, config.Merge(), NO_LENSES)
    assert_array_equal(np.asarray(merged["tile"])[merged["x"] == 520], ["right"])
    assert_array_equal(np.asarray(merged["tile"])[merged["x"] == 530], ["left"])


def test_what_one_tile_alone_shows_is_kept_where_the_place_is_its_own():
    """So a catalog is no deeper where tiles overlap, and what an edge cut off is not in it."""
    seen = [10.0, 520, 660, 690, 900]
    left, right = catalog("left", seen[:4]), catalog("right", [5e3])
    assert_array_equal(kept_of("left", [left, right]), [10, 520])
    left, right = catalog("left", [10.0]), catalog("right", seen[1:])
    assert_array_equal(kept_of("right", [left, right]), [660, 690, 900])
    hole = TWO | {"right": tile((500, -160), hole=(144, 176))}
    left, right = catalog("left", seen[:4]), catalog("right", [5e3])
    assert_array_equal(kept_of("left", [left, right], hole), [10, 520, 660])


def test_what_lies_on_a_narrow_trail_is_taken_from_the_other_tile():
    trail = TWO | {"right": tile((500, -160), hole=(155, 165))}
    left, right = catalog("left", [10.0, 640, 660, 690]), catalog("right", [5e3])
    assert_array_equal(kept_of("left", [left, right], trail), [10, 660])


def test_two_tiles_show_no_more_than_the_third_whose_the_place_is():
    three = TWO | {"deep": tile((500, -160), side=200, noise=0.5)}  # over the middle
    left, right = catalog("left", [10.0, 520, 660]), catalog("right", [520.1, 660.2, 900])
    deep = catalog("deep", [660.1])
    merged = merge([left, right, deep], three, config.Merge(), NO_LENSES)
    assert sorted(merged["x"].tolist()) == [10, 660.1, 900]


def test_a_source_on_the_border_is_in_the_catalog():
    """As seen by either tile its place is the other's."""
    left, right = catalog("left", [600.3]), catalog("right", [599.8])
    assert len(merge([left, right], TWO, config.Merge(), NO_LENSES)) == 1


def kept_of(name, tables, coverages=TWO):
    """Positions of the sources of a tile that a merged catalog has."""
    merged = merge(tables, coverages, config.Merge(), NO_LENSES)
    return np.asarray(merged["x"])[merged["tile"] == name]


def test_sources_to_drop_are_known_before_the_catalogs_are_merged():
    left, right = catalog("left", [0, 50, 96, 100]), catalog("right", [89, 96.2, 150, 190])
    merged = merge([left, right], {}, config.Merge(), NO_LENSES)
    gone = seen_elsewhere([left, right], config.Merge().radius)
    assert sorted({*ids(left), *ids(right)} - set(ids(merged))) == sorted(gone.tolist())
    assert len(gone) == 1


def test_close_sources_of_one_tile_both_stay():
    merged = merge([catalog("a", [0, 0.3, 0.6])], {}, config.Merge(), NO_LENSES)
    assert len(merged) == 3


def test_only_mutual_nearest_are_one_source():
    one, two = catalog("a", [10.0]), catalog("b", [9.5, 10.1])
    assert len(merge([one, two], {}, config.Merge(), NO_LENSES)) == 2


def test_a_chain_loses_no_source():
    """B lies between A and C, which are too far apart to be one: A wins over B, so C stays."""
    tables = [catalog(name, [x]) for name, x in (("a", 0.0), ("b", 0.8), ("c", 1.6))]
    both = vstack(tables)
    both["id"] = [1, 2, 3]
    assert_array_equal(superfluous(both, Territories({}, "nJy"), 1.0), [False, True, False])
    both["id"] = [2, 1, 3]
    assert_array_equal(superfluous(both, Territories({}, "nJy"), 1.0), [True, False, True])


def test_four_tiles_that_meet_keep_one():
    tables = [catalog(name, [0.01 * i]) for i, name in enumerate("abcd")]
    assert len(merge(tables, {}, config.Merge(), NO_LENSES)) == 1


tiles = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=6), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None)
@given(tiles, st.randoms(use_true_random=False))
def test_whatever_the_sky_no_source_is_lost_and_order_is_nothing(sky, random):
    tables = [
        catalog(f"t{i}", [0.4 * x for x, _ in where], [0.4 * y for _, y in where])
        for i, where in enumerate(sky)
    ]
    merged = merge(tables, {}, config.Merge(), NO_LENSES)
    random.shuffle(tables)
    assert ids(merge(tables, {}, config.Merge(), NO_LENSES)) == ids(merged)
    kept = np.column_stack([merged["ra"], merged["dec"]]).reshape(-1, 2)
    for row in itertools.chain.from_iterable(tables):
        offset = (kept - [row["ra"], row["dec"]]) * [np.cos(np.radians(2)), 1] * 3600
        assert np.hypot(*offset.T).min() <= 1.0001


def test_tiles_without_sky_positions_are_concatenated():
    tables = [catalog(t, [1.0, 2.0], ra=np.nan, dec=np.nan) for t in "ab"]
    merged = merge(tables, {}, config.Merge(), NO_LENSES)
    assert len(merged) == 4
    assert set(merged["known_lens"]) == {""}


def test_across_the_meridian_and_at_the_pole():
    meridian = catalog("a", [1.0], ra=359.99999), catalog("b", [1.0], ra=0.00001)
    assert len(merge(meridian, {}, config.Merge(), NO_LENSES)) == 1
    pole = catalog("a", [1.0], ra=10, dec=89.9999), catalog("b", [1.0], ra=190, dec=89.99995)
    assert len(merge(pole, {}, config.Merge(), NO_LENSES)) == 1


def test_a_tile_given_twice_is_an_error():
    with pytest.raises(ValueError, match=r"2 ids appear twice, in the tiles \['a'\]"):
        merge([catalog("a", [1.0, 2.0])] * 2, {}, config.Merge(), NO_LENSES)


def test_tiles_whose_names_draw_one_id_are_named():
    one, other = catalog("a", [1.0, 2.0]), catalog("b", [500.0])
    other["id"] = one["id"][:1]
    with pytest.raises(ValueError, match=r"1 ids appear twice, .*\['a', 'b'\]; rename one"):
        merge([one, other], {}, config.Merge(), NO_LENSES)


def test_nothing_at_all_merges_to_an_empty_catalog():
    assert len(merge([], {}, config.Merge(), NO_LENSES)) == 0
    no_sources = assemble(stage_tables(0, 2), "a")
    merged = merge([no_sources, assemble(stage_tables(0, 2), "b")], {}, config.Merge(), NO_LENSES)
    assert merged["flux"].shape == (0, 2)


def test_a_flux_in_another_unit_is_not_measured(caplog):
    odd = assemble(stage_tables(2, unit="ct", tile="odd"), "odd")
    merged = merge([catalog("a", [9.0]), catalog("b", [99.0]), odd], {}, config.Merge(), NO_LENSES)
    assert merged["flux"].unit == "nJy"
    assert_array_equal(np.isnan(merged["flux"]), merged["tile"] == "odd")
    assert "odd: flux is in" in caplog.text


@pytest.mark.parametrize("others", ["z", "yz"])
def test_a_calibrated_tiles_fluxes_count_however_few_have_them(others):
    odd = [assemble(stage_tables(2, unit="ct", tile=name), name) for name in others]
    merged = merge([catalog("a", [9.0]), *odd], {}, config.Merge(), NO_LENSES)
    assert merged["flux"].unit == "nJy"
    assert_array_equal(np.isfinite(merged["flux"]), merged["tile"] == "a")


def test_columns_keep_what_they_say():
    merged = merge([catalog("a", [1.0]), catalog("b", [9.0])], {}, config.Merge(), NO_LENSES)
    for column in COLUMNS:
        assert merged[column.name].description == column.description
        assert str(merged[column.name].unit or "") == column.unit


def test_known_lenses_are_all_placed():
    lenses = known_lenses()
    assert len(lenses) > 30_000
    assert np.isfinite(lenses["ra"]).all() and np.abs(lenses["dec"]).max() <= 90
    assert not any("|" in name or not name for name in lenses["name"])


def test_a_known_lens_is_named_within_the_radius():
    lenses = Table({"name": ["cross", "ring"], "ra": [10.0, 20.0], "dec": [60.0, -5.0]})
    ra = np.array([10 + 4 * ARCSEC, 10 + 8 * ARCSEC, 20.0, np.nan])  # 2" and 4" at dec 60
    dec = np.array([60.0, 60.0, -5 + 2.9 * ARCSEC, -5.0])
    assert_array_equal(name_known(ra, dec, lenses, 3.0), ["cross", "", "ring", ""])
    assert len(name_known(ra[:0], dec[:0], lenses, 3.0)) == 0


def test_different_lenses_have_different_names():
    dec = 1 / 3600 * np.array([0.0, 1.0, 60.0, 0.0, 90.0, 0.0])
    names = ["9", "9", "9", "-", "-", "ring"]
    lenses = Table({"name": names, "ra": [150.0, 150.0, 150.0, 151.0, 151.0, 152.0], "dec": dec})
    assert list(told_apart(lenses)) == [
        *["9 (150.00000 +0.00000)"] * 2,
        "9 (150.00000 +0.01667)",
        "- (151.00000 +0.00000)",
        "- (151.00000 +0.02500)",
        "ring",
    ]


def test_entries_at_one_place_are_one_lens():
    dec = 1 / 3600 * np.array([0.0, 1.0, 2.0, 12.0, 30.0])
    names = ["-", "ring", "J1000+0000", "J1000+0000", "bow"]
    lenses = Table({"name": names, "ra": np.full(5, 150.0), "dec": dec})
    assert list(told_apart(lenses)) == ["ring"] * 4 + ["bow"]


def test_no_name_of_a_known_lens_is_all_over_the_sky():
    lenses = known_lenses()
    names, group = np.unique(np.asarray(lenses["name"]), return_inverse=True)
    highest, lowest = np.full((2, len(names)), np.nan)
    for found, extreme in ((highest, np.fmax), (lowest, np.fmin)):
        extreme.at(found, group, np.asarray(lenses["dec"]))
    assert (highest - lowest).max() < 40 / 3600


def test_a_merged_catalog_names_its_known_lenses():
    lenses = Table({"name": ["ring"], "ra": [150 + 9 * ARCSEC], "dec": [2.0]})
    merged = merge([catalog("a", [1.0, 10.0, 20.0])], {}, config.Merge(), lenses)
    assert list(merged["known_lens"]) == ["", "ring", ""]


@pytest.mark.parametrize("reasons", [{}, {"good": ""}, {"b": "cut, short", "a": "no HDU", "c": ""}])
def test_rejected_lists_tiles_with_a_reason(reasons):
    table = rejected(reasons)
    assert table.colnames == ["tile", "reason"]
    assert list(table["tile"]) == sorted(t for t in reasons if reasons[t])
    assert all(reasons[row["tile"]] == row["reason"] for row in table)
