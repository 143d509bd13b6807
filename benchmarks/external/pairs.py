"""Make pairs of overlapping galaxies after the rule of Boucaud et al. (2020), with their truth.

The galaxies are GalSim's parametric fits to COSMOS galaxies (Mandelbaum et al. 2012), which no
training scene contains.
"""

from typing import NamedTuple

import galsim
import numpy as np

ZERO_POINT = 25.96  # AB magnitude of 1 count
SKY_PER_ARCSEC = 0.1  # sky's standard deviation in a pixel, over the pixel's side [count]
MASK_ABOVE = 1.5  # of a truth mask, in the sky's standard deviations
SIZE = 128
BRIGHTEST, FAINTEST = 19.0, 22.51  # of the galaxies that are paired
LARGEST = 20.0  # half-light radius [pixel]
DETECTOR = 0.03  # pixel of the images that the radii were measured on [arcsec]
CATALOG = "real_galaxy_catalog_23.5_example.fits"


class Look(NamedTuple):
    """How the pairs are seen: side of a pixel and PSF's full width at half maximum [arcsec]."""

    pixel_scale: float
    psf_fwhm: float


class Pairs(NamedTuple):
    """Pairs, and the truth about them.

    Attributes
    ----------
    image : ndarray, (n, y, x), float32
        Two galaxies and the sky's noise [count].
    light : ndarray, (n, 2, y, x), float32
        Each galaxy alone, without noise.
    flux, re, mag : ndarray, (n, 2)
        Total flux [count], half-light radius [pixel] and magnitude of each galaxy.
    position : ndarray, (n, 2, 2)
        ``(x, y)`` of each galaxy; the first is in the middle.
    sky : float
        Standard deviation of a pixel's noise [count].
    fwhm : float
        Full width at half maximum of the PSF [pixel].
    pixel_scale : float
        [arcsec].
    galaxy : ndarray, (n, 2), int
        Number of each in the catalog, which has it in several pairs.
    """

    image: np.ndarray
    light: np.ndarray
    flux: np.ndarray
    re: np.ndarray
    mag: np.ndarray
    position: np.ndarray
    sky: float
    fwhm: float
    pixel_scale: float
    galaxy: np.ndarray

    @property
    def mask(self):
        """Where each galaxy's light is above the noise; (n, 2, y, x), bool."""
        return self.light > MASK_ABOVE * self.sky

    @property
    def separation(self):
        """Distance of the two; (n,) [pixel]."""
        return np.hypot(*(self.position[:, 1] - self.position[:, 0]).T)

    @property
    def snr(self):
        """Signal to noise of each galaxy, were it alone and weighted at its best; (n, 2)."""
        return np.sqrt((self.light.astype("f8") ** 2).sum((2, 3))) / self.sky


def draw_pairs(n, look, folder):
    """Draw pairs whose magnitudes differ by less than 2 and whose light overlaps.

    The separation is uniform from the larger half-light radius to four times the smaller.

    Parameters
    ----------
    n : int
    look : Look
    folder : Path
        Of GalSim's catalog.

    Returns
    -------
    Pairs
    """
    rng = np.random.default_rng(7)
    cosmos = galsim.COSMOSCatalog(CATALOG, dir=str(folder), use_real=False, exclusion_level="none")
    mag = np.asarray(cosmos.param_cat["mag_auto"], "f8")
    re = np.asarray(cosmos.param_cat["flux_radius"], "f8") * DETECTOR / look.pixel_scale
    usable = np.flatnonzero((mag > BRIGHTEST) & (mag < FAINTEST) & (re < LARGEST))
    chosen, offset = [], []
    while len(chosen) < n:
        pair = rng.choice(usable, 2, replace=False)
        if abs(np.diff(mag[pair])[0]) < 2:
            chosen.append(pair)
            offset.append(_offset(re[pair], rng))
    chosen, offset = np.array(chosen), np.array(offset)
    flux = 10 ** (-0.4 * (mag[chosen] - ZERO_POINT))
    light = _light(cosmos, chosen, flux, offset, (look, rng))
    sky = SKY_PER_ARCSEC * look.pixel_scale
    image = light.sum(1) + rng.normal(0, sky, light[:, 0].shape)
    position = (SIZE - 1) / 2 + np.stack([np.zeros_like(offset), offset], axis=1)
    fwhm = look.psf_fwhm / look.pixel_scale
    truth = flux, re[chosen], mag[chosen], position, sky, fwhm
    return Pairs(image.astype("f4"), light, *truth, look.pixel_scale, chosen)


def _offset(re, rng):
    """Where the second galaxy is, seen from the first; (x, y) [pixel]."""
    far = min(4 * re.min(), SIZE / 2 - 8)
    near = min(re.max(), 0.8 * far)
    r, phi = rng.uniform(near, far), rng.uniform(0, 2 * np.pi)
    return r * np.cos(phi), r * np.sin(phi)


def _light(cosmos, chosen, flux, offset, seen):
    """Noiseless images of the galaxies, each turned at random; (n, 2, y, x), float32."""
    look, rng = seen
    psf = galsim.Moffat(beta=3, fwhm=look.psf_fwhm)
    profiles = {int(i): cosmos.makeGalaxy(int(i), gal_type="parametric") for i in np.unique(chosen)}
    light = np.empty((*chosen.shape, SIZE, SIZE), "f4")
    for k, g in np.ndindex(chosen.shape):
        galaxy = profiles[int(chosen[k, g])].rotate(rng.uniform(0, 360) * galsim.degrees)
        seen = galsim.Convolve(psf, galaxy.withFlux(flux[k, g]))
        at = tuple(offset[k]) if g else (0.0, 0.0)
        light[k, g] = seen.drawImage(nx=SIZE, ny=SIZE, scale=look.pixel_scale, offset=at).array
    return light
