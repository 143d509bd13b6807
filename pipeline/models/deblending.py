"""The numbers of deblending, the same ones for the networks and for what others do."""

import numpy as np

from pipeline.models import metrics

FAINT = 0.75  # error of a flux that is called an outlier [mag]
LEAST_RATIO = 1e-3  # of a measured flux to the true one


def of_masks(own, other, wanted):
    """Say how well masks agree with the truth's.

    Parameters
    ----------
    own, other : ndarray, (n, y, x), bool
        Pixels of the target and of its neighbours; none where the target was not found.
    wanted : ndarray, (n, y, x, 2), bool
        The truth's, which may overlap.

    Returns
    -------
    dict
        For `pipeline.models.binned.by_condition`: mean intersection over union of the target's
        masks, and, of the stamps whose truth has any, of the neighbours' and of the overlap's.
    """
    true_own, true_other = np.moveaxis(wanted, -1, 0)
    pairs = {
        "iou_target": (own, true_own),
        "iou_neighbour": (other, true_other),
        "iou_overlap": (own & other, true_own & true_other),
    }
    return {name: (np.mean, _where_any(*pair)) for name, pair in pairs.items()}


def _where_any(found, true):
    return np.where(true.any((1, 2)), metrics.iou(found, true), np.nan)


def of_fluxes(ratio):
    """Say how far fluxes are from the true ones.

    Parameters
    ----------
    ratio : ndarray, (n,)
        Measured over true flux; NaN where there is none, which counts for no number.

    Returns
    -------
    dict
        For `pipeline.models.binned.by_condition`: median and scatter of the error in magnitudes,
        the share beyond `FAINT`, and the mean absolute error relative to the flux.
    """
    dm = -2.5 * np.log10(np.maximum(ratio, LEAST_RATIO))
    far = np.where(np.isfinite(dm), np.abs(dm) > FAINT, np.nan)
    return {
        "median_dm": (np.median, dm),
        "nmad_dm": (metrics.nmad, dm),
        f"outliers_{FAINT}": (np.mean, far),
        "mape": (np.mean, np.abs(ratio - 1)),
    }


def of_intervals(flux, middle, intervals):
    """Say how often intervals hold the true fluxes, and how far those are from the medians.

    Parameters
    ----------
    flux, middle : ndarray, (n,)
        True flux, and the posterior's median.
    intervals : dict of (ndarray, ndarray)
        Ends of the central interval of each of `pipeline.models.metrics.LEVELS`.

    Returns
    -------
    dict
        For `pipeline.models.binned.by_condition`.
    """
    low, high = intervals[0.68]
    pull = metrics.pull(low, middle, high, flux)
    inside = {level: (ends[0] <= flux) & (flux <= ends[1]) for level, ends in intervals.items()}
    return {
        "pull_median": (np.median, pull),
        "pull_width": (metrics.nmad, pull),
        **{f"coverage_{100 * k:.0f}": (np.mean, v * 1.0) for k, v in inside.items()},
    }
