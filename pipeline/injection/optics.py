"""How a tile sees: its PSF, its pixels and its photons, for light that is painted onto it."""

from functools import lru_cache
from typing import NamedTuple

import galsim
import numpy as np

from pipeline.detection.psf import Moffat
from pipeline.simulate.render import Renderer


class Optics(NamedTuple):
    """How a tile sees.

    Attributes
    ----------
    fwhm : float
        Of the PSF before the pixels smear it [pixel].
    beta : float
        Slope of its wings (`pipeline.detection.psf.Moffat`).
    pixel_scale : float
        In arcsec; NaN if unknown.
    gain : tuple of float
        Electrons per unit of flux, one a band; 0 where unknown.
    correlation : float
        How many times noisier the sky is in a filter like the PSF than independent pixels
        (`pipeline.detection.matched.noise_correlation`).
    """

    fwhm: float
    beta: float
    pixel_scale: float
    gain: tuple[float, ...]
    correlation: float = 1.0

    @classmethod
    def of(cls, exposure, sources):
        """Make those of an exposure and of the sources found in it."""
        psf = (float(sources.meta.get(name, np.nan)) for name in ("PSFFWHM", "PSFBETA"))
        correlation = float(sources.meta.get("NOISECOR", 1.0))
        return cls(*psf, exposure.pixel_scale, exposure.gain, correlation)

    @property
    def psf(self):
        """The PSF as detection knows it; None if there is none."""
        return Moffat(self.fwhm, self.beta) if self.fwhm > 0 else None

    def renderer(self, side, binning=1):
        """Give what draws images of `side` pixels, each of `binning` x `binning` of the tile's."""
        return _renderer(self.fwhm / binning, self.beta, side)

    def observed(self, light, ivar, rng):
        """Observe light (y, x), the same in all bands, with the noise of its photons.

        Parameters
        ----------
        light : ndarray, (y, x)
        ivar : ndarray, (y, x, band)
            Where it is 0 nothing is seen.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, (y, x, band), float32
        """
        seen = np.repeat(light[..., None], len(self.gain), axis=-1)
        for band, electrons in enumerate(self.gain):
            if electrons > 0:
                photons = np.clip(light, 0, None) * electrons
                seen[..., band] = rng.poisson(photons) / electrons
        return np.where(ivar > 0, seen, 0).astype("f4")


@lru_cache(maxsize=8)
def _renderer(fwhm, beta, side):
    return Renderer(galsim.Moffat(beta=beta, fwhm=fwhm), side)
