"""Strong lenses that are known already, from the lenscat community catalog."""

import csv
from importlib import metadata

import numpy as np
from astropy.table import Table, vstack
from scipy.spatial import cKDTree

from pipeline.catalogs.sphere import chord, unit_vectors

SAME = 20.0  # arcsec: entries of one name are one lens, placed more or less well, if not farther
NAMELESS = "", "-"


def known_lenses(truth=None):
    """Read the lenses that lenscat ships (Vujeva et al. 2024), 33,000 of them.

    The file is read without importing lenscat, which costs 4 s and needs a plotting library.

    Parameters
    ----------
    truth : Table, optional
        Of a simulated survey, as `pipeline.simulate.survey` writes it, whose lenses join them.

    Returns
    -------
    Table
        ``name`` (the first of several; with its place, if lenses elsewhere have the same, or it
        has none), ``ra`` and ``dec`` [deg], one row a lens with a position.
    """
    lenses = _shipped()
    lenses["name"] = told_apart(lenses)
    if truth is not None:
        simulated = truth[np.asarray(truth["kind"], "U") == "lens"]
        place = {name: np.asarray(simulated[name], "f8") for name in ("ra", "dec")}
        lenses = vstack([lenses, Table({"name": ["simulated"] * len(simulated), **place})])
    return lenses


def told_apart(lenses):
    """Names that no two different lenses share: those that did, and empty ones, tell the place.

    Parameters
    ----------
    lenses : Table
        ``name``, ``ra``, ``dec`` [deg].

    Returns
    -------
    list of str
        Entries of one name within `SAME` of each other keep one name.
    """
    names, group = np.unique(np.asarray(lenses["name"], "U"), return_inverse=True)
    where, told = unit_vectors(lenses["ra"], lenses["dec"]), names[group].tolist()
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    for name, rows in zip(names.tolist(), np.split(order, ends), strict=True):
        near = np.linalg.norm(where[rows, None] - where[rows], axis=-1) < chord(SAME)
        if near.all() and name not in NAMELESS:
            continue
        for row, one in zip(rows, rows[near.argmax(axis=1)], strict=True):
            ra, dec = (lenses[axis][one] for axis in ("ra", "dec"))
            told[row] = f"{name or '-'} ({ra:.5f} {dec:+.5f})"
    return told


def _shipped():
    """Every row of lenscat's table that has a position."""
    path = metadata.distribution("lenscat").locate_file("lenscat/data/catalog.csv")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lenses = Table(
        {
            "name": [row["name"].split("|")[0].strip() for row in rows],
            "ra": [float(row["RA [deg]"] or "nan") for row in rows],
            "dec": [float(row["DEC [deg]"] or "nan") for row in rows],
        }
    )
    return lenses[np.isfinite(lenses["ra"]) & np.isfinite(lenses["dec"])]


def name_known(ra, dec, lenses, radius):
    """Name the nearest known lens of every source.

    Parameters
    ----------
    ra, dec : ndarray, (n,)
        Positions [deg]; NaN where unknown.
    lenses : Table
        ``name``, ``ra``, ``dec`` [deg], as `known_lenses` gives it.
    radius : float
        Greatest distance [arcsec].

    Returns
    -------
    ndarray of str, (n,)
        Empty where no lens is known.
    """
    names = np.append(np.asarray(lenses["name"], "U"), "")
    nearest = np.full(len(ra), -1)
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if len(rows) and len(lenses):
        tree = cKDTree(unit_vectors(lenses["ra"], lenses["dec"]))
        where = unit_vectors(ra[rows], dec[rows])
        distance, index = tree.query(where, distance_upper_bound=chord(radius))
        nearest[rows] = np.where(np.isfinite(distance), index, -1)
    width = max(1, *np.char.str_len(names[np.unique(nearest)])) if len(nearest) else 1
    return names.astype(f"U{width}")[nearest]  # no wider than needed: rows are many
