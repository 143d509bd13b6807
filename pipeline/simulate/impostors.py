"""Galaxies that look like lenses and are none: spirals, rings, shells, tails and lone arcs.

Each function takes a size [pixel], positions about the centre [pixel] and a generator, and gives
the flux of each sample, of sum 1.
"""

import numpy as np


def draw_spiral(re, x, y, rng):
    """Light of a spiral galaxy: logarithmic arms, or shreds of them, on a disc with a bulge.

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
    arms, pitch = rng.choice([1, 2, 2, 2, 3, 4]), np.radians(rng.uniform(8, 35))
    winding = rng.choice([-1, 1]) * np.log(radius / re) / np.tan(pitch)
    crests = ((1 + np.cos(arms * (around - winding))) / 2) ** rng.uniform(1, 7)
    crests = crests * (radius > re * rng.uniform(0.2, 0.9))
    if rng.random() < 0.4:  # flocculent: the arms break up
        shreds = np.cos(rng.integers(3, 9) * around + rng.uniform(3, 9) * np.log(radius / re + 0.1))
        crests = crests * np.clip(0.5 + shreds, 0, None)
    if rng.random() < 0.3:  # one arm is stronger
        crests = crests * (1 + rng.uniform(0.3, 1) * np.cos(around - rng.uniform(0, 6.3)))
    disc = np.exp(-1.678 * radius / re)
    light = disc * (1 + rng.uniform(1, 9) * crests)
    return _with_bulge(light, radius, re, rng.uniform(0.05, 0.7), rng)


def draw_ring(re, x, y, rng):
    """Light of a ring galaxy, or of a polar ring about an elliptical; as `draw_spiral`."""
    flat = rng.uniform(0.15, 0.45) if rng.random() < 0.3 else rng.uniform(0.45, 1)
    u, v = _face_on(x, y, flat, rng.uniform(0, np.pi))
    radius, around = np.hypot(u, v), np.arctan2(v, u)
    size, width = re * rng.uniform(0.9, 2.3), re * rng.uniform(0.1, 0.4) + 0.3
    clumps = 1 + rng.uniform(0, 0.8) * np.cos(rng.integers(1, 6) * around + rng.uniform(0, 6.3))
    ring = np.exp(-0.5 * ((radius - size) / width) ** 2) * clumps
    disc = np.exp(-1.678 * radius / size) * rng.uniform(0, 0.5)
    return _with_bulge(ring + disc, np.hypot(x, y), re, rng.uniform(0.3, 0.95), rng)


def draw_shells(re, x, y, rng):
    """Sharp-edged shells on either side of an elliptical: Malin & Carter (1983, ApJ 274, 534)."""
    axis, light = rng.uniform(0, 2 * np.pi), np.zeros(x.shape)
    radius, around = np.hypot(x, y), np.arctan2(y, x) - axis
    edge = re * rng.uniform(0.8, 1.5)
    for i in range(rng.integers(1, 5)):
        wedge = np.exp(-0.5 * ((1 - (-1) ** i * np.cos(around)) / rng.uniform(0.1, 0.6)) ** 2)
        inside = np.exp((radius - edge) / (rng.uniform(0.1, 0.4) * edge)) * (radius < edge)
        light += wedge * inside * rng.uniform(0.3, 1)
        edge *= rng.uniform(1.2, 1.6)
    return light / max(light.sum(), 1e-30)


def draw_tail(re, x, y, rng):
    """One or two tidal tails that leave a galaxy and bend away; as `draw_spiral`."""
    radius, around = np.hypot(x, y) + 1e-6, np.arctan2(y, x)
    bend, light = rng.normal(0, 0.8) / re, np.zeros(x.shape)
    start = rng.uniform(0, 2 * np.pi)
    for turn in [0, np.pi * rng.uniform(0.8, 1.2)][: rng.integers(1, 3)]:
        off = np.angle(np.exp(1j * (around - start - turn - bend * radius)))
        across = radius * off / (re * rng.uniform(0.15, 0.5))
        along = np.exp(-radius / (re * rng.uniform(1, 2.5)))
        light += np.exp(-0.5 * across**2) * along * (np.abs(off) < 1.5) * (radius > 0.5 * re)
    return light / max(light.sum(), 1e-30)


def draw_lone_arc(re, x, y, rng):
    """One thin arc whose centre of curvature is not the galaxy: an edge-on disc, a lone tail.

    It lies one to three `re` out; its radius of curvature is wrong for a lens, or it is turned
    from the tangent, or bends the other way.
    """
    place, out = rng.uniform(0, 2 * np.pi), re * rng.uniform(0.9, 3)
    kind = rng.choice(["wide", "turned", "outward"], p=[0.35, 0.4, 0.25])
    curvature = out * (rng.uniform(1.7, 5) if kind != "turned" else rng.uniform(0.8, 4))
    tilt = rng.choice([-1, 1]) * rng.uniform(0.5, 1.57) if kind == "turned" else rng.normal(0, 0.15)
    inward = place + np.pi + tilt + (np.pi if kind == "outward" else 0)
    along_x = x - out * np.cos(place) - curvature * np.cos(inward)
    along_y = y - out * np.sin(place) - curvature * np.sin(inward)
    off = np.angle(np.exp(1j * (np.arctan2(along_y, along_x) - inward - np.pi)))
    width, length = re * rng.uniform(0.08, 0.3) + 0.2, re * rng.uniform(0.3, 1.2)
    across = (np.hypot(along_x, along_y) - curvature) / width
    light = np.exp(-0.5 * across**2 - np.abs(off * curvature / length) ** rng.uniform(1.5, 4))
    return light / max(light.sum(), 1e-30)


def _with_bulge(light, radius, re, share, rng):
    """Add a bulge, or a small elliptical, that holds `share` of the light."""
    size, power = re * rng.uniform(0.15, 0.8) + 0.3, rng.uniform(0.5, 1.2)
    bulge = np.exp(-1.7 * (radius / size) ** power)
    return (1 - share) * light / max(light.sum(), 1e-30) + share * bulge / bulge.sum()


def _face_on(x, y, axis_ratio, angle):
    """Coordinates in the plane of a disc that is seen flattened to `axis_ratio`."""
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    return along, across / axis_ratio
