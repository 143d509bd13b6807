"""Galaxies of many kinds, for JAX: a clumpy disc, a bulge and a disc, or one Sersic law."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from pipeline.scenes.light import Parts, Points, join

KNOTS = 24  # points of a galaxy, at most
THICKNESS = 0.2  # of a disc seen from its edge
FEW = 12  # knots that lie anywhere; more lie along arms
RESOLVED = 2.0  # half-light radius of a disc whose knots can be told apart, at least [pixel]


class Galaxy(NamedTuple):
    """Light of unit flux before the PSF, about the origin: two Sersic laws, and `KNOTS` points."""

    parts: Parts
    points: Points


def draw_galaxy(re, dice):
    """Draw a galaxy.

    Discs have the intrinsic thickness of Unterborn & Ryden (2008, ApJ 687, 976) and random
    inclinations; bulges hold a tenth to four fifths of the light, half of them as de Vaucouleurs'
    law; knots hold up to a third of a disc's light, as in the clumpy discs of Guo et al. (2015,
    ApJ 800, 39).  The Sersic indices of galaxies of one law span what van der Wel et al. (2012,
    ApJS 203, 24) fit.

    Parameters
    ----------
    re : float
        Half-light radius of the whole, as of the circle of the same area [pixel]; 0 for a star.
    dice : Dice

    Returns
    -------
    Galaxy
    """
    kind, angle = dice.uniform(), dice.uniform(0, np.pi)
    has_bulge, is_single = (kind >= 0.45) & (kind < 0.8), kind >= 0.8
    share = jnp.where(has_bulge, dice.uniform(0.1, 0.8), 0.0)
    disc_re = re * jnp.where(has_bulge, dice.uniform(0.9, 1.6), 1.0)
    disc = draw_disc(disc_re, disc_axis_ratio(dice), angle, dice)
    bulge = {
        "re": re * dice.uniform(0.15, 0.7),
        "index": jnp.where(dice.chance(0.5), 4.0, dice.log_uniform(1.0, 6.0)),
        "axis_ratio": dice.uniform(0.6, 1.0),
    }
    flat = jnp.clip(dice.normal(0.7, 0.2), 0.15, 1.0)
    single = Parts(
        *(1.0, re, dice.log_uniform(0.5, 6.2), flat, angle, 0.0, 0.0),
    )
    bulge = Parts(share, bulge["re"], bulge["index"], bulge["axis_ratio"], angle, 0.0, 0.0)
    nothing = bulge._replace(flux=0.0)
    main = Parts(*(v[0] for v in disc.parts))
    main = main._replace(flux=main.flux * (1 - share))
    first = Parts(*(jnp.where(is_single, a, b) for a, b in zip(single, main, strict=True)))
    second = Parts(*(jnp.where(has_bulge, a, b) for a, b in zip(bulge, nothing, strict=True)))
    light = disc.points.flux * jnp.where(is_single, 0.0, 1 - share)
    return Galaxy(join(first, second), disc.points._replace(flux=light))


def draw_disc(re, axis_ratio, angle, dice):
    """Draw an exponential disc of half-light radius `re` [pixel], with knots if it is large."""
    share = jnp.where(re > RESOLVED, dice.uniform(-0.1, 0.35), 0.0)
    share = jnp.where(share < 0.02, 0.0, share)
    n = jnp.where(dice.chance(0.6), dice.integers(2, FEW + 1), dice.integers(FEW + 1, KNOTS + 1))
    radius, present = dice.disc_radius((KNOTS,)), jnp.arange(KNOTS) < n
    around = jnp.where(n > FEW, _along_arms(radius, dice), dice.angle((KNOTS,)))
    u, v = (
        re * radius * jnp.cos(around) / jnp.sqrt(axis_ratio),
        re * radius * jnp.sin(around) * jnp.sqrt(axis_ratio),
    )
    x, y = u * jnp.cos(angle) - v * jnp.sin(angle), u * jnp.sin(angle) + v * jnp.cos(angle)
    smooth = Parts(1 - share, re, 1.0, axis_ratio, angle, 0.0, 0.0)
    points = Points(share * dice.shares(KNOTS, present), x, y)
    return Galaxy(join(smooth, smooth._replace(flux=0.0)), points)


def draw_early_type(re, axis_ratio, angle, dice):
    """Draw an early type: Sersic index 2.2 to 6, in half of the cases with a disc.

    Discs are as flat as the whole or flatter, and as often within it as about it: isophotes are
    then pointed, and most early types' are (Emsellem et al. 2011, MNRAS 414, 888: 86 % rotate fast
    and hold discs; the exact shares are our choice).

    Parameters
    ----------
    re : float
        Half-light radius [pixel], as of the circle of the same area.
    axis_ratio : float
    angle : float
        Position angle of the major axis, counter-clockwise from +x [rad].
    dice : Dice

    Returns
    -------
    Parts
        Two, of unit flux together.
    """
    share = jnp.where(dice.chance(0.5), dice.log_uniform(0.02, 0.4), 0.0)
    main = Parts(1 - share, re, dice.log_uniform(2.2, 6.0), axis_ratio, angle, 0.0, 0.0)
    flat = jnp.maximum(axis_ratio * dice.uniform(0.4, 1.0), THICKNESS)
    disc = Parts(share, re * dice.log_uniform(0.3, 2.5), 1.0, flat, angle, 0.0, 0.0)
    return join(main, disc)


def placed(galaxy, flux, x, y):
    """Give a galaxy its flux and its place [pixel]."""
    points = galaxy.points
    seen = Points(flux * points.flux, points.x + x, points.y + y)
    return Galaxy(placed_parts(galaxy.parts, flux, x, y), seen)


def placed_parts(parts, flux, x, y):
    """Give Sersic laws of unit flux their flux and their place [pixel]."""
    return parts._replace(flux=flux * parts.flux, x=parts.x + x, y=parts.y + y)


def disc_axis_ratio(dice):
    """Axis ratio of a disc of `THICKNESS` seen from a random side."""
    return jnp.sqrt(dice.uniform() ** 2 * (1 - THICKNESS**2) + THICKNESS**2)


def _along_arms(radius, dice):
    """Azimuths of knots at `radius` [half-light radii] on two to four logarithmic arms [rad]."""
    n = radius.shape[0]
    arms, pitch = dice.integers(2, 5), jnp.radians(dice.uniform(10.0, 35.0))
    winding = jnp.log(jnp.maximum(radius, 0.1)) / jnp.tan(pitch) * dice.sign()
    own_arm = 2 * np.pi / arms * dice.integers(0, arms, (n,))
    return winding + own_arm + dice.normal(0, 0.25, (n,))
