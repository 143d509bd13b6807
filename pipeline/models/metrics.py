"""How good is it?  Numbers the networks share."""

import numpy as np
from scipy.stats import rankdata


def roc_auc(score, truth):
    """Area under the ROC curve: the chance that a true one outscores a false one."""
    truth = np.asarray(truth, bool)
    n_true, n_false = truth.sum(), (~truth).sum()
    if not (n_true and n_false):
        return float("nan")
    return float((rankdata(score)[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def iou(a, b):
    """Intersection over union of boolean maps (n, y, x), one a stamp; 1 where both are empty."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def calibration_error(p, truth, n_bins=15):
    """Mean distance of the stated from the found frequency, in bins of equal counts (Guo+17)."""
    order = np.argsort(p)
    parts = np.array_split(order, n_bins)
    gaps = [abs(np.mean(p[k]) - np.mean(truth[k])) * len(k) for k in parts if len(k)]
    return float(np.sum(gaps) / max(len(p), 1))


def coverage(low, high, value):
    """Share of values within their interval."""
    return float(np.mean((low <= value) & (value <= high)))


def nmad(values):
    """Normalised median absolute deviation: the standard deviation, were they Gaussian."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
