"""How a sky was observed: PSF, depth, noise and defects, drawn to cover every imaging survey.

Inside a scene one unit of flux is the sky's standard deviation in a pixel.
"""

import functools
from typing import NamedTuple

import galsim
import numpy as np
from scipy.ndimage import gaussian_filter

from pipeline.psf import TRAINED_FWHM
from pipeline.simulate.galaxies import LOOSE

SHARPEST = 0.5  # FWHM of a PSF in blocks of pixels [block]
MOFFAT_BETAS = 2.5, 3.0, 3.5, 4.0, 5.0  # on a grid, for GalSim caches their transforms


class Conditions(NamedTuple):
    """One observation.

    Attributes
    ----------
    psf : galsim.GSObject
        Of unit flux, in pixels.
    fwhm : float
        Full width at half maximum of the PSF [pixel].
    gain : float
        Electrons per unit of flux.
    correlation : float
        Width of the Gaussian that correlates the noise [pixel]; 0 for white noise.
    binning : int
        Pixels of the detector along each side of one of these.
    """

    psf: galsim.GSObject
    fwhm: float
    gain: float
    correlation: float
    binning: int = 1


def draw_conditions(rng, fwhm=None, binning=1):
    """Draw an observation; PSF widths are log-uniform over `TRAINED_FWHM` [pixel] unless given.

    With `binning`, a pixel is a block of so many along each side, and the PSF is as much narrower,
    but not below `SHARPEST`.
    """
    fwhm = np.exp(rng.uniform(*np.log(TRAINED_FWHM))) if fwhm is None else fwhm
    fwhm = max(fwhm / binning, SHARPEST)
    psf = _moffat(float(rng.choice(MOFFAT_BETAS))).dilate(fwhm)
    ellipticity, angle = rng.rayleigh(0.03), rng.uniform(0, np.pi) * galsim.radians
    psf = psf.shear(g=min(ellipticity, 0.2), beta=angle)
    return Conditions(
        psf=psf,
        fwhm=float(fwhm),
        gain=10 ** rng.uniform(0, 3),
        correlation=rng.choice([0.0, rng.uniform(0.3, 0.9) / binning]),
        binning=binning,
    )


@functools.cache
def _moffat(beta):
    return galsim.Moffat(beta=beta, fwhm=1.0, gsparams=LOOSE)


def observe(light, conditions, rng):
    """Observe noiseless `light` (y, x): noise, sky residuals and pixels without information.

    Returns
    -------
    flux, ivar : ndarray, (y, x), float32
        As an exposure would hold them; ``ivar`` is 0 on lost pixels.
    """
    shape = light.shape
    depth = _uneven_depth(shape, rng)
    sky = _correlated_noise(shape, conditions.correlation, rng) * depth
    photons = rng.standard_normal(shape) * np.sqrt(np.clip(light, 0, None) / conditions.gain)
    flux = light + sky + photons + _sky_residual(shape, rng)
    variance = depth**2
    if rng.random() < 0.3:  # some surveys' weights know the sources' own noise
        variance = variance + np.clip(light, 0, None) / conditions.gain
    ivar = 1 / (variance * np.exp(rng.normal(0, 0.05)))
    lost = _lost_pixels(shape, rng)
    return np.where(lost, 0, flux).astype("f4"), np.where(lost, 0, ivar).astype("f4")


def _uneven_depth(shape, rng):
    """Noise of each pixel about 1: mostly flat, at times with a gradient or a step."""
    depth = np.ones(shape)
    if rng.random() < 0.2:
        ramp = np.linspace(-1, 1, shape[1]) * rng.uniform(-0.2, 0.2)
        depth *= np.exp(ramp)
    if rng.random() < 0.05:
        depth[: rng.integers(shape[0])] *= rng.uniform(0.6, 1.6)
    return depth


def _correlated_noise(shape, width, rng):
    noise = rng.standard_normal(shape)
    if width == 0:
        return noise
    noise = gaussian_filter(noise, width, mode="wrap")
    return noise / noise.std()


def _sky_residual(shape, rng):
    """What a fitted sky leaves: an offset and a slope, a tenth of the noise."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    offset, slope_x, slope_y = rng.normal(0, [0.1, 0.05, 0.05])
    return offset + slope_x * x + slope_y * y


def _lost_pixels(shape, rng):
    """Image edges, bleeding columns, cosmic rays and dead pixels, in a fifth of the scenes."""
    lost = np.zeros(shape, bool)
    kind = rng.choice(
        ["none", "edge", "column", "trail", "pixels", "star"],
        p=[0.78, 0.06, 0.05, 0.03, 0.05, 0.03],
    )
    if kind == "edge":
        lost[:, : rng.integers(1, shape[1] // 2)] = True
    elif kind == "column":
        start = rng.integers(shape[1])
        lost[: rng.integers(shape[0]), start : start + rng.integers(1, 6)] = True
    elif kind == "trail":
        y, x = np.mgrid[: shape[0], : shape[1]]
        angle, where = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5) * max(shape)
        along = (x - shape[1] / 2) * np.sin(angle) - (y - shape[0] / 2) * np.cos(angle)
        lost |= np.abs(along - where) < rng.uniform(0.5, 4)
    elif kind == "star":
        y, x = np.mgrid[: shape[0], : shape[1]]
        lost |= np.hypot(x - rng.integers(shape[1]), y - rng.integers(shape[0])) < rng.uniform(
            2, 15
        )
    elif kind == "pixels":
        lost |= rng.random(shape) < 10 ** rng.uniform(-3.5, -2)
    return np.rot90(lost, rng.integers(4)) if shape[0] == shape[1] else lost
