"""Mixtures of Gaussians in one variable, as a network's output (Bishop 1994, NCRG/94/004)."""

import numpy as np
from scipy.special import log_softmax, ndtr

N_COMPONENTS = 3


def cumulative(mixture, value):
    """Probability below `value` (n,) under `mixture` (n, 3 * N_COMPONENTS); (n,)."""
    logits, mean, log_sigma = np.split(np.asarray(mixture, "f8"), 3, axis=1)
    return (np.exp(log_softmax(logits, 1)) * ndtr((value[:, None] - mean) / np.exp(log_sigma))).sum(
        1
    )


def quantile(mixture, share):
    """Value below which the mixture holds `share`, by bisection to 1e-6 of the range; (n,)."""
    _, mean, log_sigma = np.split(np.asarray(mixture, "f8"), 3, axis=1)
    reach = 8 * np.exp(log_sigma)
    low, high = (mean - reach).min(1), (mean + reach).max(1)
    for _ in range(40):
        middle = (low + high) / 2
        below = cumulative(mixture, middle) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
