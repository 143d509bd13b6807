"""Which pixel is whose?  One answer, without its uncertainty."""

import numpy as np

from pipeline.models import binned, deblending
from pipeline.models.stamps import WITH_COMPANIONS  # noqa: F401

KIND = "blends"
MAPS = "TARGET", "NEIGHBOUR", "SHARE"
COLLECT_ABOVE = 0.05  # of TARGET: light of these pixels is collected
BATCH = 64  # stamps of which outputs are in memory at once, in memory that is used again
THRESHOLD = 1.5  # of a mask, in the sky's standard deviations: Boucaud et al. (2020), sect. 3.2


def target(stamps, truth, light):
    """Maps of the truth, and the light they divide; (n, y, x, 4), float16.

    The masks are those of `above`; they may overlap.  The share is the target's fraction of the
    light, defined in every pixel.  Last comes all the light, as arcsinh of the sky's noise.
    """
    xp = light.__array_namespace__()
    unit = xp.asarray(truth["sky_rms"], dtype="f4")[:, None, None]
    own, other = light[..., 0] / unit, light[..., 1] / unit
    total = xp.maximum(own + other, 1e-2)
    masks = xp.moveaxis(above(truth, light), -1, 0)
    planes = [*masks, xp.clip(own / total, 0, 1), xp.arcsinh(total)]
    return xp.stack([plane.astype("f2") for plane in planes], axis=-1)


def above(truth, light):
    """Where noiseless light of target and neighbours is above the masks' threshold; (n, y, x, 2).

    That is `THRESHOLD` times the noise of a pixel of the tile, also where stamps are binned: the
    sum of ``b * b`` pixels has ``b`` times the noise of one, so it is ``b`` times as many of its
    own.
    """
    xp = light.__array_namespace__()
    unit, binning = (xp.asarray(truth[name], dtype="f4") for name in ("sky_rms", "binning"))
    least = THRESHOLD * unit * binning
    return light > least[:, None, None, None]


def see(scenes, networks=None, normal=None):
    """What the network sees of scenes, as `pipeline.scenes.blends` draws them; as `look`."""
    return look(scenes["flux"], scenes["ivar"], scenes["truth"]["binning"])


def look(flux, ivar, binning):
    """What the network sees: flux, ivar, and how stamps are binned.

    The last plane is the logarithm (base 2) of the binning, on which the masks' depth depends.

    Parameters
    ----------
    flux, ivar : array, (n, y, x)
    binning : array, (n,)

    Returns
    -------
    array, (n, y, x, 3), float32
    """
    xp = flux.__array_namespace__()
    depth = xp.broadcast_to(xp.log2(binning).astype("f4")[:, None, None], flux.shape)
    return xp.stack([flux, ivar, depth], axis=-1, dtype="f4")


def inputs(cutouts, networks=None, companions=None):
    """What the network sees of the stamps: the detection band; as `look`."""
    planes = (v[..., cutouts.reference] for v in (cutouts.flux, cutouts.ivar))
    return look(*planes, cutouts.binning)


def calibrate(network, stamps, truth, light):
    """Nothing is calibrated."""
    return {}


def apply(network, cutouts, keep=None):
    """Say whose light every pixel is.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    keep : callable, optional
        Takes `records` of some stamps after those of others, which are not returned then: they
        are four times as large as the stamps.

    Returns
    -------
    dict of ndarray
        ``TARGET`` and ``NEIGHBOUR``, the probability that a pixel is the central source's and
        that it is another's, which may both be, and ``SHARE``, the target's fraction of the light,
        each (n, y, x), float32; and the fields of `records`.
    """
    return maps_of(network, inputs(cutouts), keep)


def records(features, context):
    """What the probabilistic U-Net needs, a structured array (n,) of float16.

    Its fields are ``FEATURES``, (n, y / 2, x / 2, channel), and ``CONTEXT``, (n, channel).
    """
    parts = {"FEATURES": features, "CONTEXT": context}
    joined = np.empty(len(context), [(name, "f2", part.shape[1:]) for name, part in parts.items()])
    for name, part in parts.items():
        joined[name] = part
    return joined


def maps_of(network, stamps, keep=None):
    """As `apply`, of the network's own `inputs`."""
    n, size = stamps.shape[:2]
    found, kept = {name: np.empty((n, size, size), "f4") for name in MAPS}, None
    for start in range(0, max(n, 1), BATCH):
        rows = slice(start, start + BATCH)
        maps, *parts = network("main", stamps[rows])
        for i, name in enumerate(MAPS):
            found[name][rows] = maps[..., i]
        some = records(*parts)
        if keep:
            keep(some)
        else:
            kept = np.empty(n, some.dtype) if kept is None else kept
            kept[rows] = some
    return found if keep else found | {name: kept[name] for name in kept.dtype.names}


def score(network, stamps, truth, light):
    """Intersection over union of the masks; error of the shared-out light of stamps of S/N > 10.

    Each with its bootstrap error.
    """
    found = maps_of(network, stamps)
    masks = (found[name] > 0.5 for name in ("TARGET", "NEIGHBOUR"))
    bins = binned.by_condition(deblending.of_masks(*masks, above(truth, light)), truth)
    total = light.sum(-1)
    ratio = (found["SHARE"] * total).sum((1, 2)) / light[..., 0].sum((1, 2))
    shared = deblending.of_fluxes(ratio[np.asarray(truth["snr"]) > 10])
    return {
        **{name: rows["all"] for name, rows in bins.items()},
        **{f"share_{name}": binned.bootstrap(*pair) for name, pair in shared.items()},
        "bins": bins,
    }
