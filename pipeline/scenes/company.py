"""What is about the galaxy in the middle of a lens scene: satellites, the field, a lane of dust."""

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.detection.psf import effective_pixels
from pipeline.scenes.dice import Dice
from pipeline.scenes.galaxies import draw_galaxy, placed_parts
from pipeline.scenes.light import Parts

SATELLITES, FIELD = 3, 4  # at most
MEAN_SATELLITES, MEAN_FIELD = 0.5, 2.0
STARS = 0.2  # of the field
BRIGHT = 0.08


def draw_company(setting, side, dice):
    """Draw satellites and the field, the same about lenses and non-lenses; Parts [sky noise].

    No field source lies within 1.2 Einstein radii.
    """
    body, fwhm = setting.body, setting.conditions.psf.fwhm
    n_satellites = dice.poisson(MEAN_SATELLITES, SATELLITES)
    n_field, clear = dice.poisson(MEAN_FIELD, FIELD), 1.2 * setting.theta_e

    def satellite(key, i):
        own = Dice(key)
        out, around = body.re * own.uniform(1.0, 7.0), own.angle()
        re = jnp.clip(body.re * 10 ** own.normal(-0.4, 0.2), 0.2, 12.0)
        flux = setting.flux * 10 ** own.uniform(-2.3, -0.4) * (i < n_satellites)
        at = body.x + out * jnp.cos(around), body.y + out * jnp.sin(around)
        return placed_parts(draw_galaxy(re, own).parts, flux, *at)

    def stranger(key, i):
        own = Dice(key)
        x, y = own.uniform(0.0, side, (2,))
        re = jnp.clip(clear * 10 ** own.normal(-0.3, 0.3), 0.3, 12.0)
        re = jnp.where(own.chance(STARS), 0.0, re)
        decade = jnp.where(own.chance(BRIGHT), own.uniform(2.2, 3.5), own.uniform(0.5, 2.2))
        there = (i < n_field) & (jnp.hypot(x - body.x, y - body.y) > clear)
        flux = there * jnp.sqrt(effective_pixels(re, fwhm)) * 10**decade
        return placed_parts(draw_galaxy(re, own).parts, flux, x, y)

    near = jax.vmap(satellite)(dice.keys(SATELLITES), jnp.arange(SATELLITES))
    far = jax.vmap(stranger)(dice.keys(FIELD), jnp.arange(FIELD))
    columns = zip(near, far, strict=True)
    return Parts(*(jnp.concatenate([a.ravel(), b.ravel()]) for a, b in columns))


def darken(light, body, depth, dice):
    """Darken a lane of dust across a galaxy or its centre (y, x), by `depth` of its light."""
    row, column = np.mgrid[: light.shape[0], : light.shape[1]].astype("f4")
    angle = body.angle + dice.normal(0, 0.3)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    across = (row - body.y) * cos - (column - body.x) * sin
    along = (column - body.x) * cos + (row - body.y) * sin
    size = jnp.maximum(body.re, 0.1) * dice.log_uniform(0.1, 1.0)
    width = size * dice.uniform(0.1, 0.3) + 0.5
    across = (across - dice.normal(0, 0.15) * size) / width
    reach = 1.5 * size
    lane = jnp.exp(-0.5 * across**2 - 0.5 * (along / reach) ** 2)
    return light * (1 - depth * lane)
