"""Galaxies that look like lenses and are none: spirals, rings and tangential companions."""

import numpy as np


def draw_spiral(re, x, y, rng):
    """Light of a spiral galaxy: logarithmic arms on an exponential disc, with a bulge.

    Parameters
    ----------
    re : float
        Half-light radius of the disc [pixel].
    x, y : ndarray
        Positions about the centre [pixel].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        Flux of each sample, of sum 1.
    """
    u, v = _face_on(x, y, rng.uniform(0.3, 1), rng.uniform(0, np.pi))
    radius, around = np.hypot(u, v) + 1e-6, np.arctan2(v, u)
    arms, pitch = rng.choice([1, 2, 2, 2, 3, 4]), np.radians(rng.uniform(8, 30))
    phase = arms * (around - rng.choice([-1, 1]) * np.log(radius / re) / np.tan(pitch))
    sharpness = rng.uniform(1, 6)
    crests = ((1 + np.cos(phase)) / 2) ** sharpness * (radius > 0.4 * re)
    disc = np.exp(-1.678 * radius / re)
    light = disc * (1 + rng.uniform(1, 8) * crests)
    share = rng.uniform(0.05, 0.5)
    bulge = np.exp(-0.5 * (radius / (0.15 * re + 0.5)) ** 1.2)
    return (1 - share) * light / light.sum() + share * bulge / bulge.sum()


def draw_ring(re, x, y, rng):
    """Light of a ring galaxy about a bulge: flux of each sample, of sum 1; as `draw_spiral`."""
    u, v = _face_on(x, y, rng.uniform(0.4, 1), rng.uniform(0, np.pi))
    radius, around = np.hypot(u, v), np.arctan2(v, u)
    size, width = re * rng.uniform(0.8, 2), re * rng.uniform(0.1, 0.35) + 0.3
    clumps = 1 + rng.uniform(0, 0.6) * np.cos(rng.integers(1, 5) * around + rng.uniform(0, 6.3))
    ring = np.exp(-0.5 * ((radius - size) / width) ** 2) * clumps
    bulge = np.exp(-2 * (radius / (0.5 * re)) ** 0.7)
    share = rng.uniform(0.1, 0.6)
    return share * ring / ring.sum() + (1 - share) * bulge / bulge.sum()


def _face_on(x, y, axis_ratio, angle):
    """Coordinates in the plane of a disc that is seen flattened to `axis_ratio`."""
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    return along, across / axis_ratio
