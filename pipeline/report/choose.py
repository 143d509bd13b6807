"""Which sources the report shows."""

import numpy as np
from scipy.spatial import cKDTree

from pipeline.catalog import detection_band
from pipeline.flags import Flag

MAX_BLEND_TILES = 3
SYSTEM = 3.0  # arcsec: Einstein radii reach so far
_SPOILT = int(Flag.EDGE | Flag.MASKED | Flag.SATURATED)


def choose(catalog, settings):
    """Choose the sources whose stamps are shown.

    Parameters
    ----------
    catalog : Table
        The merged one.
    settings : config.Report

    Returns
    -------
    dict of ndarray
        Rows of the catalog: ``lenses``, of each of the `systems` one, from the most probable down;
        ``strangest``, from the largest anomaly down, without spoilt ones; ``blends``, bright ones
        with much of their footprint claimed by others, from at most three tiles.
    """
    whole = (np.asarray(catalog["flags"]) & _SPOILT) == 0
    return {
        "lenses": _highest(np.where(systems(catalog), catalog["p_lens"], np.nan), settings.stamps),
        "strangest": _highest(np.where(whole, catalog["anomaly"], np.nan), settings.stamps),
        "blends": _blends(catalog, whole, settings.blends),
    }


def systems(catalog):
    """Tell sources that may be lenses of their own from pieces of a more probable one.

    A lens is often several sources: the deflector, and arcs that are bright.  Going from the most
    probable source down, those within `SYSTEM` of it belong to it.

    Parameters
    ----------
    catalog : Table
        ``p_lens``, ``ra``, ``dec`` [deg].

    Returns
    -------
    ndarray, (n,), bool
        True of the most probable of each system, and where the position is not known; false where
        ``p_lens`` is not known.
    """
    p_lens, ra, dec = (np.asarray(catalog[name], "f8") for name in ("p_lens", "ra", "dec"))
    own = np.isfinite(p_lens)
    rows = np.flatnonzero(own & np.isfinite(ra) & np.isfinite(dec))
    rows = rows[np.argsort(-p_lens[rows], kind="stable")]
    ra, dec = np.radians(ra[rows]), np.radians(dec[rows])
    at = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    chord = 2 * np.sin(np.radians(SYSTEM / 3600) / 2)
    pairs = cKDTree(at).query_pairs(chord, output_type="ndarray") if len(rows) else []
    first = np.ones(len(rows), bool)
    for one, other in sorted(map(tuple, np.asarray(pairs).tolist())):  # the first is more probable
        first[other] &= not first[one]
    own[rows] = first
    return own


def thin(n, most, seed=0):
    """Rows of a table of `n`, at most `most` of them, at random but always the same."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _highest(value, n):
    rows = np.flatnonzero(np.isfinite(value))
    return rows[np.argsort(-value[rows], kind="stable")[:n]]


def _blends(catalog, whole, n):
    error = detection_band(catalog, "flux_err")
    snr = np.divide(
        detection_band(catalog, "flux"), error, out=np.zeros(len(error)), where=error > 0
    )
    fraction = np.asarray(catalog["blend_fraction"])
    small = np.asarray(catalog["flags"]) & int(Flag.STAMP_CLIPPED) == 0
    blended = whole & small & (fraction > 0.1) & (np.asarray(catalog["n_neighbours"]) > 0)
    rows = np.flatnonzero(blended & (snr > 20))
    rows = rows[np.argsort(-fraction[rows], kind="stable")]
    names = np.asarray(catalog["tile"])[rows]
    _, first = np.unique(names, return_index=True)
    tiles = names[np.sort(first)[:MAX_BLEND_TILES]]
    return rows[np.isin(names, tiles)][:n]
