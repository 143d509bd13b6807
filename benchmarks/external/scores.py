"""Match what was found to the truth of pairs, and put numbers with errors on it."""

from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.models import metrics
from pipeline.models.binned import bootstrap, share
from pipeline.models.deblending import FAINT

LEAST_REACH = 3.0  # [pixel]
LEAST_FLUX = 1e-6


class Matched(NamedTuple):
    """What became of each galaxy of n pairs; NaN where it was not found.

    Attributes
    ----------
    iou : ndarray, (n, 2)
        Intersection over union of its mask and the truth's; 0 where it was not found.
    ratio : ndarray, (n, 2)
        Measured over true flux.
    low, high : ndarray, (n, 2)
        Ends of the 68 % interval of the flux, over the true flux.
    objects : ndarray, (n,)
        How many objects were found in the pair's image.
    galaxy : ndarray, (n, 2), int
        As of `Pairs`.
    """

    iou: np.ndarray
    ratio: np.ndarray
    low: np.ndarray
    high: np.ndarray
    objects: np.ndarray
    galaxy: np.ndarray


def match(pairs, found):
    """Give every galaxy the nearest object, each object to one galaxy.

    An object farther from the galaxy than half the separation (3 pixels, if that is more) is not
    the galaxy.

    Parameters
    ----------
    pairs : Pairs
    found : list of list of Thing
        Objects in each pair's image.

    Returns
    -------
    Matched
    """
    n, truth = len(found), pairs.mask
    iou = np.zeros((n, 2))
    ratio, low, high = np.full((3, n, 2), np.nan)
    for k, things in enumerate(found):
        reach = max(pairs.separation[k] / 2, LEAST_REACH)
        for g, o in _nearest(pairs.position[k], things, reach):
            thing, own = things[o], truth[k, g]
            iou[k, g] = metrics.iou(own[None], thing.mask[None])[0]
            flux = pairs.flux[k, g]
            ratio[k, g], low[k, g], high[k, g] = (
                f / flux for f in (thing.flux, thing.low, thing.high)
            )
    objects = np.array([len(things) for things in found])
    return Matched(iou, ratio, low, high, objects, pairs.galaxy[:n])


def _nearest(position, things, reach):
    """Pairs (galaxy, object), the nearest first, of those closer than `reach` [pixel]."""
    distance = sorted(
        (np.hypot(thing.x - x, thing.y - y), g, o)
        for g, (x, y) in enumerate(position)
        for o, thing in enumerate(things)
    )
    taken = {}
    for far, g, o in distance:
        if far < reach and g not in taken and o not in taken.values():
            taken[g] = o
    return taken.items()


def summary(matched):
    """Numbers of the table, each with an error, which resamples the galaxies.

    Parameters
    ----------
    matched : Matched

    Returns
    -------
    dict of dict
        ``value``, ``error``, ``n`` of ``recall``, ``precision``, ``iou`` (missed = 0),
        ``median_dm``, ``nmad_dm``, ``outliers``, ``mape`` of those found, and ``coverage_68`` of
        those with an interval.
    """
    number = partial(bootstrap, draw=partial(pairs_of_drawn, matched.galaxy))
    ratio, within = matched.ratio, (matched.low <= 1) & (matched.high >= 1)
    rows = {
        "recall": number(lambda r: np.mean(np.isfinite(r)), ratio),
        "precision": number(
            lambda r, n: np.isfinite(r).sum() / max(n.sum(), 1), ratio, matched.objects
        ),
        "iou": number(np.mean, matched.iou),
        "median_dm": number(lambda r: np.median(delta_m(r)), ratio),
        "nmad_dm": number(lambda r: metrics.nmad(delta_m(r)), ratio),
        "mape": number(lambda r: np.nanmean(np.abs(r - 1)), ratio),
        "outliers": number(lambda r: np.mean(np.abs(delta_m(r)) > FAINT), ratio),
    }
    least = share(np.abs(delta_m(ratio)) > FAINT)["error"]  # also where there are none
    rows["outliers"]["error"] = max(rows["outliers"]["error"], least)
    if np.isfinite(matched.low).any():
        rows["coverage_68"] = number(lambda w, r: np.mean(w[np.isfinite(r)]), within, ratio)
    return rows


def pairs_of_drawn(galaxy, rng):
    """Draw rows of pairs (n, 2) by their galaxies, for pairs that share one hang together.

    As many galaxies are drawn as there are, some of them several times, and a pair is there as
    often as the product of how often its two were drawn (the pigeonhole bootstrap of Owen 2007,
    Ann. Appl. Stat. 1, 386).
    """
    numbers, number = np.unique(galaxy, return_inverse=True)
    number, rows = number.reshape(galaxy.shape), np.zeros(0, int)
    while rows.size == 0:
        drawn = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        rows = np.repeat(np.arange(len(galaxy)), drawn[number].prod(axis=1))
    return rows


def delta_m(ratio):
    """Measured less true magnitude, of what was measured; (m,)."""
    return -2.5 * np.log10(np.maximum(ratio[np.isfinite(ratio)], LEAST_FLUX))
