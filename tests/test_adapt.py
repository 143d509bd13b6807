"""What the lens finder learns from of a survey's own galaxies, and what is said of the gain."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table, vstack
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from pipeline import io
from pipeline.adaptation import _injections
from pipeline.adaptation import adapt as learn
from pipeline.config import Config
from pipeline.data import Exposure
from pipeline.injection import adapt, inject
from pipeline.nets import fit
from pipeline.survey import selection
from tests.test_inject import blank, injected, sources


def test_galaxies_stay_in_their_set():
    ids = np.arange(20_000)
    sets = adapt.sets(ids)
    assert_array_equal(adapt.sets(ids[::-1])[::-1], sets)
    assert_allclose(np.mean(sets == "held_out"), 0.3, atol=0.02)
    is_lens = np.arange(30) % 3 > 0
    assert_allclose(is_lens[adapt.balanced(is_lens)].mean(), 0.5)
    assert "3 galaxies of the survey" in adapt.too_few(3) and not adapt.too_few(50)


@pytest.fixture
def stamps(rng):
    return blank(rng)


@pytest.fixture
def survey(stamps, tmp_path):
    """Manifest of three tiles of four galaxies each, without a WCS."""
    for i, name in enumerate("abc"):
        table, tile = sources(), tmp_path / "tiles" / name
        table["id"] += 100 * i
        table["tile"], table["ra"], table["dec"] = name, 10.0 + i, 0.01 * np.arange(4)
        plane = np.ones((4, 4, 1), "f4")
        io.write_exposure(
            tile / "exposure.fits", Exposure(plane, plane, None, ("r",), pixel_scale=0.2)
        )
        io.write_table(tile / "sources.fits", table)
        io.write_cutouts(tile / "lens_cutouts.fits", replace(stamps, id=np.asarray(table["id"])))
    (tmp_path / "tiles.txt").write_text("\n".join("abc"))
    return tmp_path / "tiles.txt"


def few(n, **settings):
    adapted = Config().adapt.model_copy(update={"galaxies": n, "per_galaxy": 1})
    return Config().model_copy(update={"adapt": adapted, **settings})


def test_no_more_galaxies_of_all_tiles_are_learnt_from_than_asked(survey, monkeypatch):
    every = np.concatenate([10 + np.arange(4) + 100 * i for i in range(3)])
    lowest = every[np.argsort(inject.lots(every))][:5]
    monkeypatch.setattr(adapt, "FEWEST", 5)
    seen, truth = _injections(few(5), survey)
    assert len(seen) == len(truth) == 10
    assert set(truth["id"]) == set(lowest)


def test_lenses_are_not_learnt_from_as_galaxies_without_arcs(survey, monkeypatch, tmp_path):
    truth = Table({"kind": ["lens", "galaxy"], "ra": [11.0, 12.0], "dec": [0.01, 0.01]})
    io.write_table(tmp_path / "truth.fits", truth)
    known = Table({"name": ["one"], "ra": [10.0], "dec": [0.02 + 0.5 / 3600]})
    monkeypatch.setattr("pipeline.catalogs.known._shipped", lambda: known)
    monkeypatch.setattr(adapt, "FEWEST", 5)
    _, seen = _injections(few(50, truth=str(tmp_path / "truth.fits")), survey)
    ids = {10 + i + 100 * j for i in range(4) for j in range(3)}
    assert set(seen["id"]) == ids - {12, 111}


@pytest.mark.parametrize("card", [{}, {"adapted": {}}, fit.history({"adapted": {}})])
def test_what_is_found_is_of_galaxies_that_were_not_learnt_from(
    card, survey, stamps, tmp_path, monkeypatch
):
    ids = np.concatenate([10 + np.arange(4) + 100 * i for i in range(3)])
    for i, name in enumerate("abc"):
        table = sources()
        table["id"] += 100 * i
        said = injected(replace(stamps, id=np.asarray(table["id"])), table)
        io.write_table(tmp_path / "tiles" / name / "injections.fits", said)
    monkeypatch.setattr("pipeline.models.engine.load", lambda *_: SimpleNamespace(card=card))
    limit = Config().lens.model_copy(update={"threshold": 1.0})
    made = tmp_path / "selection.fits", tmp_path / "selection.png"
    selection(few(5, lens=limit), survey, *made)
    found = io.read_table(made[0])
    counted = np.sum(adapt.sets(ids) == "held_out") if card else len(ids)
    assert 0 < counted <= len(ids)
    assert found["n"][np.asarray(found["kind"]) == "no arcs"] == [counted]
    assert found.meta["HELDOUT"] == bool(card)


def test_the_card_says_where_the_galaxies_are_that_were_learnt_from(survey, tmp_path, monkeypatch):
    base = SimpleNamespace(home=tmp_path / "nets" / "lens")
    calibration = {"scale": 1.0, "shift": 0.0, "prevalence": 0.5, "threshold": 0.9}
    base.card = {"calibration": calibration | {"non_lenses": 7}}
    io.write_json(base.home / "card.json", base.card)
    made = {"mixed": {"share": 0.0, "val_loss": 1.0}, "log": []}
    monkeypatch.setattr(adapt, "FEWEST", 5)
    monkeypatch.setattr("pipeline.adaptation._fine_tune", lambda *_: dict(made))
    monkeypatch.setattr("pipeline.models.engine.load", lambda *_: base)
    monkeypatch.setattr("pipeline.models.lens.logits", lambda _, x: x.sum((1, 2, 3))[:, None])
    written = [tmp_path / name for name in ("adapted", "work", "adapted/gain.json")]
    for other in (0, 10_000):  # the second time it begins with what came of the first
        monkeypatch.setattr("pipeline.adaptation._injections", partial(renumbered, other))
        learn(few(50), survey, *written)
        base.card = io.read_json(tmp_path / "adapted" / "lens" / "card.json")
    every = vstack([io.read_table(tmp_path / "tiles" / name / "sources.fits") for name in "abc"])
    sets, others = (adapt.sets(every["id"] + other) for other in (0, 10_000))
    said = base.card["adapted"]
    assert base.card["calibration"] == calibration | {"non_lenses": 7}
    for when in ("before", "after"):
        assert (said["gain"][when]["threshold"], said["gain"][when]["non_lenses"]) == (0.9, 7)
    assert said["gain"]["galaxies"] == np.sum(sets == "held_out") > 0
    assert np.any((sets != "held_out") & (others == "held_out"))
    assert said["places"] == {name: adapt.places(every[sets == name]) for name in adapt.SHARES}
    assert said["before"]["adapted"]["places"] == said["places"]


def renumbered(other, *given):
    """Injections onto galaxies whose ids are others, as those of tiles with new names."""
    stamps, truth = _injections(*given)
    truth["id"] += other
    return stamps, truth


def test_galaxies_that_were_learnt_from_are_known_by_their_places_whatever_their_ids():
    names = "train", "validation", "train"
    before, after, further = (
        {"adapted": {"places": {name: [[10.0, 0.1 * i]]}}} for i, name in enumerate(names)
    )
    after["adapted"]["before"] = before
    card = after | {"before": further}
    galaxies = Table({"id": np.arange(6), "ra": np.full(6, 10.0), "dec": 0.1 * np.arange(6)})
    galaxies["dec"] += 0.5 / 3600
    assert_array_equal(adapt.unlearnt(galaxies, card, 1.0), [False] * 3 + [True] * 3)
    assert adapt.unlearnt(galaxies, card, 0.4).all()
    assert_array_equal(adapt.kept_sets(galaxies, card, 1.0)[:3], names)
    sets = adapt.sets(galaxies["id"])
    assert_array_equal(adapt.kept_sets(galaxies, card, 1.0)[3:], sets[3:])
    galaxies["ra"] = np.nan
    assert_array_equal(adapt.unlearnt(galaxies, card, 1.0), sets == "held_out")
    assert_array_equal(adapt.kept_sets(galaxies, card, 1.0), sets)


def test_the_gain_has_the_error_of_as_many_galaxies_as_there_are(rng):
    galaxy, is_lens = np.repeat(np.arange(60), 5), np.tile(np.arange(5) > 0, 60)
    own = np.repeat(rng.normal(size=60), 5)
    before = own + is_lens + 0.1 * rng.normal(size=300)
    said = adapt.gained(*((z, expit(z)) for z in (before, before + is_lens)), is_lens, galaxy)
    assert (said["galaxies"], said["stamps_with_arcs"]) == (60, 240)
    assert said["auroc_gain"]["value"] > 3 * said["auroc_gain"]["error"] > 0
    recall = {when: said[when]["recall_at_fpr_0.1"] for when in ("before", "after")}
    assert recall["after"]["value"] > recall["before"]["value"]
    assert recall["before"]["n"] == 60
    assert said["after"]["log_loss"]["value"] < said["before"]["log_loss"]["value"]
    alone = adapt.recall_at(before, is_lens, 0.1)
    assert recall["before"]["value"] == alone["value"]
    assert said["before"]["recall_at_fpr_0.01"] is None


def test_what_learnt_from_a_survey_is_known_by_what_comes_of_it():
    taken = {"before": {"log": [], "before": {"adapted": {}}}}
    assert adapt.has_adapted(taken) and not adapt.has_adapted({"before": {"log": []}})
