"""Make flux intervals hold the truth as often as they say, on galaxies painted onto a survey."""

import numpy as np
from astropy.table import Table, vstack

from pipeline.flags import DEFECT
from pipeline.injection.tables import place_of
from pipeline.models import metrics
from pipeline.models.binned import EDGES, in_bins, share

LEVEL = 0.68
BINS, A_BIN = 12, 150  # of the intervals' widths, at most; galaxies in each, at least
PARTS = 10  # each of which is judged by the others


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
        is from flux_p50, in units of the interval's half on that side; ``snr``; ``before``; and
        ``place``, as of `pipeline.injection.tables.place_of`.
    """
    parts = [_sample(table, i) for i, table in enumerate(tables)]
    return vstack(parts, metadata_conflicts="silent")


def _sample(table, tile):
    names = "true_flux", "flux_p16", "flux_p50", "flux_p84"
    true, low, middle, high = (np.asarray(table[name], "f8") for name in names)
    tells = np.asarray(table["found"], bool) & (np.asarray(table["flags"]) & int(DEFECT) == 0)
    tells &= (low > 0) & (low < middle) & (middle < high)
    true, low, middle, high = (np.log(v[tells]) for v in (true, low, middle, high))
    pull = np.abs(metrics.pull(low, middle, high, true))
    told = {"width": np.log(high - low), "pull": pull}
    known = {"snr": table["true_snr"][tells], "before": table["before"][tells]}
    known["place"] = place_of(table, tile)[tells]
    return Table(told | {name: np.asarray(values) for name, values in known.items()})


def too_few(n):
    """Say what to do where there are too few galaxies to calibrate on; empty for enough."""
    if n >= 2 * A_BIN:
        return ""
    return (
        f"calibrate: {n} of the painted galaxies were detected without a flag of defects, "
        f"{2 * A_BIN} are needed at least: raise recover.passes or recover.galaxies, or give "
        "more tiles"
    )


def calibrated(calibration, known):
    """Widen intervals, or narrow them, until `LEVEL` of them hold the truth at every width.

    Galaxies before the light of a larger one are calibrated apart, if there are `A_BIN` or they
    were before.

    Parameters
    ----------
    calibration : dict
        Of the flux network: ``widen``, factors on intervals whose ``width`` was that before
        (`pipeline.models.photometry.calibrate`), and perhaps another such dict, ``before``.
    known : Table
        `samples`, whose intervals were widened so.

    Returns
    -------
    dict
        As `calibration`.
    """
    found = dict(calibration)
    for is_before, rows in _groups(known, calibration).items():
        old = calibration.get("before", calibration) if is_before else calibration
        width, widen = (np.asarray(old[name]) for name in ("width", "widen"))
        factor = _factors(known[rows], width + np.log(widen))
        new = {"width": width.tolist(), "widen": (widen * factor).tolist()}
        found |= {"before": new} if is_before else new
    return found


def _groups(known, calibration):
    """Rows of those before the light of a larger one, and of the others, or of all if few are.

    Those whose `calibration` is apart already tell nothing of others: few of them, nothing at all.
    """
    before = np.asarray(known["before"])
    apart = {flag: np.flatnonzero(before == flag) for flag in (False, True)}
    enough = {flag: rows for flag, rows in apart.items() if len(rows) >= A_BIN}
    return enough if len(enough) == 2 or "before" in calibration else {False: np.arange(len(known))}


def _factors(known, width):
    """Factors on intervals of some widths (their logarithms); (n,)."""
    n_bins = int(np.clip(len(known) // A_BIN, 1, BINS))
    bins = [known[rows] for rows in np.array_split(np.argsort(known["width"]), n_bins)]
    at = [np.median(some["width"]) for some in bins]
    return np.interp(width, at, [np.quantile(some["pull"], LEVEL) for some in bins])


def gained(calibration, known):
    """Say how many intervals hold the truth before and after, of galaxies that did not tell.

    Each tenth of the places that galaxies were painted in is judged by what the others say.

    Parameters
    ----------
    calibration, known
        As of `calibrated`.

    Returns
    -------
    dict
        ``before`` and ``after``: of ``all``, of those ``before_light`` of a larger one if there are
        any, and in bins of the ``snr``, as of `pipeline.models.binned`.
    """
    factor = np.ones(len(known))
    for rows in _groups(known, calibration).values():
        factor[rows] = _judged(known[rows])
    told = {"before": known["pull"] <= 1, "after": known["pull"] <= factor}
    snr, place, before = (np.asarray(known[name]) for name in ("snr", "place", "before"))
    return {
        when: {
            "all": share(inside, place),
            **({"before_light": share(inside[before], place[before])} if before.any() else {}),
            "snr": in_bins(share, [inside, place], snr, EDGES["snr"]),
        }
        for when, inside in told.items()
    }


def _judged(known):
    """Factors on the intervals of each of the `PARTS` of the places, from the others; (n,)."""
    places, place = np.unique(known["place"], return_inverse=True)
    factor, part = (
        np.ones(len(known)),
        (place if len(places) > 1 else np.arange(len(known))) % PARTS,
    )
    for i in range(PARTS):
        factor[part == i] = _factors(known[part != i], known["width"][part == i])
    return factor
