import csv
import json
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pipeline import training
from pipeline.config import Config
from pipeline.nets import fit
from pipeline.training import scenes, score, ship, train

SETTINGS = {
    "scenes": {"blends": 48, "lenses": 48, "held_out": 0.5, "size": 32},
    "train": {"unet": {"filters": [4, 8], "epochs": 2, "batch_size": 16}},
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for split in ("train", "validation", "test"):
        scenes(
            Config.model_validate(SETTINGS),
            folder / split / "0",
            kind="blends",
            split=split,
            shard=0,
        )
    return folder


def test_a_network_is_trained_scored_and_shipped_with_its_card(drawn, tmp_path):
    config, home = Config.model_validate(SETTINGS), tmp_path / "networks" / "unet"
    train(config, drawn, home, tmp_path / "work", network="unet")
    score(config, drawn, home, tmp_path / "scores" / "unet.json", network="unet")
    ship(config, tmp_path / "networks", tmp_path / "scores", tmp_path / "weights")
    card = json.loads((tmp_path / "weights" / "unet" / "card.json").read_text())
    assert card["settings"]["filters"] == [4, 8]
    assert card["scenes"]["seed"] == 1
    assert card["stamps_trained_on"] == 48
    assert 0 <= card["scores"]["iou_target"] <= 1
    assert (tmp_path / "weights" / "unet" / "main.xml").exists()


def test_a_killed_training_resumes(drawn, tmp_path):
    short = {**SETTINGS, "train": {"unet": {**SETTINGS["train"]["unet"], "epochs": 1}}}
    for settings in (short, SETTINGS):
        train(
            Config.model_validate(settings),
            drawn,
            tmp_path / "unet",
            tmp_path / "work",
            network="unet",
        )
    with open(tmp_path / "work" / "log.csv", newline="") as log:
        assert [row["epoch"] for row in csv.DictReader(log)] == ["0", "1"]


def test_batches_show_every_stamp_once_in_an_epoch_and_turn_maps_with_it(rng):
    stamps = rng.normal(size=(12, 4, 4, 1)).astype("f4")
    batches = fit.Batches(stamps, stamps.copy(), 4, 0)
    seen = [batches[i] for i in range(len(batches))]
    assert np.allclose(
        sorted(np.concatenate([s.sum((1, 2, 3)) for s, _ in seen])), sorted(stamps.sum((1, 2, 3)))
    )
    assert all((s == w).all() for s, w in seen)
    first = batches.order.copy()
    batches.on_epoch_end()
    assert (batches.order != first).any()


def test_joined_parts_are_let_go_of():
    parts = [(np.full((2, 3), i, "f4"), np.full(2, i)) for i in range(3)]
    watched = [weakref.ref(array) for part in parts for array in part]
    maps, numbers = training._join(parts)
    assert_array_equal(numbers, [0, 0, 1, 1, 2, 2])
    assert_array_equal(maps[:, 0], numbers)
    assert not any(ref() is not None for ref in watched)
