"""Train a network: batches, schedule, checkpoints; and put the result into a folder that ships."""

import platform
import time
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from pipeline.models.stamps import turned

WARM_UP = 200  # steps, at most a fifth of all
PACKAGES = "keras", "tensorflow", "openvino", "galsim", "lenstronomy", "numpy"


class Batches(keras.utils.PyDataset):
    """Shuffled batches, each turned or mirrored as one, the same for a seed and an epoch.

    Parameters
    ----------
    stamps, wanted : ndarray or tuple of ndarray, (n, ...)
        What the network sees, and what it should say; None where a stamp is its own target.
        Maps (n, y, x, channel) are turned, other arrays are left as they are.
    batch_size, seed : int
    first_epoch : int
        Epoch to begin with, where a killed training goes on.
    """

    def __init__(self, stamps, wanted, batch_size, seed, first_epoch=0):
        super().__init__()
        self.pair = (stamps, wanted)
        self.n = len(stamps[0] if isinstance(stamps, tuple) else stamps)
        self.batch_size, self.seed, self.epoch = batch_size, seed, first_epoch
        self._shuffle()

    def __len__(self):
        return self.n // self.batch_size

    def __getitem__(self, i):
        rows = np.sort(self.order[i * self.batch_size : (i + 1) * self.batch_size])
        turn = int(self.turns[i])
        return tuple(_chosen(part, rows, turn) for part in self.pair if part is not None)

    def on_epoch_end(self):
        """Draw the next epoch's order."""
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        rng = np.random.default_rng((self.seed, self.epoch))
        self.order = rng.permutation(self.n)
        self.turns = rng.integers(8, size=len(self) + 1)


def _chosen(arrays, rows, turn):
    """Rows of an array, or of each in a tuple; maps are turned."""
    if isinstance(arrays, tuple):
        return tuple(_chosen(array, rows, turn) for array in arrays)
    chosen = np.asarray(arrays[rows], "f4")
    return np.ascontiguousarray(turned([chosen], turn)[0]) if chosen.ndim == 4 else chosen


def fit(build, train, validation, settings, folder):
    """Train a network; the best epoch's weights are kept, and a killed training resumes.

    Convolutions compute in bfloat16 (a third faster), weights and losses are kept in float32.

    Parameters
    ----------
    build : callable
        Gives the compiled, untrained model.
    train, validation : tuple of ndarray
        Stamps and what is wanted of them.
    settings : pipeline.config.Fit
    folder : Path
        For checkpoints, the log (``log.csv``) and TensorBoard's events.

    Returns
    -------
    keras.Model
        In float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.csv"
    done = max(len(log.read_text().splitlines()) - 1, 0) if log.exists() else 0
    batches = Batches(*train, settings.batch_size, settings.seed, done)
    with _policy("mixed_bfloat16"):
        model = build()
        _compile(model, settings, len(batches))
        model.fit(
            batches,
            validation_data=Batches(*validation, settings.batch_size, settings.seed),
            epochs=settings.epochs,
            callbacks=_callbacks(folder, settings),
            verbose=2,
        )
    model.load_weights(folder / "best.weights.h5")
    final = build()
    final.set_weights(model.get_weights())
    return final


@contextmanager
def _policy(name):
    """Build layers that compute in another precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _compile(model, settings, steps):
    total = settings.epochs * steps
    warm_up = min(WARM_UP, total // 5)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total, warmup_target=settings.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0)
    model.compile(optimizer, loss=model.loss, jit_compile=False)


def _callbacks(folder, settings):
    best = {"monitor": "val_loss", "save_best_only": True, "save_weights_only": True}
    return [
        keras.callbacks.BackupAndRestore(folder / "resume", delete_checkpoint=False),
        keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", **best),
        keras.callbacks.EarlyStopping(patience=settings.patience),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(folder / "log.csv", append=True),
        keras.callbacks.TensorBoard(folder / "events"),
    ]


def export(model, graphs, folder):
    """Write ``model.keras`` and every graph for OpenVINO.

    Parameters
    ----------
    model : keras.Model
    graphs : dict
        Models by name, as of the network's ``graphs``.
    folder : Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.compiled, model.optimizer = False, None  # an optimizer's state does not ship
    model.save(folder / "model.keras")
    for name, graph in graphs.items():
        graph.export(str(folder / f"{name}.xml"), format="openvino", verbose=False)


def card(settings, scenes, n_train, seconds, model):
    """Model card: how the network came to be; its calibration and scores are added when known."""
    return {
        "settings": settings.model_dump(),
        "scenes": scenes.model_dump(),
        "stamps_trained_on": n_train,
        "parameters": int(model.count_params()),
        "training_seconds": round(seconds),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "trained": time.strftime("%Y-%m-%d", time.gmtime()),
    }
