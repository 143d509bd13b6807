"""A training goes on where it was killed, whatever that spoilt, and not from what is no number."""

import os

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.config.train import Fit
from pipeline.nets import fit, progress

STAMPS = np.random.default_rng(1).normal(size=(32, 3)).astype("f4")
WANTED = STAMPS.sum(1, keepdims=True)
SETTINGS = Fit(stamps=32, batch_size=16, epochs=3)


def build():
    seen = keras.Input((3,))
    some = keras.layers.Dropout(0.1, seed=1, dtype="float32")(seen)
    model = keras.Model(seen, keras.layers.Dense(1, dtype="float32")(some))
    model.compile(loss="mse")
    return model


def trained(folder, wanted=WANTED):
    """Train a straight line; gives its weights, and the losses of the epochs."""
    keras.utils.set_random_seed(0)
    batches, validation = fit.Batches(STAMPS, wanted, 16, 0), fit.HeldOut(STAMPS, WANTED, 16)
    weights = fit.fit(build, batches, validation, SETTINGS, folder).get_weights()
    log = progress.log_of(folder)
    assert [row["epoch"] for row in log] == [0, 1, 2]
    return weights, [row[name] for row in log for name in ("loss", "val_loss")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", [progress.BEST, progress.LOG, progress.STATE])
def test_a_training_that_was_killed_as_it_wrote_ends_as_one_that_was_not(
    name, whole, tmp_path, monkeypatch
):
    replace, left = os.replace, [2]

    def killed(part, path):
        left[0] -= path.name == name
        if not left[0]:
            part.write_bytes(b"half of i")
            raise OSError(28, "No space left on device")
        replace(part, path)

    monkeypatch.setattr(progress.os, "replace", killed)
    with pytest.raises(OSError, match="No space"):
        trained(tmp_path)
    monkeypatch.undo()
    weights, losses = trained(tmp_path)
    assert_allclose(losses, whole[1], rtol=1e-6)
    for one, other in zip(weights, whole[0], strict=True):
        assert_array_equal(one, other)


def test_a_training_ends_where_nothing_was_gained_for_long_enough(tmp_path):
    kept = progress.Progress(tmp_path, 2)
    assert not kept.has_ended()
    for loss, ended in ((3.0, False), (2.0, False), (2.5, False), (2.0, True)):
        kept.log.append({"val_loss": loss})
        assert kept.has_ended() == ended


def test_a_loss_that_is_no_number_ends_a_training_again_and_again(tmp_path):
    for _ in range(2):
        with pytest.raises(FloatingPointError, match=r"epoch 1 is nan: .* lower learning_rate"):
            trained(tmp_path, WANTED * np.float32(np.nan))
    assert [path.name for path in tmp_path.glob("*.h5")] == [progress.BEST]  # what it began with


def test_a_training_that_gains_nothing_ends_with_what_it_began_with(tmp_path):
    begun = [np.ones((3, 1), "f4"), np.zeros(1, "f4")]  # which is already right

    def right():
        model = build()
        model.set_weights(begun)
        return model

    batches, validation = fit.Batches(STAMPS, -WANTED, 16, 0), fit.HeldOut(STAMPS, WANTED, 16)
    for _ in range(2):  # also if it is asked again
        weights = fit.fit(right, batches, validation, SETTINGS, tmp_path).get_weights()
        for one, other in zip(weights, begun, strict=True):
            assert_array_equal(one, other)
    first = progress.log_of(tmp_path)[0]
    assert first["val_loss_before"] < 1e-12 < first["val_loss"]
