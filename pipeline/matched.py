"""The S/N of point sources in an image filtered by its PSF."""

import itertools

import numpy as np
import sep
from scipy.signal import fftconvolve

from pipeline.cutouts import boxes

_BLOCK = 256
_BLOCKS_A_SIDE = 4
_MESH = 32  # of the large galaxies' light


def matched_snr(flux, ivar, kernel):
    """Filter an image to the S/N of a point source at each pixel.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
        Image and inverse variance; pixels of ivar 0 do not count.
    kernel : ndarray, (size, size)
        The PSF; its size is odd.

    Returns
    -------
    ndarray, (y, x)
        ``sum(k f / s**2) / sqrt(sum(k**2 / s**2))`` (e.g. Zackay & Ofek 2017, ApJ 836, 187);
        0 where no pixel counts.
    """
    signal = fftconvolve(flux * ivar, kernel[::-1, ::-1], mode="same")
    power = fftconvolve(ivar, kernel[::-1, ::-1] ** 2, mode="same")
    known = power > 1e-6 * power.max(initial=0)  # below, only the transform's rounding
    return np.where(known, signal, 0) / np.sqrt(np.where(known, power, 1))


def snr_at(flux, ivar, x, y, psf):
    """S/N of a point source at each position, and how much of the PSF was seen there.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
    x, y : ndarray, (n,)
        Positions [pixel].
    psf : pipeline.psf.Moffat

    Returns
    -------
    snr, seen : ndarray, (n,)
        ``seen`` is the share of the PSF's signal on usable pixels.
    """
    size = len(psf.kernel())
    x0, y0 = np.rint(x).astype(int), np.rint(y).astype(int)
    corner = np.column_stack([x0, y0]) - size // 2
    light, weight = boxes(flux, corner, size), boxes(ivar, corner, size)
    profile = psf.stamps(x - x0, y - y0, size)
    signal = (profile * light * weight).sum(axis=(1, 2))
    power = (profile**2 * weight).sum(axis=(1, 2))
    seen = (profile**2 * (weight > 0)).sum(axis=(1, 2)) / (profile**2).sum(axis=(1, 2))
    return signal / np.sqrt(np.where(power > 0, power, 1)), seen


def noise_correlation(flux, ivar, kernel):
    """How many times noisier the filtered sky is than independent pixels would make it.

    Resampled images have correlated noise, which `matched_snr` knows nothing of.  The scatter of
    the filtered S/N is measured below its median, where sources do not reach, in blocks spread
    over the image, after the light of large galaxies is taken off on a mesh.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
    kernel : ndarray, (size, size)
        The PSF.

    Returns
    -------
    float
        Median over the blocks, at least 1; 1 for an image without sky to measure.
    """
    scatters = []
    for y, x in _block_corners(flux.shape):
        block = np.s_[y : y + _BLOCK, x : x + _BLOCK]
        usable = ivar[block] > 0
        if usable.sum() > 0.5 * usable.size:
            light = np.ascontiguousarray(flux[block])
            light = light - sep.Background(light, mask=~usable, bw=_MESH, bh=_MESH).back()
            snr = matched_snr(light, ivar[block], kernel)[usable]
            scatters.append(_lower_scatter(snr[::3]))
    return max(1.0, float(np.median(scatters))) if scatters else 1.0


def _block_corners(shape):
    last = [max(n - _BLOCK, 0) for n in shape]
    y, x = (np.unique(np.linspace(0, end, _BLOCKS_A_SIDE).astype(int)) for end in last)
    return itertools.product(y, x)


def _lower_scatter(values):
    """Measure the standard deviation on the values below the mode, where sources do not reach."""
    low, centre = np.percentile(values, [0, 50])
    for _ in range(5):  # the median of what is not clipped approaches the sky's mode
        if centre == low:
            return 0.0
        scatter = centre - np.percentile(values[values < centre], 100 * 0.3173)
        low, high = centre - 5 * scatter, centre + 2.5 * scatter
        centre = np.median(values[(values > low) & (values < high)])
    return scatter
