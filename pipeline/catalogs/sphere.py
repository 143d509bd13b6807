"""Places on the sky as points on a sphere, among which a tree finds what is near."""

import numpy as np
from scipy.spatial import cKDTree


def unit_vectors(ra, dec):
    """Directions (n, 3) of positions [deg]."""
    ra, dec = np.radians(np.asarray(ra, "f8")), np.radians(np.asarray(dec, "f8"))
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def chord(angle):
    """Length of the straight line between unit vectors `angle` [arcsec] apart."""
    return 2 * np.sin(np.radians(angle / 3600) / 2)


def nearest(ra, dec, others, radius):
    """Index of the nearest of other places, for each place.

    Parameters
    ----------
    ra, dec : ndarray, (n,)
        Positions [deg]; NaN where unknown.
    others : pair of ndarray, (m,)
        Those of the others.
    radius : float
        Greatest distance [arcsec].

    Returns
    -------
    ndarray, (n,), int
        -1 where there is none.
    """
    ra, dec = np.asarray(ra, "f8"), np.asarray(dec, "f8")
    found = np.full(len(ra), -1)
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if len(rows) and len(others[0]):
        tree, where = cKDTree(unit_vectors(*others)), unit_vectors(ra[rows], dec[rows])
        distance, index = tree.query(where, distance_upper_bound=chord(radius))
        found[rows] = np.where(np.isfinite(distance), index, -1)
    return found
