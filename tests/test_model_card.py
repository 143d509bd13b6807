"""Model cards can be read; `python tests/test_model_card.py` writes the shipped networks' page."""

import json
import re

import pytest

from pipeline import SHIPPED
from pipeline.models import NETWORKS
from pipeline.report.model_card import ABOUT, model_cards


def shipped():
    return {name: json.loads((SHIPPED / name / "card.json").read_text()) for name in NETWORKS}


def rows(page, head):
    """Cells of the rows of the table whose first column is called so."""
    lines = page[page.index(f"| {head} |") :].split("\n\n")[0].strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_of_the_shipped_networks_says_what_their_cards_say():
    written = (SHIPPED / "README.md").read_text()
    assert written == model_cards(shipped()), f"run `python {__file__}`"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_card_says_what_a_network_learnt_from_how_well_and_where_it_fails(name):
    card = shipped()[name]
    page = model_cards({name: card})
    trainings = rows(page, "stamps an epoch")
    assert trainings[-1][0] == str(card["settings"]["stamps"])
    assert trainings[-1][11] == card["machine"]
    assert all(limit in page for limit in ABOUT[name][2:]) and len(ABOUT[name]) > 2
    measured = {label: float(value) for label, value, _ in rows(page, "score")}
    for label, found in card["scores"].items():
        if isinstance(found, dict) and "value" in found:
            assert measured[label] == pytest.approx(found["value"], abs=6e-5)


def test_trainings_are_in_the_order_in_which_they_were():
    card = shipped()["photometry"]
    seeds = [int(row[6]) for row in rows(model_cards({"photometry": card}), "stamps an epoch")]
    behind = card["before"]
    assert seeds[-2:] == [behind["settings"]["seed"], card["settings"]["seed"]]


@pytest.mark.parametrize("before, kept", [(0.5, "0.25"), (0.125, "0.125")])
def test_the_loss_is_that_of_the_weights_that_were_kept(before, kept):
    log = [{"val_loss_before": before, "val_loss": 0.75}, {"val_loss": 0.25}, {"val_loss": 0.375}]
    card = {key: value for key, value in shipped()["lens"].items() if key != "mixed"}
    page = model_cards({"lens": (card := card | {"log": log})})
    assert rows(page, "stamps an epoch")[-1][8:10] == ["", kept]
    page = model_cards({"lens": card | {"mixed": {"share": 0.7, "val_loss": 0.25}}})
    assert rows(page, "stamps an epoch")[-1][8:10] == ["0.7", "0.25"]


def test_where_a_network_is_worst_is_named():
    card = shipped()["photometry"]
    row = {"error": 0.01, "n": 50}
    bins = [{"low": 0.0, "high": 1.0, "value": 0.6}, {"low": 1.0, "high": None, "value": 0.7}]
    bins = {"all": row | {"value": 0.65}, "snr": [row | one for one in bins]}
    page = model_cards({"photometry": card | {"scores": {"bins": {"coverage_68": bins}}}})
    said = ["coverage_68", "0.600 ± 0.010", "snr 0 to 1", "0.700 ± 0.010", "snr above 1"]
    assert rows(page, "in bins") == [said]


def test_scores_may_be_of_several_numbers_of_draws():
    """As just measured: in a card that was read again the numbers are words."""
    found = {"value": 0.5, "error": 0.02}
    page = model_cards({"punet": shipped()["punet"] | {"scores": {"ged": {1: found, 16: found}}}})
    numbers = "0.5000", "0.0200"
    assert rows(page, "score") == [["ged: 1", *numbers], ["ged: 16", *numbers]]


def test_what_passes_for_a_lens_comes_the_worst_first():
    page = model_cards(shipped())
    passed = rows(page, "passes for a lens at 1 % false positives")
    shares = [float(share.rstrip("%")) for _, share, *_ in passed]
    assert len(shares) > 5 and shares == sorted(shares, reverse=True)


def test_a_network_that_is_not_scored_has_a_page_all_the_same():
    card = {k: v for k, v in shipped()["lens"].items() if k != "scores"} | {"log": []}
    page = model_cards({"lens": card})
    assert "## `lens`" in page and not re.search(r"^\| score", page, re.MULTILINE)


if __name__ == "__main__":
    (SHIPPED / "README.md").write_text(model_cards(shipped()))
