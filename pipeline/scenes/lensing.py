"""Images of a background galaxy seen through a gravitational lens, by JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from pipeline.scenes.device import add_up
from pipeline.scenes.light import Parts

TERMS = 9  # of the series of the deflection; 1e-4 of the Einstein radius at axis ratio 0.5
SOURCE_SIZES = -0.8, 0.27  # decades of half-light over Einstein radius: mean, scatter
SMALLEST, WIDEST = 0.03, 0.5  # half-light over Einstein radius of a source
INDICES = 0.7, 1.0, 1.0, 1.5  # Sersic indices of its disc
KNOTS = 6  # star-forming knots of a source, at most
QUASARS = 0.04  # share of sources that hold a point
POINT = 0.02  # radius of such a point, in Einstein radii: as small as the samples show


class Body(NamedTuple):
    """What lenses: half-light radius [pixel], axis ratio, angle [rad] and centre [pixel]."""

    re: jax.Array
    axis_ratio: jax.Array
    angle: jax.Array
    x: jax.Array
    y: jax.Array


class Mass(NamedTuple):
    """An elliptical power law in an external shear, in the convention of lenstronomy's EPL.

    Attributes
    ----------
    einstein_radius : float
        In pixels.
    axis_ratio, angle : float
        Of the mass; the angle counter-clockwise from +x [rad].
    shear, shear_angle : float
    slope : float
        Of the three-dimensional density; 2 is isothermal.
    """

    einstein_radius: jax.Array
    axis_ratio: jax.Array
    angle: jax.Array
    shear: jax.Array
    shear_angle: jax.Array
    slope: jax.Array | float = 2.0


def paint_arcs(body, einstein_radius, x, y, dice):
    """Draw the arcs that a galaxy would make of a random source.

    Parameters
    ----------
    body : Body
        The light of the deflector; its mass follows it loosely.
    einstein_radius : float
        In pixels.
    x, y : array
        Positions of the samples [pixel].
    dice : Dice

    Returns
    -------
    array
        Flux of each sample, of sum 1.
    """
    mass = draw_mass(einstein_radius, body, dice)
    at = trace(mass, x - body.x, y - body.y)
    blobs = draw_source(einstein_radius, dice)

    light = add_up(jnp.zeros_like(x), lambda blob: brightness(blob, *at), blobs.flux > 0, blobs)
    return light / jnp.maximum(light.sum(), 1e-30)


def draw_mass(einstein_radius, body, dice):
    """Draw a lens whose mass follows its light loosely.

    Scatter of axis ratio and angle between mass and light after SLACS (Koopmans et al. 2006, ApJ
    649, 599; Bolton et al. 2008, ApJ 682, 964), which find mass and light aligned within about 10
    degrees; slopes about isothermal, as Auger et al. (2010, ApJ 724, 511) find them.  The exact
    widths, and the shear's, are our choice.
    """
    return Mass(
        einstein_radius,
        jnp.clip(body.axis_ratio + dice.normal(0, 0.1), 0.5, 0.99),
        body.angle + dice.normal(0, np.radians(10)),
        jnp.minimum(dice.rayleigh(0.04), 0.2),
        dice.uniform(0, np.pi),
        jnp.clip(dice.normal(2.05, 0.15), 1.7, 2.4),
    )


def draw_source(einstein_radius, dice):
    """Draw the background galaxy: a disc, often with a bulge and knots, at times with a quasar.

    Its place is uniform in area, with a share nearer the centre, which magnification favours.
    A quasar is a Gaussian of `POINT` Einstein radii.

    Parameters
    ----------
    einstein_radius : float
        In pixels.
    dice : Dice

    Returns
    -------
    Parts
        In the source plane, their fluxes of sum one before lensing; positions [pixel] about the
        lens.
    """
    size = jnp.clip(10 ** dice.normal(*SOURCE_SIZES), SMALLEST, WIDEST)
    re = einstein_radius * size
    reach = einstein_radius * jnp.where(dice.chance(0.35), 0.35, 0.8)
    distance, around = reach * jnp.sqrt(dice.uniform()), dice.angle()
    x, y = distance * jnp.cos(around), distance * jnp.sin(around)
    flat, angle = dice.uniform(0.35, 1.0), dice.uniform(0, np.pi)
    quasar = jnp.where(dice.chance(QUASARS), dice.uniform(0.3, 0.95), 0.0)
    bulge = jnp.where(dice.chance(0.4), dice.uniform(0.05, 0.6), 0.0)
    n_knots = jnp.where(dice.chance(0.55), dice.integers(1, KNOTS + 1), 0)
    knots = jnp.where(n_knots > 0, dice.uniform(0.1, 0.6) * (1 - bulge), 0.0)
    scale = dice.uniform(0.1, 0.3, (KNOTS,))
    light = jnp.stack([1 - bulge - knots, bulge]), dice.shares(KNOTS, jnp.arange(KNOTS) < n_knots)
    of_all = jnp.concatenate([light[0], knots * light[1]]) * (1 - quasar)

    def column(disc, core, knot, point):
        values = [
            jnp.broadcast_to(v, (n,))
            for v, n in zip((disc, core, knot, point), (1, 1, KNOTS, 1), strict=True)
        ]
        return jnp.concatenate(values)

    return Parts(
        jnp.append(of_all, quasar),
        column(re, re * dice.uniform(0.15, 0.5), re * scale, POINT * einstein_radius),
        column(dice.choice(INDICES), 2.5, 0.5, 0.5),
        column(flat, 0.8, 0.9, 1.0),
        column(angle, angle, angle, 0.0),
        column(x, x, dice.normal(x, 0.8 * re, (KNOTS,)), x),
        column(y, y, dice.normal(y, 0.8 * re, (KNOTS,)), y),
    )


def trace(mass, x, y):
    """Positions in the source plane: Tessore & Metcalf (2015, A&A 580, A79), eq. 13 and 29."""
    q, t = mass.axis_ratio, mass.slope - 1
    cos, sin = jnp.cos(mass.angle), jnp.sin(mass.angle)
    u, v = q * (x * cos + y * sin), y * cos - x * sin
    radius = jnp.sqrt(u**2 + v**2) + 1e-6
    u, v = u / radius, v / radius
    ratio = -(1 - q) / (1 + q)
    double = ratio * (u**2 - v**2), 2 * ratio * u * v
    term, series = (u, v), (u, v)
    for n in range(1, TERMS):
        weight = (2 * n - 2 + t) / (2 * n + 2 - t)
        a, b = term
        term = (
            weight * (a * double[0] - b * double[1]),
            weight * (a * double[1] + b * double[0]),
        )
        series = series[0] + term[0], series[1] + term[1]
    scale = mass.einstein_radius * jnp.sqrt(q)
    factor = 2 * scale / (1 + q) * (scale / radius) ** (t - 1)
    bent_u, bent_v = factor * series[0], factor * series[1]
    g1, g2 = (mass.shear * f(2 * mass.shear_angle) for f in (jnp.cos, jnp.sin))
    behind_x = x - (bent_u * cos - bent_v * sin) - g1 * x - g2 * y
    behind_y = y - (bent_u * sin + bent_v * cos) - g2 * x + g1 * y
    return behind_x, behind_y


def brightness(blob, x, y):
    """Surface brightness of a Sersic law (Graham & Driver 2005, PASA 22, 118, equation 4).

    The constant b is that of Ciotti & Bertin (1999, A&A 352, 447).
    """
    n = blob.index
    b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)
    logarithm = jnp.log(2 * np.pi * n * blob.re**2) + b - 2 * n * jnp.log(b) + gammaln(2 * n)
    cos, sin = jnp.cos(blob.angle), jnp.sin(blob.angle)
    along = ((x - blob.x) * cos + (y - blob.y) * sin) * jnp.sqrt(blob.axis_ratio)
    across = ((y - blob.y) * cos - (x - blob.x) * sin) / jnp.sqrt(blob.axis_ratio)
    squared = (along**2 + across**2) / blob.re**2
    power = jnp.exp(jnp.log(squared + 1e-12) * (0.5 / n))
    return blob.flux * jnp.exp(b - b * power - logarithm)
