"""The numbers that networks are scored by, against cases done by hand."""

from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from pipeline.models import lens_scores, metrics, photometry
from pipeline.models.binned import (
    EDGES,
    bootstrap,
    by_condition,
    extremes,
    in_bins,
    pooled,
    share,
)


def test_iou_by_hand():
    a = np.zeros((3, 2, 2), bool)
    b = a.copy()
    a[0, 0], b[0, :, 0] = True, True
    a[1] = True
    assert_allclose(metrics.iou(a, b), [1 / 3, 0, 1])


def test_reliability_of_honest_probabilities_lies_on_the_diagonal(rng):
    p = rng.random(50_000)
    truth = rng.random(50_000) < p
    stated, found, count = metrics.reliability(p, truth)
    assert_allclose(stated, found, atol=0.03)
    assert count.sum() == 50_000
    assert metrics.calibration_error(p, truth) < 0.01
    assert_allclose(metrics.calibration_error(p / 2, truth), 0.25, atol=0.01)
    assert_allclose(metrics.odds_slope(p, truth), 1, atol=0.03)
    too_sure = p**2 / (p**2 + (1 - p) ** 2)
    assert_allclose(
        metrics.odds_slope(too_sure, truth), metrics.odds_slope(p, truth) / 2, rtol=1e-4
    )


def test_calibrated_fluxes_hold_68_percent_at_every_width(rng, monkeypatch):
    log_sigma = rng.uniform(-4, -1, 24_000)
    value = 1.5 * np.exp(1.2 * log_sigma) * rng.normal(size=len(log_sigma))
    mixture = np.column_stack([np.zeros_like(value), np.zeros_like(value), log_sigma])
    monkeypatch.setattr(photometry, "collect", lambda stamps: np.ones(len(stamps)))
    told = photometry.calibrate(lambda *_: mixture, [value], {"flux": np.exp(value)})
    network = Mock(return_value=mixture, card=told)
    low, _, high = photometry._percentiles(network, [value], photometry.SHARES.values())
    held = (low < np.exp(value)) & (np.exp(value) < high)
    for rows in np.array_split(np.argsort(log_sigma), 6):
        assert_allclose(held[rows].mean(), 0.68, atol=0.02)


def test_the_area_under_the_roc_curve_by_hand():
    assert metrics.roc_auc([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0]) == 3 / 4
    assert metrics.roc_auc([0.5, 0.5], [1, 0]) == 1 / 2


def test_nmad_is_the_standard_deviation_of_gaussians(rng):
    assert_allclose(metrics.nmad(rng.normal(5, 3, 100_000)), 3, rtol=0.02)


def test_brier_by_hand():
    assert_allclose(metrics.brier([0.0, 0.5, 1.0], [0, 1, 1]), 0.25 / 3)


def test_pull_is_in_units_of_the_side_on_which_the_value_lies():
    low, middle, high = np.array([[-1.0, -1.0], [0.0, 0.0], [4.0, 4.0]])
    assert_allclose(metrics.pull(low, middle, high, np.array([-2.0, 2.0])), [-2, 0.5])


def test_pull_of_gaussian_posteriors_is_standard_normal(rng):
    middle, sigma = rng.normal(size=20_000), rng.uniform(0.5, 2, 20_000)
    value = middle + sigma * rng.normal(size=20_000)
    found = metrics.pull(middle - sigma, middle, middle + sigma, value)
    assert_allclose([found.mean(), found.std()], [0, 1], atol=0.03)


def test_energy_distance_rewards_neither_collapse_nor_noise():
    truth = np.ones((2, 2, 2), bool)
    same = np.stack([truth] * 4)
    assert_allclose(metrics.energy_distance(same, truth), 0)
    assert_allclose(metrics.diversity(same), 0)
    half = same.copy()
    half[:2] = False
    # E[d(S, Y)] = 1/2; two different draws are apart in 4 of 6 pairs, of 12 in 16 ordered ones
    assert_allclose(metrics.diversity(half), 4 / 6)
    assert_allclose(metrics.energy_distance(half, truth), 2 * 0.5 - 4 / 6 * 3 / 4)
    assert_allclose(metrics.energy_distance(same[:1], ~truth), 2)


def test_bootstrap_error_of_a_mean_is_the_known_one(rng):
    values = rng.normal(3, 2, 400)
    found = bootstrap(np.mean, values, n_draws=400)
    assert_allclose(found["value"], values.mean())
    assert_allclose(found["error"], 2 / 20, rtol=0.2)
    assert np.isnan(bootstrap(np.mean, [])["value"])


def test_bootstrap_keeps_what_shares_a_row_together(rng):
    a = rng.normal(size=100)
    assert bootstrap(lambda x, y: np.max(np.abs(x - y)), a, a)["error"] == 0


def test_what_belongs_to_one_member_is_resampled_together(rng):
    member, values = np.repeat(np.arange(100), 50), np.repeat(rng.normal(size=100), 50)
    shuffled = rng.permutation(len(member))
    found = pooled(np.mean, values[shuffled], member=member[shuffled], n_draws=300)
    assert_allclose(found["value"], values.mean())
    assert_allclose(found["error"], 0.1, rtol=0.25)
    assert found["n"] == 100


def test_members_are_drawn_as_often_as_their_number_is(rng):
    member, values, drawn = np.array([2, 0, 2, 1]), np.array([5.0, 1.0, 6.0, 3.0]), []

    def statistic(*columns):
        drawn.append(np.column_stack(columns))
        return 0.0

    pooled(statistic, values, -values, member=member, n_draws=1, draw=lambda _: np.array([2, 0, 2]))
    first, whole = (sorted(rows.tolist()) for rows in drawn)
    assert first == [[1, -1], [5, -5], [5, -5], [6, -6], [6, -6]]
    assert whole == [[1, -1], [3, -3], [5, -5], [6, -6]]


def test_share_has_an_error_even_where_all_or_none_hit():
    none = share(np.zeros(50, bool))
    assert none["value"] == 0
    assert 0 < none["error"] < 0.02
    assert_allclose(share(np.arange(100) < 50)["error"], 0.05, rtol=0.02)
    assert share([])["n"] == 0


@pytest.mark.parametrize("alike", [False, True])
def test_a_share_of_trials_that_are_alike_has_the_error_of_their_members(rng, alike):
    members, found = np.repeat(np.arange(40), 10), []
    for _ in range(300):
        chance = np.where(rng.random(40) < 0.6, 0.95, 0.15) if alike else np.full(40, 0.63)
        found.append(share(rng.random(400) < chance[members], members))
    scatter = np.std([said["value"] for said in found])
    assert_allclose(np.mean([said["error"] for said in found]), scatter, rtol=0.15)
    hits = np.arange(100) < 30
    assert share(hits, np.arange(100)) == share(hits)


@pytest.mark.parametrize("n_false", [0, 1, 9, 100])
def test_the_error_of_a_recall_counts_the_false_positives_scatter(rng, n_false):
    n, found = 3000, []
    for _ in range(150):
        score = np.concatenate([rng.logistic(size=n), rng.logistic(3.0, 1.3, size=n)])
        found.append(lens_scores.found_before(score, np.arange(2 * n) >= n, n_false))
    scatter = np.std([said["value"] for said in found])
    assert_allclose(np.mean([said["error"] for said in found]), scatter, rtol=0.6)


def test_shares_of_lenses_have_the_same_error():
    hits = np.arange(100) < 30
    (row,) = lens_scores.completeness(hits, np.zeros(100), (-1, 1))
    assert (row["recall"], row["error"]) == (share(hits)["value"], share(hits)["error"])


def test_bins_hold_their_lower_edge_and_small_ones_are_left_out():
    by = np.repeat([1.0, 2.0, np.nan, 5.0], [10, 20, 30, 3])
    mean = partial(bootstrap, np.mean)
    (first, second) = in_bins(mean, [by], by, (1, 2, 3, np.inf))
    assert (first["n"], second["n"]) == (10, 20)
    assert (first["value"], second["value"]) == (1, 2)
    assert in_bins(mean, [by], by * 0 + 5, (1, np.inf))[0]["high"] is None


@pytest.mark.parametrize("condition", EDGES)
def test_every_condition_is_binned(rng, condition):
    n = 2000
    truth = Table(
        {
            "re": rng.uniform(1, 8, n),
            "fwhm": rng.uniform(1.5, 5, n),
            "neighbour": rng.uniform(0, 40, n),
            "neighbour_dm": rng.uniform(-4, 4, n),
            "snr": 10 ** rng.uniform(0.5, 3, n),
            "n_sources": rng.integers(1, 9, n),
        }
    )
    found = by_condition({"mean": (np.mean, np.ones(n))}, truth)["mean"]
    assert found["all"]["n"] == n
    rows = found[condition]
    assert len(rows) >= 3
    assert sum(row["n"] for row in rows) > 0.9 * n
    assert all(row["value"] == 1 for row in rows)


def test_extremes_are_the_least_and_the_largest_of_some_conditions():
    rows = {"snr": [{"value": 0.3}, {"value": 0.6}], "delta_m": [{"value": 0.1}, {"value": 0.9}]}
    found = extremes(rows, "snr")
    assert (found["least"]["value"], found["most"]["value"]) == (0.3, 0.6)
    assert extremes(rows, "snr", "delta_m")["most"]["value"] == 0.9
