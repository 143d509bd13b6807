"""Measure the chain and its peers on the same pairs of galaxies."""

from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.external import chain, scores
from benchmarks.external.mosaic import mosaic, owner, paint
from pipeline.comparison import peers
from pipeline.comparison.peers import Thing
from pipeline.models import metrics, punet
from pipeline.models.binned import pooled

AT_ONCE = 100  # pairs in a mosaic
MASKS = "unet", "punet"


class Said(NamedTuple):
    """What the chain says of n pairs.

    Attributes
    ----------
    matched : dict of Matched
        With the masks of the U-Net, ``unet``, and of the probabilistic one, ``punet``.
    maps : dict of ndarray, (n, 2, y, x), float16
        On the image's grid, of every galaxy, where positions were given; else empty:
        ``unet`` and ``punet``, the probability that a pixel is the galaxy's, and ``spread``.
    seconds : float
    """

    matched: dict
    maps: dict
    seconds: float


def peers_of(pairs):
    """Match what each peer finds; a `scores.Matched` of each."""
    every = range(len(pairs.image))
    found = {
        "sep": [peers.sep_default(pairs.image[k], pairs.sky) for k in every],
        "photutils": [
            peers.photutils_smoothed(pairs.image[k], pairs.sky, pairs.fwhm) for k in every
        ],
        **{
            name: [judge(pairs.image[k], pairs.light[k], pairs.sky) for k in every]
            for name, judge in {"oracle": peers.oracle, "best": peers.best_partition}.items()
        },
    }
    return {name: scores.match(pairs, things) for name, things in found.items()}


def chain_on(pairs, networks, folder, *, given):
    """Run the chain on the pairs, laid side by side, and match what it says.

    Parameters
    ----------
    pairs : Pairs
    networks : str or None
        Folder of networks; None for the shipped ones.
    folder : Path
        For the products.
    given : bool
        Whether the positions are given, so that every galaxy is centred in a stamp of its own;
        else the chain detects.

    Returns
    -------
    Said
    """
    options = chain.settings(networks, detect={"psf_fwhm": pairs.fwhm})
    shape, seconds = pairs.image[0].shape, 0.0
    found, maps = {name: [] for name in MASKS}, []
    for start in range(0, len(pairs.image), AT_ONCE):
        images = pairs.image[start : start + AT_ONCE]
        ivar = np.full(shape, pairs.sky**-2, "f4")
        exposure, origin = mosaic(images, [ivar] * len(images), pairs.pixel_scale)
        positions = pairs.position[start : start + AT_ONCE] + origin[:, None]
        positions = positions.reshape(-1, 2) if given else None
        said = chain.deblend(exposure, options, folder, positions)
        seconds += said.seconds
        for name in MASKS:
            found[name] += _things(said, name, origin, shape)
        if given:
            maps.append(_painted(said, origin, shape))
    matched = {name: scores.match(pairs, things) for name, things in found.items()}
    maps = {name: np.concatenate([part[name] for part in maps]) for name in (maps or [{}])[0]}
    return Said(matched, maps, seconds)


def _things(said, name, origin, shape):
    """Objects in each image of a mosaic, with the masks of a network."""
    where = owner(said.x, said.y, origin, [shape] * len(origin))
    planes, corner, binning = said.maps[name]
    found = [[] for _ in origin]
    for i in np.flatnonzero(where >= 0):
        k = where[i]
        mask = paint(planes[i], corner[i], binning[i], origin[k], shape) > 0.5
        x, y = said.x[i] - origin[k, 0], said.y[i] - origin[k, 1]
        found[k].append(Thing(x, y, mask, said.middle[i], said.low[i], said.high[i]))
    return found


def _painted(said, origin, shape):
    """Maps of both galaxies of every pair on the grid of its image; each (n, 2, y, x)."""
    painted = {}
    for name, (planes, corner, binning) in said.maps.items():
        painted[name] = np.zeros((len(origin), 2, *shape), "f2")
        for i in range(len(planes)):
            k, g = divmod(i, 2)
            painted[name][k, g] = paint(planes[i], corner[i], binning[i], origin[k], shape)
    return painted


def pixels_of(pairs, maps):
    """What the maps say of each galaxy's pixels in the union of the true masks of its pair.

    Pixels that the probabilistic U-Net gives it a chance of more than `punet.MIGHT_BE` are in, too.

    Parameters
    ----------
    pairs : Pairs
    maps : dict of ndarray, (n, 2, y, x)
        Of `Said`.

    Returns
    -------
    dict of ndarray, (m,)
        ``unet``, ``punet``, ``spread``; ``is_true``, whether the pixel is in the true mask; and
        ``pair``, whose it is.
    """
    truth = pairs.mask
    union = truth.any(1, keepdims=True) | (maps["punet"] > punet.MIGHT_BE)
    found = {name: plane[union].astype("f4") for name, plane in maps.items()}
    return found | {"is_true": truth[union], "pair": np.nonzero(union)[0]}


def calibration(pixels, galaxy):
    """Calibration, and use of the spread, in the masks' union; errors resample the galaxies.

    Parameters
    ----------
    pixels : dict of ndarray, (m,)
        Of `pixels_of`.
    galaxy : ndarray, (n, 2), int
        As of `Pairs`.
    """
    draw, truth = partial(scores.pairs_of_drawn, galaxy), pixels["is_true"]
    resampled = partial(pooled, member=pixels["pair"], draw=draw)
    wrong = (pixels["punet"] > 0.5) != truth
    return {
        "auroc_of_spread": resampled(metrics.roc_auc, pixels["spread"], wrong),
        "ece_punet": resampled(metrics.calibration_error, pixels["punet"], truth),
    }
