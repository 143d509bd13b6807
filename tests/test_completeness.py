"""What the table of completeness says of galaxies painted onto a survey."""

import numpy as np
import pytest
from astropy.table import QTable
from numpy.testing import assert_allclose

from pipeline.config import Recover
from pipeline.data import Exposure
from pipeline.flags import Flag
from pipeline.injection import recover
from pipeline.injection.completeness import completeness
from pipeline.models.binned import share
from pipeline.report.completeness_figure import LEAST, completeness_figure
from tests.test_recover import OPTICS, SETTINGS, sky, sources
from tests.test_report_figures import points


def told(rng, n=4000, inside=0.68):
    """A table as of `recover.recovered`, whose intervals hold the truth as often as asked."""
    exposure = sky(rng)
    truth = recover.paint(exposure, sources(), OPTICS, SETTINGS, "t")[1]
    after = sources(truth["x"], truth["y"])
    after["flags"], after["before"], after["flux_auto"] = 0, False, np.ones((len(truth), 2))
    totals = {name: np.ones((len(truth), 2)) for name in recover.SHARES}
    table = recover.recovered(truth, sources(), (after, QTable(totals)), exposure)
    table = table[rng.integers(len(table), size=n)]
    table["true_snr"] = np.exp(rng.uniform(*np.log(SETTINGS.snr), n))
    table["found"] = rng.random(n) < 0.9
    shift, width = rng.normal(0, 0.1, n) - 0.05, 0.1 * {0.68: 0.9945, 0.95: 1.96}[inside]
    middle = table["true_flux"] * 10 ** (-0.4 * shift)
    table["flux_p50"] = np.where(table["found"], middle, np.nan)
    for name, side in (("flux_p16", 1), ("flux_p84", -1)):
        table[name] = np.where(
            table["found"], middle * 10 ** (-0.4 * (side * width + 0.05)), np.nan
        )
    return table


@pytest.mark.parametrize("inside", [0.68, 0.95])
def test_counts_medians_and_coverage_are_those_put_in(rng, inside):
    table = told(rng, inside=inside)
    flagged = rng.random(len(table)) < 0.1
    table["flags"] = np.where(flagged, int(Flag.EDGE), 0)
    rows = completeness([table[:1000], table[1000:]], SETTINGS)
    kinds = np.asarray(rows["kind"])
    every = rows[kinds == "all"][0]
    assert every["n"] == 4000
    assert every["n_clean"] == np.sum(table["found"] & ~flagged)
    assert every["completeness"] == pytest.approx(0.9, abs=4 * every["completeness_err"])
    assert every["median_dm"] == pytest.approx(-0.05, abs=4 * every["median_dm_err"])
    assert every["nmad_dm"] == pytest.approx(0.1, rel=0.1)
    assert every["coverage_68"] == pytest.approx(inside, abs=4 * every["coverage_68_err"])
    for kind in ("true_snr", "size", "neighbour", "true_snr x size"):
        assert rows["n"][kinds == kind].sum() == 4000
        assert rows["n_clean"][kinds == kind].sum() == every["n_clean"]


def test_the_figure_draws_the_table(rng):
    rows = completeness([told(rng)], SETTINGS)
    figure, kinds = completeness_figure(rows), np.asarray(rows["kind"])
    measures = "completeness", "median_dm", "coverage_68"
    for quantity, axes in zip(
        ("true_mag", "neighbour"), np.reshape(figure.axes, (2, 3)), strict=True
    ):
        some = rows[kinds == quantity]
        for name, ax in zip(measures, axes, strict=True):
            shown = some if name == "completeness" else some[some["n_clean"] >= LEAST]
            (((_, value), ends),) = points(ax)
            assert_allclose(value, shown[name])
            assert_allclose(np.ptp(ends, axis=1), 2 * shown[f"{name}_err"])
    lines = [line for line in figure.axes[0].lines if "PSF widths" in str(line.get_label())]
    by_size = rows[kinds == "true_mag x size"]
    by_size.sort(["size_low", "true_mag_low"])
    assert len(lines) == len(np.unique(by_size["size_low"]))
    drawn = np.concatenate([line.get_ydata() for line in lines])
    assert_allclose(drawn, by_size["completeness"])
    every = rows[kinds == "all"][0]
    said = f"{every['completeness']:.1%} detected", f"{every['coverage_68']:.1%} ±"
    assert all(words in figure.get_suptitle() for words in said)


def seen_to(table, of_unit_snr):
    """The same galaxies in a tile where one of S/N 1 has that magnitude; found above S/N 7."""
    table["true_snr"] = np.random.default_rng(1).permutation(np.geomspace(3, 300, len(table)))
    table["true_mag"] = of_unit_snr - 2.5 * np.log10(table["true_snr"])
    table["found"] = table["true_snr"] > 7
    return table


def test_the_depth_is_where_half_is_detected(rng):
    settings, table = Recover(snr=(3, 300)), seen_to(told(rng, n=40_000), 27.4)
    sharp = 27.4 - 2.5 * np.log10(7)
    assert completeness([table], settings).meta["DEPTH50"] == pytest.approx(sharp, abs=0.1)
    for value in (True, False):
        table["found"] = value
        found = completeness([table], settings)
        bright = found[(found["kind"] == "true_mag") & (found["n_faint"] == 0)]
        assert set(bright["completeness"]) == {float(value)}


def test_deep_tiles_do_not_speak_for_shallow_ones(rng):
    settings = Recover(snr=(3, 300))
    deep, shallow = seen_to(told(rng, n=4_000), 30), seen_to(told(rng, n=8_000), 27)
    found = completeness([deep, shallow], settings)
    by_mag = found[found["kind"] == "true_mag"]
    between = (by_mag["true_mag_low"] >= 25.5) & (by_mag["true_mag_high"] <= 27.5)
    assert between.sum() == 4
    assert_allclose(by_mag["completeness"][between], 1 / 3, atol=0.03)
    assert found.meta["DEPTH50"] == pytest.approx(27 - 2.5 * np.log10(7), abs=0.3)
    by_size = found[found["kind"] == "true_mag x size"]
    assert by_size["n_faint"].sum() == pytest.approx(by_mag["n_faint"].sum(), abs=30)
    assert not found["n_faint"][(found["kind"] == "true_snr") | (found["kind"] == "all")].any()


def test_of_nothing_there_is_a_table_without_rows():
    nothing = Exposure.empty(("r", "i"), "cut short")
    truth = recover.paint(nothing, sources(), OPTICS, SETTINGS, "t")[1]
    after = sources()
    after["flags"] = after["before"] = np.zeros(0, int)
    after["flux_auto"] = np.zeros((0, 2))
    totals = QTable({name: np.zeros((0, 2)) for name in recover.SHARES})
    table = recover.recovered(truth, sources(), (after, totals), nothing)
    assert table.colnames == list(recover.COLUMNS)
    rows = completeness([table], SETTINGS)
    assert not len(rows)
    assert "No galaxy" in completeness_figure(rows).get_suptitle()


def test_galaxies_painted_in_one_place_are_alike(rng):
    table = told(rng, n=2000)
    table["found"] = table["place"] % 3 > 0
    (every,) = (row for row in completeness([table], SETTINGS) if row["kind"] == "all")
    places = len(np.unique(table["place"]))
    assert every["completeness_err"] == pytest.approx(
        share(table["found"], table["place"])["error"]
    )
    assert every["completeness_err"] > 0.8 * np.sqrt(2 / 9 / places)
