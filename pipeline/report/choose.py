"""Which sources the report shows."""

import numpy as np

from pipeline.catalog import detection_band
from pipeline.flags import Flag

MAX_BLEND_TILES = 3
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
        Rows of the catalog: ``lenses``, from the most probable down; ``strangest``, from the
        largest anomaly down, without spoilt ones; ``blends``, bright ones with much of their
        footprint claimed by others, from at most three tiles.
    """
    whole = (np.asarray(catalog["flags"]) & _SPOILT) == 0
    return {
        "lenses": _highest(np.asarray(catalog["p_lens"]), settings.stamps),
        "strangest": _highest(np.where(whole, catalog["anomaly"], np.nan), settings.stamps),
        "blends": _blends(catalog, whole, settings.blends),
    }


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
