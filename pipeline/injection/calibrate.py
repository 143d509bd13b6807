"""Make flux intervals hold the truth as often as they say, on galaxies painted onto a survey."""

import numpy as np
from astropy.table import Table, vstack

from pipeline.flags import DEFECT
from pipeline.models.binned import EDGES, in_bins, share

LEVEL = 0.68
BINS, A_BIN = 12, 150  # of the intervals' widths, at most; galaxies in each, at least


def samples(tables):
    """Gather the galaxies that tell how wide intervals should be: detected, without a defect.

    Parameters
    ----------
    tables : iterable of Table
        Of each tile, as `pipeline.injection.recover.recovered` makes them.

    Returns
    -------
    Table
        ``width``, the logarithm of the interval's width in log flux; ``pull``, how far the truth
        is from flux_p50, in units of the interval's half on that side; ``snr``.
    """
    return vstack([_sample(table) for table in tables], metadata_conflicts="silent")


def _sample(table):
    names = "true_flux", "flux_p16", "flux_p50", "flux_p84", "true_snr"
    true, low, middle, high, snr = (np.asarray(table[name], "f8") for name in names)
    tells = np.asarray(table["found"], bool) & (np.asarray(table["flags"]) & int(DEFECT) == 0)
    tells &= (low > 0) & (low < middle) & (middle < high)
    true, low, middle, high = (np.log(v[tells]) for v in (true, low, middle, high))
    half = np.where(true > middle, high - middle, middle - low)
    return Table(
        {"width": np.log(high - low), "pull": np.abs(true - middle) / half, "snr": snr[tells]}
    )


def too_few(n):
    """Say what to do where there are too few galaxies to calibrate on; empty for enough."""
    if n >= 2 * A_BIN:
        return ""
    return (
        f"calibrate: {n} of the painted galaxies were detected without a flag of defects, "
        f"{2 * A_BIN} are needed at least: raise recover.passes or recover.galaxies, or give "
        "more tiles; the networks are as they were"
    )


def calibrated(calibration, known):
    """Widen intervals, or narrow them, until `LEVEL` of them hold the truth at every width.

    Parameters
    ----------
    calibration : dict
        Of the flux network: ``widen``, factors on intervals whose ``width`` was that before
        (`pipeline.models.photometry.calibrate`).
    known : Table
        `samples`, whose intervals were widened so.

    Returns
    -------
    dict
        As `calibration`.
    """
    width, widen = (np.asarray(calibration[name]) for name in ("width", "widen"))
    factor = _factors(known, width + np.log(widen))
    return {"width": width.tolist(), "widen": (widen * factor).tolist()}


def _factors(known, width):
    """Factors on intervals of some widths (their logarithms); (n,)."""
    n_bins = int(np.clip(len(known) // A_BIN, 1, BINS))
    bins = [known[rows] for rows in np.array_split(np.argsort(known["width"]), n_bins)]
    at = [np.median(some["width"]) for some in bins]
    return np.interp(width, at, [np.quantile(some["pull"], LEVEL) for some in bins])


def gained(known):
    """Say how many intervals hold the truth before and after, of galaxies that did not tell.

    Each half of the galaxies is judged by what the other one says.

    Returns
    -------
    dict
        ``before`` and ``after``: ``all`` and, in bins of the S/N, ``snr``, as of
        `pipeline.models.binned`.
    """
    factor = np.ones(len(known))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - half.start, None, 2)
        factor[half] = _factors(known[other], known["width"][half])
    told = {"before": known["pull"] <= 1, "after": known["pull"] <= factor}
    snr = np.asarray(known["snr"])
    return {
        when: {"all": share(inside), "snr": in_bins(np.mean, [inside], snr, EDGES["snr"])}
        for when, inside in told.items()
    }
