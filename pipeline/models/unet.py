"""Which pixel is whose?  One answer, without its uncertainty."""

import numpy as np

from pipeline.models import binned, metrics
from pipeline.models.stamps import one_band

KIND = "blends"
MAPS = "TARGET", "NEIGHBOUR", "SHARE"
COLLECT_ABOVE = 0.05  # of TARGET: light of these pixels is collected
BATCH = 256
THRESHOLD = 1.5  # of a mask, in the sky's standard deviations: Boucaud et al. (2020), sect. 3.2


def target(stamps, truth, light):
    """Maps of the truth, and the light they divide; (n, y, x, 4), float16.

    The masks are where noiseless light exceeds `THRESHOLD` times the sky's noise; they may
    overlap.  The share is the target's fraction of the light, defined in every pixel.  Last comes
    all the light, as arcsinh of the sky's noise.
    """
    unit = np.asarray(truth["sky_rms"], "f4")[:, None, None]
    own, other = light[..., 0] / unit, light[..., 1] / unit
    total = np.maximum(own + other, 1e-2)
    maps = np.empty((*own.shape, 4), "f2")
    maps[..., 0] = own > THRESHOLD
    maps[..., 1] = other > THRESHOLD
    maps[..., 2] = np.clip(own / total, 0, 1)
    maps[..., 3] = np.arcsinh(total)
    return maps


def inputs(cutouts, networks=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def calibrate(network, stamps, truth):
    """Nothing is calibrated."""
    return {}


def apply(network, cutouts):
    """Say whose light every pixel is.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts

    Returns
    -------
    dict of ndarray
        ``TARGET`` and ``NEIGHBOUR``, the probability that a pixel is the central source's and
        that it is another's, which may both be, and ``SHARE``, the target's fraction of the light,
        each (n, y, x), float32; and for the probabilistic U-Net ``FEATURES``, (n, y / 2, x / 2,
        channel), and ``CONTEXT``, (n, channel), float16.
    """
    return maps_of(network, inputs(cutouts))


def maps_of(network, stamps):
    """As `apply`, of the network's own `inputs`."""
    n, size = stamps.shape[:2]
    found = {name: np.zeros((n, size, size), "f4") for name in MAPS}
    rest = {"FEATURES": [], "CONTEXT": []}
    for start in range(0, max(n, 1), BATCH):
        rows = slice(start, start + BATCH)
        maps, *parts = network("main", stamps[rows])
        for i, name in enumerate(MAPS):
            found[name][rows] = maps[..., i]
        for name, part in zip(rest, parts, strict=True):
            rest[name].append(part.astype("f2"))
    return found | {name: np.concatenate(parts) for name, parts in rest.items()}


def score(network, stamps, truth, light):
    """Intersection over union of the masks; error of the shared-out light of stamps of S/N > 10."""
    wanted = target(stamps, truth, light)
    found = maps_of(network, stamps)
    total = light.sum(-1)
    ratio = (found["SHARE"] * total).sum((1, 2)) / light[..., 0].sum((1, 2))
    overlap = metrics.iou(found["TARGET"] > 0.5, wanted[..., 0] > 0)
    good = np.asarray(truth["snr"]) > 10
    dm = -2.5 * np.log10(np.maximum(ratio[good], 1e-3))
    return {
        "iou_target": float(overlap.mean()),
        "iou_neighbour": float(metrics.iou(found["NEIGHBOUR"] > 0.5, wanted[..., 1] > 0).mean()),
        "share_median_dm": float(np.median(dm)),
        "share_nmad_dm": metrics.nmad(dm),
        "share_outliers_0.75": float(np.mean(np.abs(dm) > 0.75)),
        "bins": binned.by_condition({"iou_target": (np.mean, overlap)}, truth),
    }
