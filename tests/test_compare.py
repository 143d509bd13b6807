"""The numbers of deblending, and what others score in them."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose
from scipy.special import expit

from pipeline.comparison.compare import PEERS, compare
from pipeline.comparison.peers import THRESHOLD, best_partition, oracle
from pipeline.config.train import Scenes
from pipeline.models import binned, deblending, lens_scores, metrics, photometry
from pipeline.report.loss_figure import loss_figure
from pipeline.report.score_figures import deblending_figure, lens_figure, reliability_figure
from pipeline.scenes.sets import draw_set


@pytest.fixture(scope="module")
def blends():
    return draw_set("blends", 64, Scenes(seed=7), "test")


@pytest.fixture(scope="module")
def peers(blends):
    cutouts, light, truth, _ = blends
    return compare([cutouts[:40], cutouts[40:]], truth, light)


def _all(statistics):
    return {name: float(number(v[np.isfinite(v)])) for name, (number, v) in statistics.items()}


def test_the_truth_scores_perfectly(rng):
    wanted = rng.random((20, 16, 16, 2)) > 0.7
    wanted[0, ..., 1] = False  # no neighbour: counts for no number but the target's
    found = deblending.of_masks(wanted[..., 0], wanted[..., 1], wanted)
    assert list(_all(found).values()) == [1.0, 1.0, 1.0]
    assert np.isnan(found["iou_neighbour"][1][0])
    nothing = np.zeros((20, 16, 16), bool)
    assert set(_all(deblending.of_masks(nothing, nothing, wanted)).values()) == {0.0}


def test_fluxes_that_were_not_found_do_not_count():
    ratio = np.array([1.0, 1.2, 0.4, np.nan])
    found = _all(deblending.of_fluxes(ratio))
    assert_allclose(found["mape"], (0 + 0.2 + 0.6) / 3)
    assert_allclose(found["outliers_0.75"], 1 / 3)


@pytest.mark.parametrize("level", metrics.LEVELS)
def test_coverage_of_honest_intervals_is_the_level(rng, level):
    flux, middle = rng.random(20_000), np.full(20_000, 0.5)
    ends = {k: (np.full(20_000, (1 - k) / 2), np.full(20_000, (1 + k) / 2)) for k in metrics.LEVELS}
    found = _all(deblending.of_intervals(flux, middle, ends))
    assert_allclose(found[f"coverage_{100 * level:.0f}"], level, atol=0.01)


def test_others_see_the_same_stamps_in_any_order(blends, peers):
    cutouts, light, truth, _ = blends
    rows = np.arange(len(truth))[::-1]
    turned = compare([cutouts[rows]], truth[rows], light[rows])
    for name in PEERS:
        one, other = (said[name]["iou_target"]["all"]["value"] for said in (peers, turned))
        assert_allclose(one, other)


def test_the_oracle_meets_the_masks_best_of_all_peers(peers):
    score = {name: said["iou_target"]["all"]["value"] for name, said in peers.items()}
    assert score["oracle"] == max(score.values())
    assert 0 < score["sep"] < 1
    assert 0 < score["photutils"] < 1
    assert all(said["recall"]["all"]["value"] > 0.5 for said in peers.values())


def test_no_hard_partition_meets_overlapping_masks_better_than_the_best():
    light = np.array([[[8.0, 8.0, 4.0, 2.0, 0.0, 0.0]], [[0.0, 2.0, 3.0, 4.0, 4.0, 2.0]]])
    true, image = light > THRESHOLD, light.sum(0)

    def met(masks):
        return metrics.iou(np.array(masks), true).mean()

    best, split = (
        met([thing.mask for thing in judge(image, light, sky=1.0)])
        for judge in (best_partition, oracle)
    )
    every = (np.array([own], bool) for own in np.ndindex(*image.size * (2,)))
    assert best == max(met([own & true[0], ~own & true[1]]) for own in every) > split


def test_figures_show_every_method(peers):
    figure = deblending_figure(peers | {"arclet": peers["sep"]})
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["arclet", "SEP", "photutils", "hard partition"]
    points = {"stated": [0.1, 0.9], "found": [0.2, 0.8]}
    figure = reliability_figure(
        {"reliability": points, "calibration_error_on_union": {"value": 0.1}}
    )
    assert len(figure.axes[0].lines) == 2


def test_the_lens_figure_shows_what_was_scored(rng):
    n = 4000
    is_lens = rng.random(n) < 0.5
    logit = rng.normal(2.0 * is_lens, 1.0)
    truth = {"is_lens": is_lens, "theta_e": rng.uniform(0.3, 3, n), "re": rng.random(n)}
    truth |= {"arc_snr": 10 ** rng.uniform(0.7, 4, n), "snr": rng.random(n)}
    truth |= {"pixel_scale": np.full(n, 0.1), "fwhm": rng.uniform(1, 3, n)}
    truth["rings"] = rng.random(n) < 0.5
    truth["kind"] = np.where(is_lens, "lens", rng.choice(["ring", "disc"], n))
    said = lens_scores.score(logit, expit(2 * logit - 2), np.ones((n, 8, 8, 2)), Table(truth))
    figure = lens_figure(said)
    assert [label.get_text() for label in figure.axes[4].get_yticklabels()] == ["disc", "ring"]
    for curve in said["roc"].values():
        assert (np.diff(curve["tpr"]) >= 0).all()
        assert curve["fpr"][0] * said["n_others"] >= 1
    at = np.argmin(np.abs(np.array(curve["fpr"]) - 0.01))
    assert said["recall_of_clear_arcs_at_fpr_0.01"]["value"] == curve["tpr"][at] > 0.3
    assert said["calibration_error"]["value"] < 0.03
    assert all(len(ax.lines) > 1 for ax in figure.axes)


def test_figures_of_little_have_few_numbers_on_their_axes():
    said = {"roc": {"all": {"fpr": [0.012, 0.1, 0.7], "tpr": [0.1, 0.5, 0.9]}}}
    said |= {"completeness_at_fpr_0.01": {}, "calibration_error": {"value": 0.1}}
    said["reliability"] = {"stated": [0.1, 0.9], "found": [0.1, 0.9]}
    figure = lens_figure(said)
    figure.draw_without_rendering()
    rates = figure.axes[3].xaxis
    assert {label.get_text() for label in rates.get_ticklabels(minor=True)} == {""}
    assert "0.1" in [label.get_text() for label in rates.get_ticklabels()]
    log = [{"epoch": 0, "loss": 1.0, "val_loss": 2.0}]
    (epochs,) = loss_figure({"log": log, "mixed": {"share": 0.5, "val_loss": 1.5}}, "unet").axes
    assert epochs.get_legend_handles_labels()[1][-1] == "kept (50% of the change)"
    assert (epochs.get_xticks() % 1 == 0).all()


def test_numbers_in_bins_leave_out_what_is_not_known(blends):
    truth = blends[2]
    values = np.where(np.arange(len(truth)) % 2, 1.0, np.nan)
    found = binned.by_condition({"mean": (np.mean, values)}, truth)["mean"]
    assert found["all"]["n"] == len(truth) // 2
    assert sum(row["n"] for row in found["snr"]) <= len(truth) // 2


def test_diffuse_galaxies_have_scores_of_their_own(monkeypatch):
    snr, re, binning = np.array([(20, 6, 1), (50, 6, 1), (20, 2, 1), (20, 6, 2)] * 10).T
    truth = Table({"flux": np.ones(40), "snr": snr, "re": re, "binning": binning})
    for name in ("neighbour", "fwhm", "neighbour_dm", "n_sources", "neighbour_known"):
        truth[name] = np.ones(40)
    diffuse = np.arange(40) % 4 == 0
    middle = np.where(diffuse, 0.5, 1.0)
    high = np.where(diffuse & (np.arange(40) >= 20), 0.9, 1.1)  # of half of them too low
    intervals = {level: (0.4 * middle, high) for level in metrics.LEVELS}
    monkeypatch.setattr(photometry, "_intervals", lambda *_: (middle, intervals))
    said = photometry.score(None, None, truth, None)
    assert said["diffuse"]["coverage_68"]["value"] == 0.5
    assert said["diffuse"]["coverage_68"]["n"] == 10
    assert_allclose(said["diffuse"]["median_dm"]["value"], 2.5 * np.log10(2))
    assert said["coverage_68"]["value"] == 0.875
