"""Light that is no sum of Sersic laws: spirals, rings, shells, tails, lone arcs, and a star's rays.

Each function takes a size [pixel], positions about the centre [pixel] and dice, and gives the flux
of each sample, of sum 1.
"""

import jax.numpy as jnp
import numpy as np

SHELLS = 4  # at most


def draw_spiral(re, x, y, dice):
    """Light of a spiral galaxy: logarithmic arms, or shreds of them, on a disc with a bulge."""
    u, v = _face_on(x, y, dice.uniform(0.3, 1.0), dice.uniform(0, np.pi))
    radius, around = jnp.hypot(u, v) + 1e-6, jnp.arctan2(v, u)
    arms = dice.choice([1, 2, 2, 2, 3, 4])
    winding = dice.sign() * jnp.log(radius / re) / jnp.tan(jnp.radians(dice.uniform(8.0, 35.0)))
    crests = ((1 + jnp.cos(arms * (around - winding))) / 2) ** dice.uniform(1.0, 7.0)
    crests = crests * (radius > re * dice.uniform(0.2, 0.9))
    phase = dice.integers(3, 9) * around + dice.uniform(3.0, 9.0) * jnp.log(radius / re + 0.1)
    flocculent = jnp.maximum(0.5 + jnp.cos(phase), 0)  # the arms break up
    crests = crests * jnp.where(dice.chance(0.4), flocculent, 1.0)
    uneven = jnp.where(dice.chance(0.3), dice.uniform(0.3, 1.0), 0.0)  # one arm is stronger
    crests = crests * (1 + uneven * jnp.cos(around - dice.angle()))
    light = jnp.exp(-1.678 * radius / re) * (1 + dice.uniform(1.0, 9.0) * crests)
    return _with_bulge(light, radius, re, dice.uniform(0.05, 0.7), dice)


def draw_ring(re, x, y, dice):
    """Light of a ring galaxy, or of a polar ring about an elliptical."""
    flat = jnp.where(dice.chance(0.3), dice.uniform(0.15, 0.45), dice.uniform(0.45, 1.0))
    u, v = _face_on(x, y, flat, dice.uniform(0, np.pi))
    radius, around = jnp.hypot(u, v), jnp.arctan2(v, u)
    size, width = re * dice.uniform(0.9, 2.3), re * dice.uniform(0.1, 0.4) + 0.3
    clumps = 1 + dice.uniform(0, 0.8) * jnp.cos(dice.integers(1, 6) * around + dice.angle())
    ring = jnp.exp(-0.5 * ((radius - size) / width) ** 2) * clumps
    disc = jnp.exp(-1.678 * radius / size) * dice.uniform(0, 0.5)
    return _with_bulge(ring + disc, jnp.hypot(x, y), re, dice.uniform(0.3, 0.95), dice)


def draw_shells(re, x, y, dice):
    """Sharp-edged shells on either side of an elliptical: Malin & Carter (1983, ApJ 274, 534)."""
    radius, around = jnp.hypot(x, y), jnp.arctan2(y, x) - dice.angle()
    edge, n, light = re * dice.uniform(0.8, 1.5), dice.integers(1, SHELLS + 1), 0.0
    for i in range(SHELLS):
        opening, sharpness = dice.uniform(0.1, 0.6), dice.uniform(0.1, 0.4)
        wedge = jnp.exp(-0.5 * ((1 - (-1) ** i * jnp.cos(around)) / opening) ** 2)
        inside = jnp.exp((radius - edge) / (sharpness * edge)) * (radius < edge)
        light += wedge * inside * dice.uniform(0.3, 1.0) * (i < n)
        edge = edge * dice.uniform(1.2, 1.6)
    return _of_sum_one(light)


def draw_tail(re, x, y, dice):
    """One or two tidal tails that leave a galaxy and bend away."""
    radius, around = jnp.hypot(x, y) + 1e-6, jnp.arctan2(y, x)
    bend, start, light = dice.normal(0, 0.8) / re, dice.angle(), 0.0
    second = dice.chance(0.5)
    for turn, present in ((0.0, True), (np.pi * dice.uniform(0.8, 1.2), second)):
        off = _wrapped(around - start - turn - bend * radius)
        across = radius * off / (re * dice.uniform(0.15, 0.5))
        along = jnp.exp(-radius / (re * dice.uniform(1.0, 2.5)))
        seen = (jnp.abs(off) < 1.5) & (radius > 0.5 * re) & present
        light += jnp.exp(-0.5 * across**2) * along * seen
    return _of_sum_one(light)


def draw_lone_arc(re, x, y, dice):
    """One thin arc whose centre of curvature is not the galaxy: an edge-on disc, a lone tail.

    It lies one to three `re` out; its radius of curvature is wrong for a lens, or it is turned
    from the tangent, or bends the other way.
    """
    place, out, kind = dice.angle(), re * dice.uniform(0.9, 3.0), dice.uniform()
    turned, outward = (kind > 0.35) & (kind < 0.75), kind > 0.75
    wide = jnp.where(turned, dice.uniform(0.8, 4.0), dice.uniform(1.7, 5.0))
    curvature = out * wide
    tilt = jnp.where(turned, dice.sign() * dice.uniform(0.5, 1.57), dice.normal(0, 0.15))
    inward = place + np.pi + tilt + jnp.where(outward, np.pi, 0.0)
    along_x = x - out * jnp.cos(place) - curvature * jnp.cos(inward)
    along_y = y - out * jnp.sin(place) - curvature * jnp.sin(inward)
    off = _wrapped(jnp.arctan2(along_y, along_x) - inward - np.pi)
    width, length = re * dice.uniform(0.08, 0.3) + 0.2, re * dice.uniform(0.3, 1.2)
    across = (jnp.hypot(along_x, along_y) - curvature) / width
    ends = (jnp.abs(off * curvature / length) + 1e-6) ** dice.uniform(1.5, 4.0)
    return _of_sum_one(jnp.exp(-0.5 * across**2 - ends))


def draw_rays(x, y, dice):
    """Diffraction spikes of a star, four, six or eight that fall off with distance, or a ghost."""
    turn, n = dice.uniform(0, np.pi), dice.choice([2, 2, 3, 4])
    length, width, light = dice.uniform(4.0, 20.0), dice.uniform(0.5, 1.2), 0.0
    for i in range(4):
        angle = turn + i * np.pi / n
        across = y * jnp.cos(angle) - x * jnp.sin(angle)
        along = jnp.abs(x * jnp.cos(angle) + y * jnp.sin(angle))
        light += jnp.exp(-0.5 * (across / width) ** 2 - along / length) * (i < n)
    size, (x0, y0) = dice.uniform(6.0, 25.0), dice.normal(0, 6.0, (2,))
    radius = jnp.hypot(x - x0, y - y0)
    ghost = (radius < size) & (radius > size * dice.uniform(0, 0.5))
    return _of_sum_one(jnp.where(dice.chance(0.25), ghost * 1.0, light))


def _with_bulge(light, radius, re, share, dice):
    """Add a bulge, or a small elliptical, that holds `share` of the light."""
    size, power = re * dice.uniform(0.15, 0.8) + 0.3, dice.uniform(0.5, 1.2)
    bulge = jnp.exp(-1.7 * ((radius + 1e-6) / size) ** power)
    return (1 - share) * _of_sum_one(light) + share * bulge / bulge.sum()


def _of_sum_one(light):
    return light / jnp.maximum(light.sum(), 1e-30)


def _wrapped(angle):
    """An angle between -pi and pi."""
    return jnp.mod(angle + np.pi, 2 * np.pi) - np.pi


def _face_on(x, y, axis_ratio, angle):
    """Coordinates in the plane of a disc that is seen flattened to `axis_ratio`."""
    along = x * jnp.cos(angle) + y * jnp.sin(angle)
    across = -x * jnp.sin(angle) + y * jnp.cos(angle)
    return along, across / axis_ratio
