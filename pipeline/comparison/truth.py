"""Compare the catalog with the truth of a simulated survey."""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from pipeline.catalogs.catalog import detection_band, flux_snr
from pipeline.catalogs.sphere import chord, unit_vectors
from pipeline.flags import DEFECT
from pipeline.models.binned import wilson

FAINTEST = 2.0  # S/N below which a true object explains no detection and is nobody's neighbour
BRIGHT = 10.0  # S/N of the Kron flux above which the survey should be complete and pure
ALONE = 2.0  # arcsec without a neighbour
NEEDED = "ra", "dec", "mag", "flux", "snr", "snr_auto", "kind", "tiles", "theta_e"
BIN = 0.5  # of the magnitudes against which shares are told
ARC_REACH = 2.0  # arcs lie within this many Einstein radii of their lens


class Match(NamedTuple):
    """Which source is which true object.

    Attributes
    ----------
    source : ndarray, (true object,), int
        Row of the catalog; -1 where the object was not found.
    object : ndarray, (source,), int
        Row of the truth; -1 where the source is no object's.
    spurious : ndarray, (source,), bool
        Whether no true object explains the source.
    """

    source: np.ndarray
    object: np.ndarray
    spurious: np.ndarray


def match(catalog, truth, radius):
    """Give every true object its source.

    Each object with an S/N above `FAINTEST`, from the brightest down, takes the nearest source
    within `radius` that is not taken.  A source is spurious if no such object lies within
    `radius` of it; the arcs of a lens, up to `ARC_REACH` Einstein radii, count as the lens, and
    stars are objects like any other.

    Parameters
    ----------
    catalog : Table
        ``ra``, ``dec`` [deg].
    truth : Table
        As `pipeline.simulate.survey.truth` gives it.
    radius : float
        In arcsec.

    Returns
    -------
    Match
    """
    source, owner = np.full(len(truth), -1), np.full(len(catalog), -1)
    spurious = np.ones(len(catalog), bool)
    placed = np.flatnonzero(np.isfinite(catalog["ra"]) & np.isfinite(catalog["dec"]))
    snr, flux = np.asarray(truth["snr"]), np.asarray(truth["flux"])
    bright = np.flatnonzero(snr > FAINTEST)
    bright = bright[np.argsort(-flux[bright], kind="stable")]
    if not (len(placed) and len(bright)):
        return Match(source, owner, spurious)
    there, where = _directions(catalog), _directions(truth)[bright]
    found = cKDTree(there[placed])
    near_each = found.query_ball_point(where, chord(radius))
    for i, direction, near in zip(bright, where, near_each, strict=True):
        free = [k for k in placed[near] if owner[k] < 0]
        if free:
            source[i] = free[np.argmin(((there[free] - direction) ** 2).sum(axis=1))]
            owner[source[i]] = i
    theta_e = np.nan_to_num(np.asarray(truth["theta_e"])[bright], nan=0.0)
    reach = np.maximum(radius, ARC_REACH * theta_e)
    for near in found.query_ball_point(where, chord(reach)):
        spurious[placed[near]] = False
    return Match(source, owner, spurious)


def samples(catalog, truth, tiles):
    """Choose the galaxies that must be found, and the sources that must be real.

    Parameters
    ----------
    catalog, truth : Table
    tiles : iterable of str
        Names of the tiles that were not rejected.

    Returns
    -------
    observed : ndarray, (true object,), bool
        Galaxies with good pixels about their centre in one of `tiles`, alone: no other object
        with an S/N above `FAINTEST` within `ALONE`.
    clean : ndarray, (source,), bool
        Sources without a flag of `DEFECT`, alone: no other source within `ALONE`.
    """
    good = set(tiles)
    there = np.array([not good.isdisjoint(str(names).split()) for names in truth["tiles"]], bool)
    observed = there & (np.asarray(truth["kind"]) == "galaxy")
    observed &= _is_alone(truth, np.asarray(truth["snr"]) > FAINTEST)
    clean = (np.asarray(catalog["flags"]) & int(DEFECT)) == 0
    return observed, clean & _is_alone(catalog, np.isfinite(np.asarray(catalog["ra"])))


def rate(is_good, value, edges):
    """Share of the good in bins of a value, with Wilson's interval of 68 %.

    Parameters
    ----------
    is_good : ndarray, (n,), bool
    value : ndarray, (n,)
    edges : ndarray, (bin + 1,)

    Returns
    -------
    Table
        ``low``, ``high`` (edges), ``n``, ``rate``, ``rate_low``, ``rate_high``, one row a bin
        that holds anything (Wilson 1927, JASA 22, 209).
    """
    edges = np.asarray(edges)
    n = np.histogram(value, edges)[0]
    k = np.histogram(value[is_good], edges)[0]
    keep = n > 0
    n, k = n[keep], k[keep]
    share = k / n
    low, high = wilson(share, n)
    bins = {"low": edges[:-1][keep], "high": edges[1:][keep], "n": n}
    return Table(bins | {"rate": share, "rate_low": low, "rate_high": high})


def compare(catalog, truth, tiles, radius):
    """Score the catalog against the truth.

    Parameters
    ----------
    catalog, truth : Table
    tiles : iterable of str
        Names of the tiles that were not rejected.
    radius : float
        Greatest distance of a source from its object [arcsec].

    Returns
    -------
    dict
        ``completeness`` and ``purity``: (rate, low, high, n), for galaxies, and for sources,
        with an S/N above `BRIGHT` that are alone (see `samples`);
        ``coverage``: the same of the 68 % intervals of the total flux that hold the truth, of
        galaxies without a defect;
        ``completeness_mag`` and ``purity_mag``: the same against magnitude, as `rate` gives it;
        ``offset``, ``offset_axis``: median distance from the truth, in the plane and along an
        axis [arcsec], and the same as ``offset_pix``, ``offset_axis_pix`` [pixel];
        ``pairs``: Table of the objects found, with ``ra_offset``, ``dec_offset`` [arcsec],
        ``snr``, ``mag`` and ``delta_auto``, ``delta_flux``, ``delta_p50`` (measured less true
        magnitude), ``alone`` (a galaxy of the completeness), ``clean`` (no defect), ``galaxy``,
        ``holds`` (whether ``flux_p16`` to ``flux_p84`` hold the true flux);
        ``roc``: see `lens_roc`.

    Raises
    ------
    ValueError
        If the truth lacks columns.
    """
    missing = [name for name in NEEDED if name not in truth.colnames]
    if missing:
        raise ValueError(f"the table of the config's truth has no column {', '.join(missing)}")
    found = match(catalog, truth, radius)
    observed, clean = samples(catalog, truth, tiles)
    is_bright = np.asarray(truth["snr_auto"]) > BRIGHT
    pairs = _pairs(catalog, truth, found, observed & is_bright)
    alone = pairs["alone"]
    offset = np.column_stack([pairs["ra_offset"], pairs["dec_offset"]])[alone]
    pixel_scale = truth.meta.get("PIXSCALE", np.nan)
    mag = detection_band(catalog, "mag")
    known = clean & np.isfinite(mag)
    true_mag = np.asarray(truth["mag"])
    return {
        "completeness": _share(found.source[observed & is_bright] >= 0),
        "purity": _share(~found.spurious[clean & (flux_snr(catalog, "flux") > BRIGHT)]),
        "coverage": _share(pairs["holds"][pairs["clean"] & pairs["galaxy"]]),
        "completeness_mag": rate(
            found.source[observed] >= 0, true_mag[observed], bins(true_mag[observed])
        ),
        "purity_mag": rate(~found.spurious[known], mag[known], bins(mag[known])),
        "offset": _median(np.hypot(*offset.T)),
        "offset_pix": _median(np.hypot(*offset.T)) / pixel_scale,
        "offset_axis": _median(np.abs(offset)),
        "offset_axis_pix": _median(np.abs(offset)) / pixel_scale,
        "pairs": pairs,
        "roc": lens_roc(catalog, truth, found),
    }


def lens_roc(catalog, truth, found):
    """Recall of the lenses against false positives, as the threshold of ``p_lens`` falls.

    Returns
    -------
    dict or None
        ``threshold``, ``recall``, ``false_rate`` (arrays), ``auroc``, ``n_lenses``, ``n_others``;
        None if no lens, or nothing else, was detected.  Only sources that are an object's count.
    """
    is_lens = np.asarray(truth["kind"]) == "lens"
    mine = np.flatnonzero((found.object >= 0) & np.isfinite(np.asarray(catalog["p_lens"])))
    says = np.asarray(catalog["p_lens"], "f8")[mine]
    true = is_lens[found.object[mine]]
    if true.all() or not true.any():
        return None
    order = np.argsort(-says, kind="stable")
    last = np.append(np.diff(says[order]) != 0, True)  # equal scores are passed together
    hits, false = np.cumsum(true[order])[last], np.cumsum(~true[order])[last]
    recall, false_rate = np.append(0, hits / true.sum()), np.append(0, false / (~true).sum())
    return {
        "threshold": np.append(np.inf, says[order][last]),
        "recall": recall,
        "false_rate": false_rate,
        "auroc": float(np.trapezoid(recall, false_rate)),
        "n_lenses": int(true.sum()),
        "n_others": int((~true).sum()),
    }


def bins(mag):
    """Edges of bins of `BIN` that hold all of `mag`."""
    if not len(mag):
        return np.array([0.0, BIN])
    low, high = np.floor(mag.min() / BIN), np.floor(mag.max() / BIN) + 1
    return BIN * np.arange(low, high + 1)


def _pairs(catalog, truth, found, alone):
    rows = np.flatnonzero(found.source >= 0)
    ours, true = catalog[found.source[rows]], truth[rows]
    east = (np.asarray(ours["ra"]) - np.asarray(true["ra"]) + 180) % 360 - 180
    pairs = {
        "ra_offset": 3600 * east * np.cos(np.radians(np.asarray(true["dec"]))),
        "dec_offset": 3600 * (np.asarray(ours["dec"]) - np.asarray(true["dec"])),
        "snr": np.asarray(true["snr"]),
        "mag": np.asarray(true["mag"]),
        "alone": alone[rows],
        "clean": (np.asarray(true["tiles"]) != "") & (np.asarray(ours["flags"]) & int(DEFECT) == 0),
    }
    pairs["galaxy"] = np.asarray(true["kind"]) == "galaxy"
    low, high = (detection_band(ours, name) for name in ("flux_p16", "flux_p84"))
    pairs["holds"] = (low <= np.asarray(true["flux"])) & (np.asarray(true["flux"]) <= high)
    for name, column in (("auto", "flux_auto"), ("flux", "flux"), ("p50", "flux_p50")):
        ratio = detection_band(ours, column) / np.asarray(true["flux"])
        pairs[f"delta_{name}"] = -2.5 * np.log10(np.where(ratio > 0, ratio, np.nan))
    return Table(pairs)


def _median(values):
    return float(np.median(values)) if len(values) else np.nan


def _share(is_good):
    """Share of the good, its interval of 68 %, and how many were asked."""
    if not len(is_good):
        return np.nan, np.nan, np.nan, 0
    share = float(is_good.mean())
    low, high = wilson(share, len(is_good))
    return share, float(low), float(high), len(is_good)


def _is_alone(table, counts):
    """Whether no row that `counts`, but for itself, lies within `ALONE` of each."""
    alone = np.ones(len(table), bool)
    rows = np.flatnonzero(counts)
    if len(rows):
        where = _directions(table)[rows]
        pairs = cKDTree(where).query_pairs(chord(ALONE), output_type="ndarray")
        alone[rows[pairs.ravel()]] = False
    return alone


def _directions(table):
    return unit_vectors(table["ra"], table["dec"])
