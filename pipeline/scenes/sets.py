"""Training scenes in batches, and in sets of the pipeline's nouns; numbers say which."""

from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.scenes import blends, lenses
from pipeline.scenes.device import ahead, side_by_side

BAND = ("sim",)
AT_ONCE = 64, 512  # scenes drawn at once of a small and of a large set
DRAW = {"blends": blends.draw_batch, "lenses": lenses.draw_batch}
SPLITS = "train", "validation", "test"


class Drawn(NamedTuple):
    """A set of `n` stamps.

    Attributes
    ----------
    cutouts : Cutouts
        Observed stamps, in arbitrary units of flux that differ from scene to scene.
    light : ndarray, (n, y, x, 2), float32
        Of blends, the noiseless light of the target and of everything else; else None.
    truth : Table
        One row a stamp: ``id``, and what ``draw_scene`` says is true.
    companions : Cutouts
        Of blends, stamps of other sources of the same scenes; ``id`` is the target's, and the
        corner of the target's stamp is 0.  Else None.
    """

    cutouts: Cutouts
    light: np.ndarray | None
    truth: Table
    companions: Cutouts | None


def key_of(seed, kind, split, number):
    """Key of a batch: no two splits, and no two numbers, share one."""
    key = jax.random.key(seed)
    for part in (list(DRAW).index(kind), SPLITS.index(split), number):
        key = jax.random.fold_in(key, part)
    return key


def stream(kind, settings, fit, learn, companions=False):
    """Give a function that draws the training batch of a number.

    Parameters
    ----------
    kind : str
        ``blends`` or ``lenses``.
    settings : pipeline.config.train.Scenes
        Size and seed.
    fit : pipeline.config.train.Fit
        Stamps of a batch, and another seed: trainings that differ in it learn from other scenes.
    learn : callable
        Makes of the scenes, as the kind's ``draw_batch`` gives them, and a key what a network
        learns from.
    companions : bool
        Whether blends come with the stamps of other sources.

    Returns
    -------
    callable
    """
    draw = _drawer(kind, fit.batch_size, settings.side(kind), companions)

    def key(number):
        return jax.random.fold_in(key_of(settings.seed, kind, "train", number), fit.seed)

    draw_ahead = ahead(lambda number: jax.block_until_ready(draw(key(number))))

    def batch(number):
        return learn(draw_ahead(number), jax.random.fold_in(key(number), 1))

    return batch


def draw_set(kind, n, settings, split, shard=0):
    """Draw `n` stamps of a split, as `Drawn`: only such as are accepted and typical."""
    at_once = AT_ONCE[n > AT_ONCE[0]]
    draw = _drawer(kind, at_once, settings.side(kind), kind == "blends")
    key, parts, found = key_of(settings.seed, kind, split, shard), [], 0

    def draw_suitable(number):
        scenes = jax.device_get(draw(jax.random.fold_in(key, number)))
        suits = scenes.pop("accepted") & scenes.pop("typical", True)
        return jax.tree.map(lambda values: values[suits], scenes)

    while found < n:
        needed = -(-(n - found) // at_once)  # at least
        parts += side_by_side(draw_suitable, range(len(parts), len(parts) + needed))
        found = sum(len(part["flux"]) for part in parts)
    whole = jax.tree.map(lambda *values: np.concatenate(values)[:n], *parts)
    truth = Table(whole.pop("truth"))
    truth.add_column(np.arange(n), name="id", index=0)
    if "kind" in truth.colnames:
        truth["kind"] = np.array(lenses.EVERY)[truth["kind"]]
    corner, binning = np.zeros((n, 2), int), np.asarray(truth["binning"])
    cutouts = _cutouts(whole["flux"], whole["ivar"], truth["id"], corner, binning)
    return Drawn(cutouts, whole.get("light"), truth, _companions(whole, cutouts))


def _cutouts(flux, ivar, ids, corner, binning):
    planes = flux[..., None], ivar[..., None]
    return Cutouts(*planes, np.asarray(ids), corner, BAND, unit="ct", binning=binning)


def _companions(scenes, cutouts):
    """Those that are there, as `Drawn` has them; None where scenes have none."""
    if "companions" not in scenes:
        return None
    theirs = scenes["companions"]
    row, which = np.nonzero(theirs["there"])
    flux, ivar, corner = (theirs[name][row, which] for name in ("flux", "ivar", "shift"))
    return _cutouts(flux, ivar, row, corner, cutouts.binning[row])


@cache
def _drawer(kind, n, size, companions):
    more = {"companions": True} if companions else {}
    return jax.jit(partial(DRAW[kind], n=n, size=size, **more))
