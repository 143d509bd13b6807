"""How the arcs on a survey's own galaxies are counted."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from pipeline.injection import inject
from pipeline.injection.selection import QUANTITIES, selection
from pipeline.report.selection_figure import selection_figure
from tests.test_inject import SETTINGS, blank, injected, sources
from tests.test_report_figures import points


def test_counts_add_up(rng):
    said = injected(blank(rng), sources())
    found = selection([said, said], 0.6, SETTINGS)
    kind, n = np.asarray(found["kind"]), np.asarray(found["n"])
    assert n[kind == "no arcs"] == [8]
    passing = found["n_found"][kind == "no arcs"][0] // 2  # of the four galaxies, each there twice
    left = 2 * 3 * (4 - passing)
    assert n[kind == "all"] == [left]
    for name in ("theta_e", "arc_mag", "arc_snr", "deflector_mag", "theta_e x arc_snr"):
        assert n[kind == name].sum() == left
        assert found["n_found"][kind == name].sum() == found["n_found"][kind == "all"][0]
    assert (found["share_low"] <= found["share"] + 1e-9).all()


def test_the_figure_draws_the_table(rng):
    found = selection([injected(blank(rng), sources())], 0.6, SETTINGS)
    figure, kind = selection_figure(found), np.asarray(found["kind"])
    for name, ax in zip(("theta_e", "arc_mag", "deflector_mag"), figure.axes, strict=False):
        rows, ((_, share), ends) = found[kind == name], next(points(ax))
        assert_allclose(share, rows["share"])
        assert_allclose(ends, np.column_stack([rows["share_low"], rows["share_high"]]))
    (plane,) = figure.axes[3].collections
    corners, both = plane.get_coordinates()[1:, 1:], found[kind == "theta_e x arc_mag"]
    assert np.isfinite(plane.get_array().filled(np.nan)).sum() == len(both)
    for row in both:
        here = np.isclose(corners, [row["theta_e_high"], row["arc_mag_high"]]).all(-1)
        assert plane.get_array()[here] == row["share"]


def injections(rng, n_galaxies, per_galaxy, scatter):
    """A table as of `inject`: each galaxy has a chance of its own; a fifth pass without arcs."""
    chance = np.clip(0.4 + scatter * rng.choice([-1, 1], n_galaxies), 0, 1)
    passes = np.arange(n_galaxies) % 5 == 0
    is_found = rng.random((n_galaxies, per_galaxy)) < np.where(passes, 1, chance)[:, None]
    found = np.column_stack([passes, is_found]).ravel()
    theta_e = np.tile([np.nan, *np.full(per_galaxy, 1.0)], n_galaxies)
    same = {name: np.full(len(found), 20.0) for name in QUANTITIES if name != "theta_e"}
    ids = np.repeat(np.arange(n_galaxies), per_galaxy + 1)
    return Table({"id": ids, "p_lens": 1.0 * found, "theta_e": theta_e, **same})


def test_galaxies_that_pass_without_arcs_say_nothing_of_completeness(rng):
    found = selection([injections(rng, 100, 8, 0.0)], 0.5, SETTINGS)
    row = dict(zip(found["kind"], found, strict=True))
    assert row["no arcs"]["n_found"] == 20
    assert row["all"]["n"] == 640
    assert row["all"]["n_galaxies"] == 80
    assert row["all"]["share"] == pytest.approx(0.4, abs=0.08)
    every = selection([injections(rng, 1, 8, 0.0)], 0.5, SETTINGS)
    title = selection_figure(every).get_suptitle()
    assert "1 of 1 galaxies pass without arcs, and are left out: none is left" in title


@pytest.mark.parametrize("scatter", [0.0, 0.3])
def test_intervals_of_completeness_hold_though_galaxies_differ(rng, scatter):
    held = []
    for _ in range(200):
        tables = [injections(rng, 50, 8, scatter) for _ in range(2)]
        tables[1]["id"] += 50
        (row,) = (row for row in selection(tables, 0.5, SETTINGS) if row["kind"] == "all")
        held.append(row["share_low"] <= 0.4 <= row["share_high"])
    assert np.mean(held) == pytest.approx(0.68, abs=0.11)


def of_a_depth(rng, of_unit_snr, held, first):
    """A table as of `inject`: arcs are found above a S/N of 10, none is brighter than `held`."""
    least, most = -2.5 * np.log10(np.array(SETTINGS.arc_snr)) + of_unit_snr
    magnitudes = np.where(np.arange(2000) % 5, rng.uniform(max(most, held), least, 2000), np.nan)
    snr = 10 ** (0.4 * (of_unit_snr - magnitudes))
    values = {"theta_e": 1 + 0 * magnitudes, "arc_mag": magnitudes, "arc_snr": snr}
    values |= {"deflector_mag": np.full(2000, held), "deflector_snr": np.full(2000, 100.0)}
    return Table(values | {"id": first + np.arange(2000) // 5, "p_lens": 1.0 * (snr > 10)})


@pytest.mark.parametrize("held", [[10.0, 10.0], [23.5, 26.0]])
def test_arcs_too_faint_for_a_shallow_tile_are_missed(rng, held):
    """Above a S/N of 10 are arcs brighter than mag 25 in the one tile, 27.5 in the other."""
    tables = [of_a_depth(rng, *of) for of in ((27.5, held[0], 0), (30.0, held[1], 400))]
    found = selection(tables, 0.5, SETTINGS)
    rows = found[np.asarray(found["kind"]) == "arc_mag"]
    share = dict(zip(rows["arc_mag_low"], rows["share"], strict=True))
    assert_allclose([share[mag] for mag in (26, 27, 28)], [0.5, 0.25, 0], atol=0.04)
    assert (rows["n_faint"][rows["arc_mag_low"] < 26] == 0).all()
    assert (rows["share_low"] <= rows["share"]).all() and (
        rows["share"] <= rows["share_high"]
    ).all()
    both = found["n_faint"][np.asarray(found["kind"]) == "theta_e x arc_mag"]
    assert both.sum() == rows["n_faint"].sum() == found["n_faint"].sum() / 2


def test_no_galaxies_give_an_empty_table(rng):
    said = injected(blank(rng), sources()[:0])
    assert len(said) == 0
    assert said.colnames == list(inject.COLUMNS)
    found = selection([said], 0.5, SETTINGS)
    assert len(found) == 0
    assert found["n"].dtype.kind == found["n_galaxies"].dtype.kind == "i"
    assert "No galaxies are bright" in selection_figure(found).get_suptitle()
