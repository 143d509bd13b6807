"""Training scenes in batches, and in sets of the pipeline's nouns; numbers say which."""

import functools

import jax
import numpy as np
from astropy.table import Table, vstack

from pipeline.data import Cutouts
from pipeline.scenes import blends, lenses

BAND = ("sim",)
AT_ONCE = 64, 512  # scenes drawn at once of a small and of a large set
DRAW = {"blends": blends.draw_batch, "lenses": lenses.draw_batch}
SPLITS = "train", "validation", "test"


def key_of(seed, kind, split, number):
    """Key of a batch: no two splits, and no two numbers, share one."""
    key = jax.random.key(seed)
    for part in (list(DRAW).index(kind), SPLITS.index(split), number):
        key = jax.random.fold_in(key, part)
    return key


def stream(kind, n, settings, learn):
    """Give a function that draws the training batch of a number, of `n` stamps.

    Parameters
    ----------
    kind : str
        ``blends`` or ``lenses``.
    n : int
    settings : pipeline.config_train.Scenes
        Size and seed.
    learn : callable
        Makes of the scenes, as the kind's ``draw_batch`` gives them, and a key what a network
        learns from.

    Returns
    -------
    callable
    """
    draw = _drawer(kind, n, settings.side(kind))

    def batch(number):
        key = key_of(settings.seed, kind, "train", number)
        return learn(draw(key), jax.random.fold_in(key, 1))

    return batch


def draw_set(kind, n, settings, split, shard=0):
    """Draw `n` stamps of a split: only such as are accepted and typical.

    Returns
    -------
    cutouts : Cutouts
        Observed stamps, in arbitrary units of flux that differ from scene to scene.
    light : ndarray, (n, y, x, 2), float32
        Of blends, the noiseless light of the target and of everything else; else None.
    truth : Table
        One row a stamp: ``id``, and what ``draw_scene`` says is true.
    """
    draw = _drawer(kind, AT_ONCE[n > AT_ONCE[0]], settings.side(kind))
    key, parts, found = key_of(settings.seed, kind, split, shard), [], 0
    while found < n:
        scenes = jax.device_get(draw(jax.random.fold_in(key, len(parts))))
        suits = scenes.pop("accepted") & scenes.pop("typical", True)
        good = np.flatnonzero(suits)[: n - found]
        parts.append(jax.tree.map(lambda values, good=good: values[good], scenes))
        found += len(good)
    truth = vstack([Table(part.pop("truth")) for part in parts])
    truth.add_column(np.arange(n), name="id", index=0)
    if "kind" in truth.colnames:
        truth["kind"] = np.array(lenses.EVERY)[truth["kind"]]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    binning = np.asarray(truth["binning"]) if "binning" in truth.colnames else 1
    planes = whole["flux"][..., None], whole["ivar"][..., None]
    corner = np.zeros((n, 2), int)
    cutouts = Cutouts(*planes, np.arange(n), corner, BAND, unit="ct", binning=binning)
    return cutouts, whole.get("light"), truth


@functools.cache
def _drawer(kind, n, size):
    return jax.jit(functools.partial(DRAW[kind], n=n, size=size))
