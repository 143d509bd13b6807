"""Places on the sky as points on a sphere, among which a tree finds what is near."""

import numpy as np


def unit_vectors(ra, dec):
    """Directions (n, 3) of positions [deg]."""
    ra, dec = np.radians(np.asarray(ra, "f8")), np.radians(np.asarray(dec, "f8"))
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def chord(angle):
    """Length of the straight line between unit vectors `angle` [arcsec] apart."""
    return 2 * np.sin(np.radians(angle / 3600) / 2)
