"""Numbers with their errors, of all and in bins of what makes deblending hard."""

from functools import partial
from itertools import pairwise

import numpy as np

EDGES = {
    "separation_re": (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, np.inf),
    "separation_fwhm": (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, np.inf),
    "snr": (3.0, 10.0, 30.0, 100.0, 300.0, np.inf),
    "delta_m": (-np.inf, -2.0, -0.75, 0.75, 2.0, np.inf),
    "crowding": (1.0, 2.0, 3.0, 5.0, 9.0, np.inf),
}
LEAST = 10  # stamps in a bin that is quoted


def bootstrap(statistic, *values, n_draws=200, draw=None):
    """Number of all values, and its standard error over resamplings of them (Efron 1979).

    Parameters
    ----------
    statistic : callable
        Gives a number of the `values`.
    values : ndarray, (n, ...)
        Resampled together along the first axis: what belongs together must share a row.
    n_draws : int
    draw : callable, optional
        Gives the rows of a resampling, of a `numpy.random.Generator`; as many rows as there are,
        each as likely as the others, if left out.

    Returns
    -------
    dict
        ``value``, ``error`` and ``n``; NaN of no values.
    """
    values = [np.asarray(v) for v in values]
    n, rng = len(values[0]), np.random.default_rng(0)
    if not n:
        return {"value": float("nan"), "error": float("nan"), "n": 0}
    again = []
    for _ in range(n_draws):
        rows = draw(rng) if draw else rng.integers(n, size=n)
        again.append(statistic(*(v[rows] for v in values)))
    return {"value": float(statistic(*values)), "error": float(np.nanstd(again)), "n": n}


def pooled(statistic, *values, member, n_draws=20, draw=None):
    """As `bootstrap`, of values many of which hang together and are resampled together.

    Parameters
    ----------
    statistic : callable
    values : ndarray, (m, ...)
    member : ndarray, (m,), int
        Number of the stamp, or whatever it is, that each value belongs to; from 0.
    n_draws : int
    draw : callable, optional
        Gives numbers of a resampling, see `bootstrap`.

    Returns
    -------
    dict
        ``value``, ``error`` and ``n``, the number of members.
    """
    member = np.asarray(member)
    order, n = np.argsort(member, kind="stable"), int(np.max(member, initial=-1)) + 1
    ordered, values = member[order], [np.asarray(v)[order] for v in values]

    def of_members(chosen):
        times = np.bincount(chosen, minlength=n)[ordered]
        return statistic(*(np.repeat(v, times, axis=0) for v in values))

    return bootstrap(of_members, np.arange(n), n_draws=n_draws, draw=draw)


def share(hits, member=None):
    """Share of true values, and its binomial error.

    The error is half the width of the 68 % interval of Wilson (1927, JASA 22, 209), which is not
    zero where none or all are true.

    Parameters
    ----------
    hits : ndarray, (n,), bool
    member : ndarray, (n,), int, optional
        What each belongs to, where those of one member are alike: the error is then that of as
        many as their scatter is `worth`.

    Returns
    -------
    dict
        ``value``, ``error`` and ``n``; NaN of no values.
    """
    n = np.size(hits)
    if not n:
        return {"value": float("nan"), "error": float("nan"), "n": 0}
    value = float(np.mean(hits))
    low, high = wilson(value, n if member is None else _worth(np.asarray(hits), member))
    return {"value": value, "error": float((high - low) / 2), "n": n}


def wilson(share, n):
    """Ends of Wilson's interval of one sigma, of a number `n` that need not be whole."""
    middle = (share + 0.5 / n) / (1 + 1 / n)
    half = np.sqrt(share * (1 - share) / n + 0.25 / n**2) / (1 + 1 / n)
    return np.where(share == 0, 0, middle - half), np.where(share == 1, 1, middle + half)


def worth(sums):
    """Number of independent trials of the same scatter of found / n.

    That is by the design effect of Kish (1965, Survey Sampling): trials of one member are not
    independent.  Where none or all were found, each member counts once.

    Parameters
    ----------
    sums : sequence of 6 numbers
        Over the members: of their trials n, of those f that found, 1, n n, f n and f f.
    """
    n, found, members, nn, fn, ff = (int(value) for value in sums)
    if found in (0, n) or members < 2:
        return members
    share = found / n
    between = (ff - 2 * share * fn + share**2 * nn) * members / (members - 1)
    return min(n, max(n * n * share * (1 - share) / max(between, 1e-30), 1))


def _worth(hits, member):
    """`worth` of trials; each is one where no two are of a member."""
    _, row = np.unique(member, return_inverse=True)
    n = np.bincount(row)
    f = np.bincount(row, hits)
    if len(n) == len(hits):
        return len(hits)
    return worth((len(hits), f.sum(), len(n), n @ n, f @ n, f @ f))


def conditions(truth):
    """What makes a stamp hard, in the quantities of `EDGES`; each (n,).

    Parameters
    ----------
    truth : Table
        ``neighbour`` (distance of the nearest other source), ``re``, ``fwhm`` [pixel], ``snr``,
        ``neighbour_dm`` (how much fainter that source is [mag]) and ``n_sources``.
    """
    column = {name: np.asarray(truth[name], "f8") for name in ("re", "fwhm", "neighbour")}
    fwhm = np.maximum(column["fwhm"], 1e-6)
    return {
        "separation_re": column["neighbour"] / np.maximum(column["re"], fwhm / 2),
        "separation_fwhm": column["neighbour"] / fwhm,
        "snr": np.asarray(truth["snr"], "f8"),
        "delta_m": np.asarray(truth["neighbour_dm"], "f8"),
        "crowding": np.asarray(truth["n_sources"], "f8"),
    }


def in_bins(number, values, by, edges):
    """Compute a number in each bin, with its error.

    Parameters
    ----------
    number : callable
        Gives ``value``, ``error`` and ``n`` of the `values`, as `share` does.
    values : sequence of ndarray, (n, ...)
    by : ndarray, (n,)
        Quantity to sort by; NaN is in no bin.
    edges : sequence of float
        Of the bins, of which the lower belongs to the bin.

    Returns
    -------
    list of dict
        ``low``, ``high``, ``value``, ``error``, ``n`` of each bin of at least `LEAST` values; a bin
        without bound has None there, for JSON knows no infinity.
    """
    rows = []
    for low, high in pairwise(edges):
        inside = (by >= low) & (by < high)
        if inside.sum() >= LEAST:
            found = number(*(np.asarray(v)[inside] for v in values))
            rows.append({"low": _finite(low), "high": _finite(high), **found})
    return rows


def _finite(edge):
    return float(edge) if np.isfinite(edge) else None


def by_condition(statistics, truth):
    """Compute numbers of all stamps and in bins of every condition.

    Parameters
    ----------
    statistics : dict
        Of each number's name, the function and the array (n,) that it takes; what is NaN there
        does not count.
    truth : Table
        As for `conditions`.

    Returns
    -------
    dict
        Of each name ``all``, as `bootstrap` gives it, and of each condition the rows of `in_bins`.
    """
    known = conditions(truth)
    found = {}
    for name, (statistic, values) in statistics.items():
        good, number = np.isfinite(values), partial(bootstrap, statistic, n_draws=100)
        found[name] = {"all": bootstrap(statistic, values[good])} | {
            k: in_bins(number, [values[good]], by[good], EDGES[k]) for k, by in known.items()
        }
    return found


def extremes(found, *names):
    """Rows of the least and of the largest number in the bins of some conditions.

    Parameters
    ----------
    found : dict
        One number's, as of `by_condition`.
    names : str
        Of the conditions.
    """
    rows = [row for name in names for row in found[name]]
    ordered = sorted(rows, key=lambda row: row["value"])
    return {"least": ordered[0], "most": ordered[-1]} if ordered else {}
