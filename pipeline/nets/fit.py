"""Train a network: batches, schedule, checkpoints; and put the result into a folder that ships."""

import math
import os
import platform
import time
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from pipeline.models import engine
from pipeline.models.stamps import turned
from pipeline.nets.progress import BEST, Progress, log_of

WARM_UP = 200  # steps, at most a fifth of all
APART = 16  # batches between two times that one is learnt from
TURN = 3  # steps through the eight orientations from one time to the next, which meet them all
PACKAGES = "arclet", "keras", "tensorflow", "jax", "galsim", "numpy"


class Stream(keras.utils.PyDataset):
    """Batches that are drawn as they are asked for.

    Each is learnt from `replay` times, with `APART` others in between, and turned or mirrored
    otherwise each time.

    Parameters
    ----------
    draw : callable
        Gives what the network sees and what it should say of the batch of a number.
    steps : int
        Batches of an epoch.
    replay : int
    """

    def __init__(self, draw, steps, replay=1):
        super().__init__()
        self.draw = lru_cache(APART * replay + 1)(draw) if replay > 1 else draw
        self.steps, self.replay, self.epoch = steps, replay, 0

    def __len__(self):
        return self.steps

    def __getitem__(self, i):
        newest, again = divmod(self.epoch * self.steps + i, self.replay)
        number = newest - APART * again if newest >= APART * again else newest
        drawn = self.draw(number)
        turn = again * TURN % 8
        return tuple(_turned(part, turn) for part in drawn if part is not None)

    def on_epoch_end(self):
        """Go on to batches that no epoch has seen."""
        self.epoch += 1


class Batches(keras.utils.PyDataset):
    """Shuffled batches, each turned or mirrored as one, the same for a seed and an epoch.

    Parameters
    ----------
    stamps, wanted : ndarray or tuple of ndarray, (n, ...)
        What the network sees, and what it should say; None where a stamp is its own target.
        Maps (n, y, x, channel) are turned, other arrays are left as they are.
    batch_size, seed : int
    """

    def __init__(self, stamps, wanted, batch_size, seed):
        super().__init__()
        self.pair = (stamps, wanted)
        self.n = len(every(stamps)[0])
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self):
        return max(self.n // self.batch_size, 1)

    def __getitem__(self, i):
        order, turns = self._order()
        rows = np.sort(order[i * self.batch_size : (i + 1) * self.batch_size])
        return tuple(_chosen(part, rows, int(turns[i])) for part in self.pair if part is not None)

    def on_epoch_end(self):
        """Go on to the next epoch's order."""
        self.epoch += 1

    def _order(self):
        return _shuffled((self.seed, self.epoch), self.n, len(self) + 1)


class HeldOut(keras.utils.PyDataset):
    """Batches to measure a loss of: every stamp, as it is, and the same in every epoch.

    Parameters
    ----------
    stamps, wanted, batch_size
        As of `Batches`.
    """

    def __init__(self, stamps, wanted, batch_size):
        super().__init__()
        self.pair, self.batch_size = (stamps, wanted), batch_size

    def __len__(self):
        return math.ceil(len(every(self.pair[0])[0]) / self.batch_size)

    def __getitem__(self, i):
        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return tuple(_chosen(part, rows, 0) for part in self.pair if part is not None)


@lru_cache(2)
def _shuffled(seed, n, n_batches):
    """Order of the stamps, and each batch's turn."""
    rng = np.random.default_rng(seed)
    return rng.permutation(n), rng.integers(8, size=n_batches)


def every(arrays):
    """An array as a tuple of one, a tuple as it is."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def _chosen(arrays, rows, turn):
    """Rows of an array, or of each in a tuple; maps are turned."""
    if isinstance(arrays, tuple):
        return tuple(_chosen(array, rows, turn) for array in arrays)
    return _turned(np.asarray(arrays[rows], "f4"), turn)


def _turned(arrays, turn):
    """An array, or each in a tuple, turned if it holds maps (n, y, x, channel)."""
    if isinstance(arrays, tuple):
        return tuple(_turned(array, turn) for array in arrays)
    if not turn or arrays.ndim != 4:
        return arrays
    return turned([arrays], turn)[0]


def fit(build, batches, validation, settings, folder):
    """Train a network; the best weights are kept, and a killed training resumes.

    The best are those of the lowest validation loss: those it began with if no epoch is better.

    Convolutions compute in `fastest_policy`, weights and losses are kept in float32.

    Parameters
    ----------
    build : callable
        Gives the compiled, untrained model.
    batches : Stream or Batches
        To learn from.
    validation : HeldOut
    settings : pipeline.config.train.Fit
    folder : Path
        For what `pipeline.nets.progress` keeps, and TensorBoard's events.

    Returns
    -------
    keras.Model
        In float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    progress, callbacks = Progress(folder, settings.patience), []
    if keras.backend.backend() == "tensorflow":  # the others do not bring TensorBoard
        callbacks = [keras.callbacks.TensorBoard(folder / "events")]
    with _policy(fastest_policy()):
        model = build()
        _compile(model, settings, len(batches))
        progress.begin(model, validation)
        batches.epoch = progress.resume(model, len(batches))
        model.fit(
            batches,
            validation_data=validation,
            epochs=batches.epoch if progress.has_ended() else settings.epochs,
            initial_epoch=batches.epoch,
            callbacks=[progress, *callbacks],
            shuffle=False,
            verbose=2,
        )
    model.load_weights(folder / BEST)
    final = build()
    final.set_weights(model.get_weights())
    return final


def fastest_policy():
    """Keras's policy of fastest training: bfloat16, but on processors that only imitate it.

    A third faster where it is known, a third as fast where it is not.
    """
    import jax

    imitated = jax.default_backend() == "cpu" and engine.fastest_precision() == "f32"
    return "float32" if imitated else "mixed_bfloat16"


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
    compiled = "auto" if keras.backend.backend() != "tensorflow" else False
    model.compile(optimizer, loss=model.loss, jit_compile=compiled)


def save(model, path):
    """Write ``model.keras``, without the state of its optimizer, which does not ship."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model.compiled, model.optimizer = False, None
    model.save(path)


def export(graphs, folder):
    """Write every graph for OpenVINO.

    Parameters
    ----------
    graphs : dict
        Models by name, as of the network's ``graphs``.
    folder : Path
    """
    for name, graph in graphs.items():
        graph.export(str(folder / f"{name}.xml"), format="openvino", verbose=False)


def record(settings, scenes, model, folder):
    """What a model card says of a training: how the network came to be.

    Parameters
    ----------
    settings : pipeline.config.train.Fit or pipeline.config.Adapt
    scenes : pipeline.config.train.Scenes or pipeline.config.Inject
        What it learnt from.
    model : keras.Model
    folder : Path
        As of `fit`.
    """
    log = log_of(folder)
    return {
        "settings": settings.model_dump(),
        "scenes": scenes.model_dump(exclude_unset=True),  # those of its own kind
        "parameters": int(model.count_params()),
        "epochs_trained": len(log),
        "training_seconds": round(sum(row["seconds"] for row in log)),
        "machine": ", ".join(_machine()),
        "versions": dict(_versions()),
        "trained": time.strftime("%Y-%m-%d", time.gmtime()),
        "log": log,
    }


def history(card):
    """What `record` wrote into a model card."""
    made = "settings", "scenes", "parameters", "epochs_trained", "training_seconds", "machine"
    made += "versions", "trained", "log", "mixed", "before", "adapted"
    return {name: card[name] for name in made if name in card}


def _machine():
    """What it was trained on, by which of Keras' backends, and in which arithmetic."""
    backend = keras.backend.backend()
    return platform.machine(), platform.system(), _accelerator(), backend, fastest_policy()


def _accelerator():
    """What Keras computes on."""
    if keras.backend.backend() != "jax":
        return f"{os.cpu_count()} cores"
    import jax

    return jax.devices()[0].device_kind


def _versions():
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)
