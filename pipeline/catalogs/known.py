"""Strong lenses that are known already, from the lenscat community catalog."""

import csv
from importlib import metadata

import numpy as np
from astropy.table import Table, vstack
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pipeline.catalogs.sphere import chord, nearest, unit_vectors

SAME = 20.0  # arcsec: entries of one name are one lens, placed more or less well, if not farther
SYSTEM = 3.0  # arcsec: entries of any names are one lens, if not farther
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
        ``name`` (see `told_apart`), ``ra`` and ``dec`` [deg], one row an entry with a position.
    """
    lenses = _shipped()
    lenses["name"] = told_apart(lenses)
    if truth is not None:
        simulated = truth[np.asarray(truth["kind"], "U") == "lens"]
        place = {name: np.asarray(simulated[name], "f8") for name in ("ra", "dec")}
        lenses = vstack([lenses, Table({"name": ["simulated"] * len(simulated), **place})])
    return lenses


def told_apart(lenses):
    """One name for all entries of a lens, and no two lenses of one name.

    Parameters
    ----------
    lenses : Table
        ``name``, ``ra``, ``dec`` [deg].

    Returns
    -------
    ndarray of str
        Of each entry the name of the lens's first that has one; with its place, if lenses
        elsewhere have the same, or it has none.
    """
    names = np.asarray(lenses["name"], "U")
    nameless = np.isin(names, NAMELESS)
    lens = _lens_of(names, nameless, unit_vectors(lenses["ra"], lenses["dec"]))
    order = np.argsort(nameless, kind="stable")
    first = order[np.unique(lens[order], return_index=True)[1]]
    _, group, count = np.unique(names[first], return_inverse=True, return_counts=True)
    unclear = (count[group] > 1) | nameless[first]
    told = [
        f"{name or '-'} ({ra:.5f} {dec:+.5f})" if is_unclear else name
        for is_unclear, name, ra, dec in zip(
            unclear, *(lenses[column][first] for column in ("name", "ra", "dec")), strict=True
        )
    ]
    return np.array(told)[lens]


def _lens_of(names, nameless, where):
    """Number the lens that each entry is of; (n,)."""
    pairs = cKDTree(where).query_pairs(chord(SAME), output_type="ndarray")
    one, other = pairs.T
    alike = (names[one] == names[other]) & ~nameless[one]
    pairs = pairs[alike | (np.linalg.norm(where[one] - where[other], axis=1) < chord(SYSTEM))]
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(names), len(names)))
    return connected_components(links, directed=False)[1]


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
    found = nearest(ra, dec, (lenses["ra"], lenses["dec"]), radius)
    width = max(1, *np.char.str_len(names[np.unique(found)])) if len(found) else 1
    return names.astype(f"U{width}")[found]  # no wider than needed: rows are many
