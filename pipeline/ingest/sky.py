"""Sky and its noise on a mesh that ignores sources."""

import numpy as np
import sep
from astropy.stats import mad_std, sigma_clipped_stats
from scipy import ndimage
from scipy.stats import norm

from pipeline.ingest.trend import Trend
from pipeline.pixels.blocks import in_blocks

COARSE = 4  # pixels of a block in which sources are looked for
CLIPPED = 0.98455  # sigma of a unit Gaussian clipped again and again at 3 of its own sigma
SCALES = 1, 3, 9  # blocks over which light is averaged to find ever fainter wings
LEAST_SHARE = 0.2  # of such a mean that must not be ignored
N_SIGMA = 3.0
SMALLEST = 16  # side of an image in which sources are looked for [pixel]
FEWEST = 64  # pixels that make a sky
WAVES = 64  # pixels along the blocks in which a sky that waves is looked for
FEWEST_BLOCKS = 9
SMALL = 16  # pixels along the blocks in which noise is looked at that a mesh cannot follow
ROUGHER = 0.4  # more than the mesh says, at least, that such blocks are,
CLEARLY = 5.0  # standard errors of that, at least,
TOGETHER = 4  # and how many of them lie side by side, at least
SAMPLE = 200_000  # pixels that tell a level and an rms well enough


class Sky:
    """Sky level and noise of an image.

    Attributes
    ----------
    level, rms : float
        Typical sky and noise of a pixel, in the image's unit.
    """

    def __init__(self, flux, mask, mesh, trend=None):
        self._mask = mask = np.ascontiguousarray(mask)
        self._mesh = sep.Background(flux, mask=mask, bw=mesh, bh=mesh)
        self._shape, self._trend = flux.shape, trend
        self._left, rms = self._mesh.globalback, self._mesh.globalrms
        if (self._left, rms) == (0.0, 1.0):  # what sep says when no cell is half unmasked
            self._mesh = None
            self._left, rms = _constant(flux[~mask])
        self.level = self._left + (trend.level if trend else 0.0)
        self.rms = rms / CLIPPED

    def subtract_from(self, flux):
        """Subtract the sky in place."""
        if self._trend:
            self._trend.subtract_from(flux)
        if self._mesh is None:
            flux -= self._left
        else:
            self._mesh.subfrom(flux)

    def taken_from(self, flux):
        """Copy of an image (y, x) without the sky."""
        flat = flux.copy()
        self.subtract_from(flat)
        return flat

    def mean_of(self, flux):
        """Mean of an image (y, x) between the sources."""
        return np.float32(flux[~self._mask].mean(dtype="f8"))

    def waves(self, flux):
        """Scatter of the means of what is left of the sky in blocks, in units of a pixel's noise.

        `flux` is without its sky.  Twice the scatter that its noise has there, correlated or not,
        is taken off; neighbouring blocks of half the side tell that.
        """
        means, halves = (self._means(flux, side) for side in (WAVES, WAVES // 2))
        if np.isfinite(means).sum() < FEWEST_BLOCKS or not self.rms > 0:
            return 0.0
        steps = np.concatenate([np.diff(halves, axis=axis).ravel() for axis in (0, 1)])
        noise = mad_std(steps, ignore_nan=True) / np.sqrt(2) / 2
        scatter = mad_std(means, ignore_nan=True)
        return float(np.sqrt(max(scatter**2 - (2 * noise) ** 2, 0))) / self.rms

    def _means(self, flux, side):
        """Means of the sky in blocks (y, x), NaN where sources leave too little of it."""
        used = ~in_blocks(self._mask, side)
        count = used.sum(axis=(1, 3))
        total = np.where(used, in_blocks(flux, side), 0).sum(axis=(1, 3), dtype="f8")
        return np.where(count > side**2 / 4, total / np.maximum(count, 1), np.nan)

    def ivar(self, flux=None):
        """Inverse variance (y, x) of the noise between sources, float32.

        Of `flux`, which is without its sky, that of small blocks that are rougher than the mesh
        says: strips of fewer exposures, as mosaics have along their edges.
        """
        ivar = self._of_mesh()
        if flux is not None:
            blocks = in_blocks(ivar, SMALL)
            blocks /= self._rougher(flux, ivar)[:, None, :, None] ** 2
        return ivar

    def _rougher(self, flux, ivar):
        """How much rougher small blocks are than said, 1 where not clearly; (row, column).

        The share of their pixels that lie beyond one sigma tells it, of a Gaussian.
        """
        used = ~self._mask
        count = np.maximum(in_blocks(used, SMALL).sum(axis=(1, 3)), 1)
        beyond = in_blocks(used & (flux**2 * ivar > 1), SMALL).sum(axis=(1, 3)) / count
        rougher = 1 / norm.isf(np.clip(beyond, 0.01, 0.9) / 2)
        label, n = ndimage.label(rougher > 1 + np.maximum(ROUGHER, CLEARLY / np.sqrt(count)))
        is_strip = np.bincount(label.ravel(), minlength=n + 1) >= TOGETHER
        is_strip[0] = False
        return np.where(is_strip[label], rougher, 1)

    def _of_mesh(self):
        if self._mesh is None:
            return np.full(self._shape, self.rms**-2, "f4")
        ivar = self._mesh.rms()
        np.maximum(ivar, 0.1 * self._mesh.globalrms, out=ivar)  # a spline can undershoot
        ivar /= CLIPPED
        np.power(ivar, -2, out=ivar)
        return ivar


def fit_sky(flux, bad, mesh):
    """Fit sky and noise on a mesh, sources masked.

    Parameters
    ----------
    flux : ndarray, (y, x), float32
        Finite everywhere, 0 where it is bad.
    bad : ndarray, (y, x), bool
        Pixels that say nothing.
    mesh : int
        Side of a cell [pixel].

    Returns
    -------
    Sky
        After Bertin & Arnouts (1996): mode of the sigma-clipped pixels of each cell, median of
        3 x 3 cells, bicubic spline; of what a `Trend` leaves.
    """
    trend, flat = Trend(flux, bad), flux.copy()
    trend.subtract_from(flat)
    flat[bad] = 0
    mask = bad | find_sources(flat, bad, mesh)
    if np.sum(~mask) < FEWEST:
        mask = bad
    return Sky(flat, mask, mesh, trend)


def find_sources(flux, bad, mesh):
    """Find where sources are (y, x), the faint wings of large galaxies included.

    Blocks of pixels are compared with a first sky and marked; then ever larger means of what is
    not marked yet, so that a compact source does not spoil its surroundings.  Measured on
    simulated fields, one sky mesh without this eats 15 % of an exponential disc of half-light
    radius 80 pixels (mesh 128), with it less than 1 %.

    Three sigma mark 4 % of an empty image, whose sky comes out 0.005 sigma too low.  Four would
    mark 0.2 % and not do that, but leave 0.009 to 0.053 sigma more of faint galaxies' light in the
    sky (of 500 to 5000 galaxies in 1024 x 1024 pixels), and eat 5 % instead of 1 % of a disc of
    half-light radius 40 pixels that is 3 sigma bright in its centre.
    """
    if min(flux.shape) < SMALLEST:
        return np.zeros_like(bad)
    coarse, none = _blocks(flux, bad)
    source = np.zeros_like(none)
    for _ in range(2):
        residual = coarse.copy()
        Sky(coarse, none | source, max(1, mesh // COARSE)).subtract_from(residual)
        source = np.zeros_like(none)
        for scale in SCALES:
            source |= _bright(residual, none | source, scale)
    last = [n // COARSE - 1 for n in flux.shape]
    rows, columns = (
        np.minimum(np.arange(n) // COARSE, m) for n, m in zip(flux.shape, last, strict=True)
    )
    return source[rows][:, columns]


def _bright(residual, ignored, scale):
    """Where the mean of `scale` x `scale` blocks is bright, grown by half that scale."""
    used = (~ignored).astype("f4")
    share = ndimage.uniform_filter(used, scale)
    mean = ndimage.uniform_filter(residual * used, scale) / np.maximum(share, LEAST_SHARE)
    known = share > LEAST_SHARE
    if not (known & ~ignored).any():
        return np.zeros_like(ignored)
    _, rms = _constant(mean[known & ~ignored])
    return ndimage.maximum_filter(known & (mean > N_SIGMA * rms), 2 * (scale // 2) + 1)


def _blocks(flux, bad):
    """Mean of the good pixels of each whole block, and where there are too few of them."""

    def mean(image):
        """Mean of each whole block."""
        return in_blocks(image, COARSE).mean(axis=3, dtype="f4").mean(axis=1)

    good = 1 - mean(bad)
    none = good < min(0.5, good.max())
    return np.where(none, 0, mean(flux) / np.maximum(good, COARSE**-2)), none


def _constant(pixels):
    """Level and clipped rms of all pixels at once, from a sample of them."""
    sample = pixels[:: max(1, pixels.size // SAMPLE)]
    _, level, rms = sigma_clipped_stats(sample.astype("f8"), sigma=3)
    return float(level), float(rms)
