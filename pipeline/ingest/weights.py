"""Inverse variance from a survey's weight map, whatever it means."""

import numpy as np

ABSURD = 1e6  # times the typical weight, or of it one part in so many: a sentinel
ROWS_AT_ONCE = 256


def inverse_variance(weight, kind, scale, seen):
    """Turn a weight map into inverse variance of flux, 0 where it says nothing sensible.

    Parameters
    ----------
    weight : ndarray, (y, x), float32 or float64
        Of the image's counts; overwritten if it is float32.
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
        ivar = weight.astype("f4", copy=False)
        for start in range(0, len(weight), ROWS_AT_ONCE):
            rows = np.s_[start : start + ROWS_AT_ONCE]
            ivar[rows] = _of_flux(weight[rows].astype("f8"), kind, scale)
        ivar[~(ivar > 0) | ~np.isfinite(ivar)] = 0
        middle = typical(np.where(seen, ivar, 0)) or typical(ivar)
        ivar[(ivar > ABSURD * middle) | (ivar < middle / ABSURD)] = 0
    return ivar


def _of_flux(weight, kind, scale):
    """Inverse variance of flux in float64, for between counts and flux may lie 60 decades."""
    weight[~(weight > 0)] = 0
    if kind == "rms":
        return (weight * scale) ** -2
    if kind == "variance":
        return 1 / (weight * scale * scale)
    return weight / scale / scale if kind == "ivar" else weight


def typical(weight):
    """Median of the positive values, from a sample of them; 0 if there are none."""
    step = max(1, int(np.sqrt(weight.size / 1e6)))
    for sample in (weight[::step, ::step], weight):
        positive = sample[sample > 0]
        if len(positive):
            return float(np.median(positive))
    return 0.0
