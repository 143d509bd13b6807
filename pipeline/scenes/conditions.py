"""How a sky was observed: PSF, depth, noise and defects, drawn to cover every imaging survey."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.detection.psf import TRAINED_FWHM
from pipeline.models.stamps import SHARPEST
from pipeline.scenes.optics import Psf

LOST = {"none": 0.78, "edge": 0.06, "column": 0.05, "trail": 0.03, "pixels": 0.05, "star": 0.03}


class Conditions(NamedTuple):
    """One observation.

    Attributes
    ----------
    psf : Psf
        In pixels.
    gain : float
        Electrons per unit of flux.
    correlation : float
        Width of the Gaussian that correlates the noise [pixel]; 0 for white noise.
    binning : int
        Pixels of the detector along each side of one of these.
    """

    psf: Psf
    gain: jax.Array
    correlation: jax.Array
    binning: jax.Array | int = 1


def draw_conditions(dice, profiles, fwhm=None, binning=1):
    """Draw an observation; PSF widths are log-uniform over `TRAINED_FWHM` [pixel] unless given.

    PSFs are of some rows of `pipeline.scenes.optics.psf_table`, from the first of `profiles` to
    before the last.  With `binning`, a pixel is a block of so many along each side, and the PSF is
    as much narrower, but not below `SHARPEST`.
    """
    fwhm = dice.log_uniform(*TRAINED_FWHM) if fwhm is None else fwhm
    ellipticity = jnp.minimum(dice.rayleigh(0.03), 0.2)
    psf = Psf(
        fwhm=jnp.maximum(fwhm / binning, SHARPEST),
        profile=dice.integers(*profiles),
        axis_ratio=(1 - ellipticity) / (1 + ellipticity),
        angle=dice.uniform(0, np.pi),
    )
    correlation = jnp.where(dice.chance(0.5), 0.0, dice.uniform(0.3, 0.9) / binning)
    return Conditions(psf, 10 ** dice.uniform(0, 3), correlation, binning)


def observe(light, conditions, dice):
    """Observe noiseless `light` (y, x): noise, sky residuals and pixels without information.

    Returns
    -------
    flux, ivar : array, (y, x), float32
        As an exposure would hold them; ``ivar`` is 0 on lost pixels.
    """
    depth = _uneven_depth(light.shape, dice)
    sky = _correlated_noise(light.shape, conditions.correlation, dice) * depth
    photons = jnp.maximum(light, 0) / conditions.gain
    noise = dice.normal(shape=light.shape) * jnp.sqrt(photons)
    flux = light + sky + noise + _sky_residual(light.shape, dice)
    known = jnp.where(dice.chance(0.3), photons, 0.0)  # some weights know the sources' own noise
    ivar = 1 / ((depth**2 + known) * jnp.exp(dice.normal(0, 0.05)))
    lost = _lost_pixels(light.shape, dice)
    return jnp.where(lost, 0, flux), jnp.where(lost, 0, ivar)


def _uneven_depth(shape, dice):
    """Noise of each pixel about 1: mostly flat, at times with a gradient or a step."""
    ramp = np.linspace(-1, 1, shape[1], dtype="f4")
    slope = jnp.where(dice.chance(0.2), dice.uniform(-0.2, 0.2), 0.0)
    below = np.arange(shape[0])[:, None] < dice.integers(0, shape[0])
    step = jnp.where(dice.chance(0.05), dice.uniform(0.6, 1.6), 1.0)
    return jnp.exp(slope * ramp) * jnp.where(below, step, 1.0)


def _correlated_noise(shape, width, dice):
    """Gaussian noise of unit variance, smoothed by a Gaussian of this width [pixel]."""
    ky, kx = (
        2 * np.pi * f(n) for f, n in zip((np.fft.fftfreq, np.fft.rfftfreq), shape, strict=True)
    )
    squared = (ky[:, None] ** 2 + kx**2).astype("f4")
    weight = jnp.exp(-squared * width**2 / 2)
    twice = np.where((np.arange(len(kx)) % (shape[1] // 2)) == 0, 1, 2)
    power = (weight**2 * twice).sum() / np.prod(shape)
    smooth = jnp.fft.irfft2(jnp.fft.rfft2(dice.normal(shape=shape)) * weight, s=shape)
    return smooth / jnp.sqrt(power)


def _sky_residual(shape, dice):
    """What a fitted sky leaves: an offset and a slope, a tenth of the noise."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype("f4")
    offset, slope_x, slope_y = dice.normal(0, np.array([0.1, 0.05, 0.05]), (3,))
    return offset + slope_x * x + slope_y * y


def _lost_pixels(shape, dice):
    """Image edges, bleeding columns, cosmic rays and dead pixels, in a fifth of the scenes."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype("f4")
    kind = dice.choice(np.arange(len(LOST)), list(LOST.values()))
    u, v = jnp.where(dice.chance(0.5), jnp.stack([x, y]), jnp.stack([y, x]))
    u = jnp.where(dice.chance(0.5), u, shape[0] - 1 - u)
    edge = u < dice.integers(1, shape[1] // 2)
    start = dice.integers(0, shape[1])
    column = (v < dice.integers(0, shape[0])) & (u >= start)
    column &= u < start + dice.integers(1, 6)
    angle, where = dice.uniform(0, np.pi), dice.uniform(-0.5, 0.5) * max(shape)
    along = (x - shape[1] / 2) * jnp.sin(angle) - (y - shape[0] / 2) * jnp.cos(angle)
    trail = jnp.abs(along - where) < dice.uniform(0.5, 4.0)
    pixels = dice.uniform(shape=shape) < 10 ** dice.uniform(-3.5, -2.0)
    x0, y0 = dice.uniform(0.0, shape[1], (2,))
    star = jnp.hypot(x - x0, y - y0) < dice.uniform(2.0, 15.0)
    every = jnp.stack([jnp.zeros(shape, bool), edge, column, trail, pixels, star])
    return every[kind]
