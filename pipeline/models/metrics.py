"""How good is it?  Numbers the networks share."""

import numpy as np

LEVELS = 0.5, 0.68, 0.9, 0.95  # of the intervals whose coverage is scored
BINS = 15  # of probabilities, at most: those that would be empty are left out


def roc_auc(score, truth):
    """Area under the ROC curve: the chance that a true one outscores a false one."""
    from scipy.stats import rankdata  # slow to import, and no stage of a survey needs it

    truth = np.asarray(truth, bool)
    n_true, n_false = truth.sum(), (~truth).sum()
    if not (n_true and n_false):
        return float("nan")
    return float((rankdata(score)[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def iou(a, b):
    """Intersection over union of boolean maps (..., y, x), (...); 1 where both are empty."""
    both, either = (a & b).sum((-2, -1)), (a | b).sum((-2, -1))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def calibration_error(p, truth):
    """Mean distance of the stated from the found frequency, in bins of equal counts (Guo+17)."""
    stated, found, count = reliability(p, truth)
    return float(np.sum(np.abs(stated - found) * count) / max(len(p), 1))


def reliability(p, truth):
    """Stated and found frequency in `BINS` of equal counts: a reliability diagram's points.

    Parameters
    ----------
    p, truth : ndarray, (n,)
        Probability, and whether it came true.

    Returns
    -------
    stated, found : ndarray, (bin,)
        Mean probability, and share of those that came true.
    count : ndarray, (bin,), int
    """
    p, truth = np.asarray(p), np.asarray(truth)
    parts = [k for k in np.array_split(np.argsort(p), BINS) if len(k)]
    stated, found = (np.array([np.mean(v[k], dtype="f8") for k in parts]) for v in (p, truth))
    return stated, found, np.array([len(k) for k in parts], int)


def diagram(p, truth):
    """As `reliability`, for JSON: lists ``stated``, ``found`` and ``n``."""
    names = "stated", "found", "n"
    return {k: v.tolist() for k, v in zip(names, reliability(p, truth), strict=True)}


def log_odds_line(logit, truth):
    """Slope and offset of the log odds of what came true, or how likely, against a logit."""
    from scipy.optimize import minimize

    said = np.asarray(truth, float)

    def loss(line):
        z = line[0] * logit + line[1]
        return np.mean(np.logaddexp(0, z) - said * z)

    return minimize(loss, [1.0, 0.0]).x


def odds_slope(p, truth):
    """Slope of the log odds found against those stated: below 1 if p is too sure (Cox 1958)."""
    from scipy.special import logit

    return float(log_odds_line(logit(np.clip(np.asarray(p, "f8"), 1e-12, 1 - 1e-12)), truth)[0])


def brier(p, truth):
    """Mean square distance of probabilities from what came true (Brier 1950)."""
    return float(np.mean((np.asarray(p, "f8") - np.asarray(truth)) ** 2))


def pull(low, middle, high, value):
    """Distance of values from their medians, in units of the interval's half on that side; (n,).

    Of mean 0 and standard deviation 1 where `low` and `high` are the 16th and 84th percentiles
    of Gaussian posteriors that are right.
    """
    above = value > middle
    side = np.where(above, high - middle, middle - low)
    return (value - middle) / np.maximum(side, np.finfo("f8").tiny)


def nmad(values):
    """Normalised median absolute deviation: the standard deviation, were they Gaussian."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def diversity(draws):
    """Mean distance, 1 - IoU, of two different draws of a stamp's mask; (n,).

    Parameters
    ----------
    draws : ndarray, (draw, n, y, x), bool
        At least two.
    """
    apart = [1 - iou(a, b) for i, a in enumerate(draws) for b in draws[:i]]
    return np.mean(apart, axis=0)


def energy_distance(draws, truth):
    """Squared generalised energy distance of the draws from the one truth of each stamp; (n,).

    ``2 E[d(S, Y)] - E[d(S, S')] - E[d(Y, Y')]`` with ``d = 1 - IoU`` (Kohl et al. 2018, sect. 3);
    the last term is 0, for there is one truth, and the second counts a draw with itself, as
    they do.

    Parameters
    ----------
    draws : ndarray, (draw, n, y, x), bool
    truth : ndarray, (n, y, x), bool
    """
    n = len(draws)
    far = np.mean([1 - iou(draw, truth) for draw in draws], axis=0)
    return 2 * far - (diversity(draws) * (n - 1) / n if n > 1 else 0)
