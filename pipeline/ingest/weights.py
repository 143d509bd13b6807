"""Inverse variance from a survey's weight map, whatever it means."""

import numpy as np

ABSURD = 1e6  # times the typical weight, or of it one part in so many: a sentinel


def inverse_variance(weight, kind, scale, seen):
    """Turn a weight map into inverse variance of flux, 0 where it says nothing sensible.

    Parameters
    ----------
    weight : ndarray, (y, x), float32
        Of the image's counts; overwritten.
    kind : str
        "ivar", "rms", "variance", or "exposure" (a relative weight, left relative).
    scale : float
        Flux of a count.
    seen : ndarray, (y, x), bool
        Pixels with light, which tell what weight is typical.

    Returns
    -------
    ndarray, (y, x), float32
        Negative, non-finite, absurdly large and absurdly small weights are 0.
    """
    with np.errstate(all="ignore"):
        useless = ~(weight > 0) | ~np.isfinite(weight)
        if kind == "rms":
            weight *= scale
            np.power(weight, -2, out=weight)
        elif kind == "variance":
            np.divide(1 / scale / scale, weight, out=weight)
        elif kind == "ivar":
            weight /= scale
            weight /= scale
        useless |= ~np.isfinite(weight)
        weight[useless] = 0
        middle = typical(np.where(seen, weight, 0)) or typical(weight)
        weight[(weight > ABSURD * middle) | (weight < middle / ABSURD)] = 0
    return weight


def typical(weight):
    """Median of the positive values, from a sample of them; 0 if there are none."""
    step = max(1, int(np.sqrt(weight.size / 1e6)))
    for sample in (weight[::step, ::step], weight):
        positive = sample[sample > 0]
        if len(positive):
            return float(np.median(positive))
    return 0.0
