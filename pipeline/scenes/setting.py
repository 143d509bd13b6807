"""Where a lens scene plays: a massive galaxy, its brightness, the telescope that looks at it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.detection.psf import effective_pixels
from pipeline.scenes.conditions import Conditions, draw_conditions
from pipeline.scenes.lensing import Body
from pipeline.scenes.optics import N_PROFILES
from pipeline.simulate.population import BROAD, SIZE_SCATTER, candidates
from pipeline.stamps.cutouts import NARROWEST_PSF

SPACE = (0.1, 0.13), (0.07, 0.2)  # ranges of the pixel scale and of the PSF's width [arcsec]
GROUND = (0.15, 0.34), (0.5, 1.1)
FROM_SPACE = 0.4  # of the scenes
PSF_RANGE = NARROWEST_PSF, 5.0  # pixel
PROFILES = 0, N_PROFILES  # of PSFs: every one
RESOLVED = 0.75  # least Einstein radius, in widths of the PSF
TRIES = 32  # deflectors and telescopes drawn, the first that suits being taken
LARGEST_RE = 25.0  # [pixel]
ERRORS = {0.7: 0.9, 2.5: 0.1}  # of the detection's position [pixel], and share
FARTHEST = 4.0  # of the galaxy from the middle [pixel]


class Setting(NamedTuple):
    """What a scene has whether or not it is a lens.

    Attributes
    ----------
    conditions : Conditions
    pixel_scale : float
        In arcsec.
    body : Body
        The deflector's, or the impostor's, shape [pixel], about the middle of the canvas.
    theta_e : float
        Einstein radius that the body would have [pixel].
    snr, flux : float
        Of everything at the centre; flux in units of the sky's noise in a pixel.
    """

    conditions: Conditions
    pixel_scale: jax.Array
    body: Body
    theta_e: jax.Array
    snr: jax.Array
    flux: jax.Array


def draw_setting(middle, dice):
    """Draw a deflector, a telescope that resolves it, and how bright it is.

    Deflectors are of `pipeline.simulate.population.draw_deflector`'s population.

    Parameters
    ----------
    middle : float
        Of the canvas [pixel].
    dice : Dice
    """
    einstein_radius, re, scale, seeing = _resolved(dice)
    conditions = draw_conditions(dice, PROFILES, seeing / scale)
    error = dice.choice(list(ERRORS), list(ERRORS.values()))
    x, y = middle + jnp.clip(dice.normal(0, error, (2,)), -FARTHEST, FARTHEST)
    re = jnp.clip(re * 10 ** dice.normal(0, SIZE_SCATTER) / scale, 0.8, LARGEST_RE)
    axis_ratio = jnp.clip(dice.normal(0.78, 0.14), 0.35, 1.0)
    body = Body(re, axis_ratio, dice.uniform(0, np.pi), x, y)
    snr = 10 ** (1.2 + 2.9 * dice.hump(1.3, 1.1))
    flux = snr * jnp.sqrt(effective_pixels(re, conditions.psf.fwhm))
    return Setting(conditions, scale, body, einstein_radius / scale, snr, flux)


def _resolved(dice):
    """Einstein radius, size, pixel scale and seeing [arcsec] of the first try that suits."""
    table, natural, broad = _population()
    place = dice.uniform(shape=(TRIES,))
    row = jnp.where(
        dice.chance(BROAD), jnp.searchsorted(broad, place), jnp.searchsorted(natural, place)
    )
    einstein_radius, re = jnp.asarray(table)[jnp.minimum(row, len(table) - 1)].T
    from_space, n = dice.chance(FROM_SPACE, (TRIES,)), (TRIES,)
    scale, seeing = (
        jnp.where(from_space, dice.log_uniform(*space, n), dice.log_uniform(*ground, n))
        for space, ground in zip(SPACE, GROUND, strict=True)
    )
    pixels = seeing / scale
    suits = (
        (seeing * RESOLVED < einstein_radius) & (pixels > PSF_RANGE[0]) & (pixels < PSF_RANGE[1])
    )
    first = jnp.argmax(suits)
    return einstein_radius[first], re[first], scale[first], seeing[first]


@functools.cache
def _population():
    table, natural, broad = candidates()
    return tuple(np.asarray(v, "f4") for v in (table[:, :2], natural, broad))
