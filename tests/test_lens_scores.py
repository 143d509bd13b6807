"""The lens finder's threshold, and what is counted above it."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from pipeline.config import Lens
from pipeline.models import lens, lens_scores
from pipeline.report.expectation import expect


def test_a_threshold_from_few_is_that_from_many(rng):
    few = [lens_scores.threshold_at(rng.logistic(size=2000), 1e-3) for _ in range(30)]
    assert_allclose(np.mean(few), np.log(999), rtol=0.06)
    many = lens_scores.threshold_at(rng.logistic(size=200_000), 1e-3)
    assert_allclose(many, np.log(999), rtol=0.03)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 20, 40, 100])
def test_a_threshold_from_a_handful_is_rough_but_not_out_of_reach(rng, n):
    """Though their tail is all that few can tell, and there is none of one or two."""
    found = [lens_scores.threshold_at(rng.logistic(size=n), 1e-3) for _ in range(1000)]
    assert np.isfinite(found).all()
    if n >= 10:
        assert_allclose(np.median(found), np.log(999), rtol=0.08)


@pytest.mark.parametrize("prevalence", [1e-3, 0.5])
def test_one_other_in_a_thousand_passes_the_networks_threshold(rng, monkeypatch, prevalence):
    is_lens = np.arange(60_000) % 4 == 0
    said = 0.7 * rng.logistic(size=(len(is_lens), 1)) + 2 * is_lens[:, None]
    monkeypatch.setattr(lens, "logits", lambda network, stamps: said)
    monkeypatch.setattr(lens, "inputs", lambda cutouts: np.zeros((1, 2, 2, 1)))
    network = SimpleNamespace(card=lens.calibrate(None, None, {"is_lens": is_lens}))
    settings = Lens(prevalence=prevalence, turns=False)
    p_lens = lens.apply(network, SimpleNamespace(id=np.arange(len(said))), settings)["p_lens"]
    passes = p_lens[~is_lens] > lens.threshold(network, settings)
    assert_allclose(passes.mean(), lens.FALSE_POSITIVE_RATE, rtol=0.05)


def test_one_orientation_is_in_memory_at_a_time(monkeypatch):
    stamps = np.ones((64, 64, 64, 2), "f4")
    monkeypatch.setattr(lens, "logits", lambda network, stamps: stamps[:, 0, 0])
    monkeypatch.setattr(lens, "inputs", lambda cutouts: stamps)
    found = {"scale": 1.0, "shift": 0.0, "prevalence": 0.5}
    network = SimpleNamespace(card={"calibration": found})
    tracemalloc.start()
    said = lens.apply(network, SimpleNamespace(id=np.arange(64)), Lens(turns=True, prevalence=0.5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * stamps.nbytes
    assert_allclose(said["p_lens"], expit(1.0))


def test_recall_counts_false_positives():
    p, is_lens = np.arange(200) / 200, np.arange(200) % 2 == 0
    assert lens_scores.recall_at(p, is_lens, 1e-3) is None
    assert lens_scores.recall_at(p, is_lens, 0.1)["value"] == 0.1
    assert lens_scores.recall_before(p, is_lens, 1)["value"] == 0


def test_false_positives_are_counted_by_kind():
    kind = np.repeat(["disc", "ring"], 500)
    logit = np.linspace(0, 1, 1000)
    rows = lens_scores.false_positives(logit, kind)
    assert rows["disc"]["share"] == 0
    assert_allclose(rows["ring"]["share"], 10 / 500)
    assert rows["ring"]["n"] == 500


def test_what_is_seen_through_rings_has_scores_of_its_own(rng):
    n = 1000
    is_lens, rings = np.arange(n) % 2 == 0, np.arange(n) < 400
    values = np.where(rings, rng.normal(size=n), is_lens)
    truth = Table({"is_lens": is_lens, "rings": rings, "kind": np.full(n, "disc")})
    for name in ("theta_e", "arc_snr", "snr", "re", "pixel_scale", "fwhm"):
        truth[name] = np.ones(n)
    found = lens_scores.score(values, expit(values), np.ones((n, 16, 16, 2)), truth)
    assert found["auroc"]["value"] > 0.7
    assert abs(found["through_rings"]["auroc"]["value"] - 0.5) < 0.1
    assert found["through_rings"]["recall_at_fpr_0.01"]["n"] == 200


def test_arcs_are_counted_by_size_and_brightness_by_hand():
    """Half of the lenses are bright and found; one in a hundred of the others is above the rest."""
    wide, bright = np.tile([False, True], 100), np.repeat([False, True], 100)
    is_lens = np.arange(400) < 200
    truth = Table({"is_lens": is_lens, "snr": np.ones(400), "re": np.ones(400)})
    truth["theta_e"] = np.append(np.where(wide, 1.0, 0.4), np.full(200, np.nan))
    truth["arc_snr"] = np.append(np.where(bright, 30.0, 10.0), np.full(200, np.nan))
    truth["pixel_scale"], truth["fwhm"] = 0.2, 4.0
    truth["rings"], truth["kind"] = True, "disc"
    logits = np.append(np.where(bright, 2.0, 0.95), np.linspace(0, 1, 200))
    p_lens = np.where(is_lens, 0.8, 0.4)
    found = lens_scores.score(logits, p_lens, np.ones((400, 8, 8, 2)), truth)
    curves = {
        name: [(row["from"], row["n"], row["recall"]) for row in rows]
        for name, rows in found["completeness_at_fpr_0.01"].items()
    }
    assert curves["einstein_radius_arcsec"] == [(0.3, 100, 0.5), (0.8, 100, 0.5)]
    assert curves["einstein_radius_fwhm"] == [(1.0, 100, 0.5)]
    assert curves["arc_snr"] == [(10, 100, 0), (20, 100, 1)]
    assert found["recall_of_clear_arcs_at_fpr_0.01"]["value"] == 1
    assert found["recall_of_clear_arcs_at_fpr_0.01"]["n"] == 50
    assert_allclose(found["log_loss"]["value"], -np.log(0.8 * 0.6) / 2)


def test_brightness_is_of_the_middle_in_units_of_the_noise():
    stamps = np.ones((1, 16, 16, 2)) * [1.0, 4.0]
    assert_allclose(lens_scores.brightness(stamps), 4 * 4 * 2)


@pytest.mark.parametrize("sense", [1, -1])
def test_few_that_are_no_lenses_are_above_the_threshold(sense, rng):
    """Though the network has it the wrong way round, as one may that has learnt little."""
    is_lens = np.arange(4000) % 2 == 0
    logits = sense * rng.logistic(is_lens, 1)[:, None]
    found = lens.calibrate(lambda graph, values: values, logits, {"is_lens": is_lens})
    found = found["calibration"]
    assert found["scale"] * sense > 0
    p_lens = expit(found["scale"] * logits[:, 0] + found["shift"] - logit(found["prevalence"]))
    assert 0 < np.mean(p_lens[~is_lens] > found["threshold"]) < 3e-3


def test_few_that_are_told_apart_make_no_certainty():
    is_lens = np.arange(30) % 3 > 0
    logits = np.where(is_lens, 1.0, -1.0)[:, None]
    found = lens.calibrate(lambda graph, values: values, logits, {"is_lens": is_lens})
    said = lens.stated(found["calibration"], logits[:, 0], is_lens.mean())
    assert_allclose(said, np.where(is_lens, 21 / 22, 1 / 12), rtol=1e-3)


@pytest.mark.parametrize("is_lens", [[True], [False, False]])
def test_lenses_alone_and_others_alone_calibrate_nothing(is_lens):
    with pytest.raises(ValueError, match=r"of the . stamps of validation are.*raise scenes.lenses"):
        lens.calibrate(None, None, {"is_lens": is_lens})


def test_a_threshold_is_given_or_the_networks_own():
    class Network:
        home, card = "here", {"calibration": {"threshold": 0.5}}

    assert lens.threshold(Network, Lens(threshold=0.2)) == 0.2
    assert_allclose(lens.threshold(Network, Lens(prevalence=0.01)), 0.01)
    Network.card = {"calibration": {}}
    with pytest.raises(ValueError, match=r"here/card.json gives no threshold.*set lens.threshold"):
        lens.threshold(Network, Lens())


def test_the_expectation_is_the_sum_of_the_probabilities():
    expected = expect([0.95, 0.6, 0.1])
    rows = {row["threshold"]: row for row in expected.rows(0.3)}
    assert rows[0.5]["n"] == 2
    assert_allclose(rows[0.5]["purity"], 1.55 / 2)
    assert_allclose(rows[0.5]["completeness"], 1.55 / 1.65)
    assert expected.above(0.6) == 1
