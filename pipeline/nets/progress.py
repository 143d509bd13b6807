"""What a training keeps on disk after each epoch, from which a killed one goes on."""

import json
import os
import time
from pathlib import Path

import keras
import numpy as np

BEST, STATE, LOG = "best.weights.h5", "state.weights.h5", "log.json"


class Progress(keras.callbacks.Callback):
    """Keeps a training's best weights, its log and its state; each file is whole or as it was.

    The state comes last: an epoch that was killed or found the disk full before is learnt again.

    Parameters
    ----------
    folder : Path
    patience : int
        Epochs without gain before training stops.

    Raises
    ------
    FloatingPointError
        If a loss is no number, for nothing is learnt from there on.
    """

    def __init__(self, folder, patience):
        super().__init__()
        self.folder, self.patience, self.log = Path(folder), patience, []
        self.before = np.inf  # the validation loss of the weights that training began with

    def begin(self, model, validation):
        """Keep what a compiled model begins with, as the best until an epoch is better."""
        loss = model.evaluate(validation, verbose=0, return_dict=True)["loss"]
        self.before = loss if np.isfinite(loss) else np.inf
        model.optimizer.build(model.trainable_variables)
        if not (self.folder / BEST).exists():
            self._write(BEST, model.save_weights)

    def resume(self, model, steps):
        """Bring a compiled model to where the training was; number of its epochs of so many steps.

        It is that of the last epoch of all where there is nothing left to gain.
        """
        if (self.folder / STATE).exists():
            model.load_weights(self.folder / STATE)
        self.log = log_of(self.folder)[: int(model.optimizer.iterations) // steps]
        return len(self.log)

    def has_ended(self):
        """Whether the validation loss was lowest `patience` epochs ago."""
        losses = self._losses()
        return len(losses) > np.argmin(losses) + self.patience

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock; draw at random as if no training before had been killed."""
        self.epoch, self.start = epoch, time.monotonic()
        drawn = keras.ops.convert_to_numpy(self.model.optimizer.iterations)
        for state in (v for v in self.model.variables if v.name == "seed_generator_state"):
            state.assign([keras.ops.convert_to_numpy(state)[0], drawn])

    def on_train_batch_end(self, batch, logs=None):
        """Refuse a loss that is no number."""
        self._refuse(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        """Write everything; how long the epoch took, validation included, is in the log [s]."""
        self._refuse(logs["val_loss"])
        logs["seconds"] = time.monotonic() - self.start
        if logs["val_loss"] < min(self._losses()):
            self._write(BEST, self.model.save_weights)
        if not self.log and np.isfinite(self.before):
            logs["val_loss_before"] = self.before
        self.log.append({"epoch": epoch} | {name: float(value) for name, value in logs.items()})
        self._write(LOG, lambda path: path.write_text(json.dumps(self.log)))
        self._write(STATE, self.model.save_weights)
        self.model.stop_training = self.has_ended()

    def _losses(self):
        """Validation losses: before, and after each epoch."""
        return [self.before, *(row["val_loss"] for row in self.log)]

    def _refuse(self, loss):
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss of epoch {self.epoch + 1} is {loss}: set a lower learning_rate"
            )

    def _write(self, name, write):
        part = self.folder / f"part.{name}"
        write(part)
        os.replace(part, self.folder / name)


def log_of(folder):
    """What a training logged: a dict of numbers for each epoch."""
    path = Path(folder) / LOG
    return json.loads(path.read_text()) if path.exists() else []
