import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.votable.ucd import parse_ucd
from astropy.table import QTable, Table
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import io
from pipeline.catalogs.catalog import (
    COLUMNS,
    PER_BAND,
    assemble,
    empty,
    flux_snr,
    magnitudes,
    number,
)

INTERFACE = [
    "id",
    "tile",
    "label",
    "ra",
    "dec",
    "pos_err",
    "x",
    "y",
    "flux_auto",
    "flux_auto_err",
    "flux",
    "flux_err",
    "flux_p16",
    "flux_p50",
    "flux_p84",
    "mag",
    "mag_err",
    "snr",
    "a",
    "b",
    "theta",
    "pa",
    "r50",
    "broadening",
    "broadening_err",
    "pixel_scale",
    "p_lens",
    "p_lens_std",
    "anomaly",
    "blend_fraction",
    "n_neighbours",
    "mask_uncertainty",
    "known_lens",
    "flags",
]
ANGLES = dict.fromkeys(("ra", "dec", "theta", "pa"), "deg")
ANGLES |= dict.fromkeys(("pos_err", "pixel_scale"), "arcsec")


def stage_tables(n=4, n_bands=1, unit="nJy", tile="t1"):
    rng = np.random.default_rng(n)
    sources = QTable({"label": np.arange(1, n + 1, dtype="i4")})
    for name in ("ra", "dec", "x", "y", "a", "b", "theta", "r50", *ANGLES):
        sources[name] = rng.random(n) * u.Unit(ANGLES.get(name, "pix"))
    for name in ("flux_auto", "flux_auto_err"):
        sources[name] = rng.random((n, n_bands)) * u.Unit(unit)
    for name in ("snr", "broadening", "broadening_err"):
        sources[name] = 10 * rng.random(n)
    sources["flags"] = np.full(n, 1, "i4")
    sources.meta["BANDS"] = ",".join("ugriz"[:n_bands])
    sources = number(sources, tile)
    deblended = QTable({"id": sources["id"], "flags": np.full(n, 4, "i4")})
    for name in ("flux", "flux_err", "flux_p16", "flux_p50", "flux_p84"):
        deblended[name] = rng.random((n, n_bands)) * u.Unit(unit)
    networks = QTable({"id": sources["id"]})
    for name in ("p_lens", "p_lens_std", "anomaly", "blend_fraction", "mask_uncertainty"):
        networks[name] = rng.random(n)
    networks["n_neighbours"] = rng.integers(0, 5, n)
    return [sources, deblended, networks]


def test_columns_are_the_interface():
    assert [column.name for column in COLUMNS] == INTERFACE


@pytest.mark.parametrize("column", COLUMNS, ids=INTERFACE)
def test_a_column_says_what_it_is(column):
    parse_ucd(column.ucd, check_controlled_vocabulary=True)
    u.Unit(column.unit)
    assert 5 < len(column.description) <= 68, "longer ones need CONTINUE cards in FITS"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 2**22 - 1))
def test_ids_are_positive_and_tell_tile_and_label(one, other, label):
    ids = [number(Table({"label": [label, 1]}), name)["id"] for name in (one, one, other)]
    assert ids[0][0] == ids[1][0] > 0
    assert (ids[0][0] == ids[2][0]) == (one == other)
    assert ids[0][0] - ids[0][1] == label - 1
    assert np.asarray(ids).dtype == np.int64


@given(st.text(max_size=60), st.integers(1, 2**22 - 1))
def test_a_float_holds_an_id(name, label):
    """For JavaScript and spreadsheets make floats of all numbers, pandas where a row has none."""
    found = int(number(Table({"label": [label]}), name)["id"][0])
    assert found < 2**53
    assert int(float(found)) == found


def test_an_id_never_changes():
    assert number(Table({"label": [1]}), "t1")["id"][0] == 3177426247870055


@pytest.mark.parametrize("label", [0, -1, 2**22])
def test_a_label_that_fits_no_id_is_refused(label):
    with pytest.raises(ValueError, match=r"tile t7: labels must lie between 1 and 4194303, got"):
        number(Table({"label": [label]}), "t7")


def test_rows_are_joined_on_id_whatever_their_order():
    tables = stage_tables(6)
    expected = assemble(tables, "t1")
    shuffled = [tables[0], tables[1][::-1], tables[2][[3, 0, 5, 1, 4, 2]]]
    joined = assemble(shuffled, "t1")
    for name in INTERFACE:
        assert_array_equal(joined[name], expected[name], err_msg=name)
    assert_array_equal(joined["id"], tables[0]["id"])


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 2, 3, 3], [0, 1, 2, 2]])
def test_a_row_lost_or_doubled_is_an_error(rows):
    sources, deblended, networks = stage_tables(4)
    with pytest.raises(ValueError, match=r"tile t1: .*the same ids.*got 4 and \d rows"):
        assemble([sources, deblended[rows], networks], "t1")


def test_a_missing_column_is_an_error():
    sources, deblended, networks = stage_tables(4)
    networks.remove_column("p_lens")
    with pytest.raises(ValueError, match=r"no stage gave the columns \['p_lens'\]"):
        assemble([sources, deblended, networks], "t1")


def test_flags_of_all_stages_are_kept():
    assert_array_equal(assemble(stage_tables(3), "t1")["flags"], 5)


def test_signal_to_noise_is_of_the_detection_band_and_0_where_there_is_none():
    table = Table({"flux": [[1.0, 20.0], [1.0, np.nan], [1.0, 5.0]]}, meta={"DETBAND": 1})
    table["flux_err"] = [[1.0, 2.0], [1.0, 1.0], [1.0, 0.0]]
    assert_array_equal(flux_snr(table, "flux"), [10, 0, 0])


def test_an_angle_in_another_unit_is_brought_to_the_columns():
    tables = stage_tables()
    degrees = tables[0]["pa"].to_value("deg")
    tables[0]["pa"] = tables[0]["pa"].to("rad")
    assert_allclose(assemble(tables, "t1")["pa"], degrees, rtol=1e-6)


def test_magnitudes_by_hand():
    flux = [3.631e12, 10**12.56, 0.0, -5.0, np.nan] * u.nJy  # AB 0; then one exactly 0 by 31.4
    mag, mag_err = magnitudes(flux, 0.1 * np.abs(flux))
    assert_allclose(mag[:2], [0, 0], atol=1e-4)
    assert np.isnan(mag[2:]).all() and np.isnan(mag_err[2:]).all()
    assert_allclose(mag_err[:2], 0.10857, rtol=1e-4)


def test_another_flux_density_becomes_njy_and_counts_stay_counts():
    calibrated = assemble(stage_tables(3, unit="uJy"), "t1")
    assert calibrated["flux"].unit == u.nJy
    assert_allclose(calibrated["mag"], 31.4 - 2.5 * np.log10(calibrated["flux"]), rtol=1e-6)
    counts = assemble(stage_tables(3, unit="ct"), "t1")
    assert counts["flux"].unit == u.ct
    assert np.isnan(counts["mag"]).all()
    assert_allclose(1e3 * counts["flux_auto"], calibrated["flux_auto"], rtol=1e-6)


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("n_bands", [1, 3])
def test_files_keep_units_descriptions_and_ucds(tmp_path, n, n_bands):
    table = assemble(stage_tables(n, n_bands), "t1")
    io.write_table(tmp_path / "c.fits", table)
    io.write_table(tmp_path / "c.parquet", table)
    back, plain = io.read_table(tmp_path / "c.fits"), Table.read(tmp_path / "c.fits")
    header = fits.getheader(tmp_path / "c.fits", 1)
    parquet = pq.read_table(tmp_path / "c.parquet")
    for i, column in enumerate(COLUMNS, start=1):
        name = column.name
        shape = (n, n_bands) if n_bands > 1 and name in PER_BAND else (n,)
        assert back[name].shape == shape
        assert_array_equal(np.asarray(back[name]), np.asarray(table[name]), err_msg=name)
        assert plain[name].description == back[name].info.description == column.description
        assert back[name].info.meta["ucd"] == header[f"TUCD{i}"] == column.ucd
        assert header[f"TCOMM{i}"] == column.description
        assert header.get(f"TUNIT{i}", "") == column.unit == str(back[name].unit or "")
        said = parquet.field(name).metadata
        assert said[b"ucd"].decode() == column.ucd
        assert said.get(b"unit", b"").decode() == column.unit
        assert said[b"description"].decode() == column.description
        values = np.array(parquet[name].to_pylist()).reshape(shape)
        assert_array_equal(values, np.asarray(table[name]), err_msg=name)
    assert (
        back.meta["BANDS"]
        == parquet.schema.metadata[b"BANDS"].decode()
        == ",".join("ugriz"[:n_bands])
    )


def test_parquet_is_a_votable_too(tmp_path):
    table = assemble(stage_tables(3, 2), "t1")
    io.write_table(tmp_path / "c.parquet", table)
    back = Table.read(tmp_path / "c.parquet", format="parquet.votable")
    for column in COLUMNS:
        assert str(back[column.name].unit or "") == column.unit
        assert " ".join(back[column.name].description.split()) == column.description
        assert back[column.name].meta["ucd"] == column.ucd
    assert list(back["tile"]) == ["t1"] * 3


def test_parquet_opens_in_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    io.write_table(tmp_path / "c.parquet", assemble(stage_tables(4, 2), "t1"))
    frame = pandas.read_parquet(tmp_path / "c.parquet")
    assert list(frame.columns) == INTERFACE
    assert len(frame["flux"][0]) == 2
    assert frame["id"].dtype == "int64"


@pytest.mark.parametrize("bands", [("r",), ("g", "r")])
def test_an_empty_catalog_has_all_columns(bands):
    table, like = empty(bands), assemble(stage_tables(3, len(bands)), "t1")
    for name in INTERFACE:
        assert table[name].shape[1:] == like[name].shape[1:]
        assert table[name].dtype.kind == like[name].dtype.kind
