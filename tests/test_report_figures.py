"""What the report's figures draw is what they were given."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from pipeline.report import figures, truth_figures
from pipeline.report.expectation import expect, expectation_figure
from tests.test_report import catalog


def points(ax):
    """The points x, y (2, n) of each series with errors, and the ends of its bars (n, 2)."""
    for series in ax.containers:
        bars = np.array(series.lines[2][-1].get_segments())
        yield np.array(series.lines[0].get_data()), bars[..., 1]


def test_counts_add_up_to_the_sources():
    (ax,) = figures.number_counts(catalog(), ["r"], area=13.0).axes
    (((_, density), ends),) = points(ax)
    n = density * 13.0 * 0.5  # arcmin2, mag
    assert_allclose(n.sum(), 40)
    assert_allclose(np.ptp(ends, axis=1) * 13.0 * 0.5, 2 * np.sqrt(n))
    (without,) = figures.number_counts(catalog(), ["r"], area=np.nan).axes
    assert_allclose(next(points(without))[0][1].sum(), 40)


def test_an_error_in_magnitudes_belongs_to_its_signal_to_noise():
    table = catalog()
    figure = figures.errors(table, ["r"])
    (ax,) = figure.axes
    flux = np.asarray(table["flux"])
    assert_allclose(ax.collections[0].get_offsets()[:, 1], (flux / 3).ravel())
    figure.draw_without_rendering()
    (second,) = ax.child_axes
    for snr in (5, 100):
        at = second.transData.transform((0, 2.5 / np.log(10) / snr))
        assert_allclose(at[1], ax.transData.transform((0, snr))[1])


def test_residuals_are_median_and_68_percent():
    delta = np.linspace(-0.5, 0.5, 101)
    pairs = Table({"mag": np.full(101, 21.3), "clean": np.ones(101, bool)})
    for k, name in enumerate(truth_figures.MEASURED):
        pairs[name] = 0.1 * k + delta
    (ax,) = truth_figures.flux_residuals(pairs).axes
    for k, ((x, middle), ends) in enumerate(points(ax)):
        assert_allclose(x, 21.5, atol=0.1)
        assert_allclose(middle, 0.1 * k)
        assert_allclose(ends, [[0.1 * k - 0.34, 0.1 * k + 0.34]])


def test_completeness_and_purity_are_drawn_with_their_intervals():
    bins = {"low": [20.0, 21.0], "high": [21.0, 22.0], "rate": [0.9, 0.5]}
    table = Table(bins | {"rate_low": [0.8, 0.4], "rate_high": [0.95, 0.7]})
    other = Table(table)
    other["rate"] = [0.85, 0.6]
    scored = {"completeness_mag": table, "purity_mag": other}
    (ax,) = truth_figures.completeness_and_purity(scored).axes
    for ((x, rate), ends), expected in zip(points(ax), ([0.9, 0.5], [0.85, 0.6]), strict=True):
        assert_allclose(x, [20.5, 21.5])
        assert_allclose(rate, expected)
        assert_allclose(ends, [[0.8, 0.95], [0.4, 0.7]])


def test_the_roc_is_drawn_as_it_is():
    curve = {"recall": np.array([0, 0.5, 1]), "false_rate": np.array([0, 0.1, 1])}
    (ax,) = truth_figures.roc(curve | {"auroc": 0.9, "n_lenses": 2, "n_others": 10}).axes
    false, recall = ax.lines[0].get_data()
    assert_allclose(recall, [0, 0.5, 1])
    assert_allclose(false, [0.05, 0.1, 1])  # of none that is false half a one


def test_positions_are_offsets_of_galaxies_alone_and_east_is_left():
    pairs = Table({"ra_offset": [0.03, 0.3, 9.0], "dec_offset": [0.04, 0.4, 9.0]})
    pairs["snr"], pairs["alone"] = 20.0, [True, True, False]
    ax = truth_figures.positions(pairs).axes[0]
    assert_allclose(ax.collections[0].get_offsets(), [[0.03, 0.04], [0.3, 0.4]])
    assert_allclose(np.hypot(*ax.lines[0].get_data()), (0.05 + 0.5) / 2)
    assert ax.xaxis_inverted() and not ax.yaxis_inverted()


def test_what_to_expect_is_drawn_as_the_table_says():
    expected = expect([0.9, 0.5, 0.4, 0.2])
    (ax,) = expectation_figure(expected).axes
    said = [line.get_ydata() for line in ax.lines]
    assert_allclose(said, [[0.9, 0.7, 0.6, 0.5], [0.45, 0.7, 0.9, 1]])
    row = next(row for row in expected.rows(0.3) if row["threshold"] == 0.3)
    assert_allclose([row["purity"], row["completeness"]], [line[2] for line in said])


@pytest.mark.parametrize("name, i", [("p_lens", 0), ("anomaly", 1)])
def test_every_score_is_in_its_histogram(name, i):
    table = catalog()
    table[name][:3] = np.nan, 0.0, 1.0
    ax = figures.scores(table).axes[i]
    assert sum(bar.get_height() for bar in ax.patches) == 39


def test_the_map_shows_a_field_across_the_meridian_whole():
    table = catalog(3)
    table["ra"], table["dec"] = [359.9, 0.1, 0.2], [0.0, 0.1, 0.2]
    table["p_lens"], table["known_lens"] = [0.0, 0.9, 0.0], ["", "", "ring"]
    (ax,) = figures.sky_map(table, 0.5, 3).axes
    every, lens, known = (drawn.get_offsets() for drawn in ax.collections)
    assert_allclose(np.ptp(every[:, 0]), 0.3)
    assert_allclose([*lens[0], *known[0]], [*every[1], *every[2]])
    assert ax.xaxis_inverted()
