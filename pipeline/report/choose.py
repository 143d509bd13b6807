"""Which sources the report shows."""

import numpy as np
from scipy.spatial import cKDTree

from pipeline.catalogs.catalog import flux_snr
from pipeline.catalogs.overlaps import dominated
from pipeline.catalogs.sphere import chord, unit_vectors
from pipeline.flags import DEFECT, Flag

MAX_BLEND_TILES = 3
SYSTEM = 3.0  # arcsec: Einstein radii reach so far


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
        Rows of the catalog: ``systems``, see `systems`; ``lenses``, the first of them;
        ``strangest``, from the largest anomaly down, without spoilt ones; ``blends``, bright ones
        with much of their footprint claimed by others, from at most three tiles.
    """
    candidates = systems(catalog)
    whole = (np.asarray(catalog["flags"]) & int(DEFECT)) == 0
    return {
        "systems": candidates,
        "lenses": candidates[: settings.stamps],
        "strangest": _highest(np.where(whole, catalog["anomaly"], np.nan), settings.stamps),
        "blends": _blends(catalog, whole, settings.blends),
    }


def systems(catalog):
    """Rank the sources that may be lenses, without pieces of more probable ones.

    A lens is often several sources: the deflector, and arcs that are bright.  Going from the most
    probable source down, those within `SYSTEM` of it belong to it.

    Parameters
    ----------
    catalog : Table
        ``p_lens``; ``ra``, ``dec`` [deg], of which one that is not known has nothing near it.

    Returns
    -------
    ndarray of int
        Rows of the most probable source of each system, from the most probable down; those whose
        ``p_lens`` is not known are left out.
    """
    ranked = _highest(np.asarray(catalog["p_lens"], "f8"), len(catalog))
    ra, dec = (np.asarray(catalog[name], "f8")[ranked] for name in ("ra", "dec"))
    placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(placed):
        return ranked
    tree = cKDTree(unit_vectors(ra[placed], dec[placed]))
    pairs = placed[tree.query_pairs(chord(SYSTEM), output_type="ndarray")]
    return ranked[~dominated(pairs, np.arange(len(ranked)))]


def thin(n, most):
    """Rows of a table of `n`, at most `most` of them, at random but always the same."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _highest(value, n):
    rows = np.flatnonzero(np.isfinite(value))
    return rows[np.argsort(-value[rows], kind="stable")[:n]]


def _blends(catalog, whole, n):
    fraction = np.asarray(catalog["blend_fraction"])
    small = np.asarray(catalog["flags"]) & int(Flag.STAMP_CLIPPED) == 0
    blended = whole & small & (fraction > 0.1) & (np.asarray(catalog["n_neighbours"]) > 0)
    rows = np.flatnonzero(blended & (flux_snr(catalog, "flux") > 20))
    rows = rows[np.argsort(-fraction[rows], kind="stable")]
    names = np.asarray(catalog["tile"])[rows]
    _, first = np.unique(names, return_index=True)
    tiles = names[np.sort(first)[:MAX_BLEND_TILES]]
    return rows[np.isin(names, tiles)][:n]
