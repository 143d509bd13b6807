"""The S/N of point sources in an image filtered by its PSF."""

import itertools

import numpy as np
import sep
from scipy.signal import fftconvolve

from pipeline.stamps.cutouts import boxes

_BLOCK = 256
_BLOCKS_A_SIDE = 4
_MESH, _PASSES = 32, 2  # of the large galaxies' light; one leaves rings


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
    top = ivar.max(initial=0) or 1.0  # single precision holds no sum of ivar in small units
    weight = ivar / top
    signal = fftconvolve(flux * top**0.5 * weight, kernel[::-1, ::-1], mode="same")
    power = fftconvolve(weight, kernel[::-1, ::-1] ** 2, mode="same")
    known = power > 1e-6 * power.max(initial=0)  # below, only the transform's rounding
    return np.where(known, signal, 0) / np.sqrt(np.where(known, power, 1))


def snr_at(flux, ivar, x, y, psf):
    """S/N of a point source at each position, and how much of the PSF was seen there.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
    x, y : ndarray, (n,)
        Positions [pixel].
    psf : pipeline.detection.psf.Moffat

    Returns
    -------
    snr, seen : ndarray, (n,)
        ``seen`` is the share of the PSF's signal on usable pixels; where there is none, the S/N
        is NaN.
    """
    size = len(psf.kernel())
    x0, y0 = np.rint(x).astype(int), np.rint(y).astype(int)
    corner = np.column_stack([x0, y0]) - size // 2
    light, weight = boxes(flux, corner, size), boxes(ivar, corner, size)
    profile = psf.stamps(x - x0, y - y0, size)
    signal = (profile * light * weight).sum(axis=(1, 2))
    power = (profile**2 * weight).sum(axis=(1, 2))
    seen = (profile**2 * (weight > 0)).sum(axis=(1, 2)) / (profile**2).sum(axis=(1, 2))
    return signal / np.sqrt(np.where(power > 0, power, np.nan)), seen


def noise_correlation(flux, ivar, kernel):
    """How many times noisier the filtered sky is than independent pixels would make it.

    Resampled images have correlated noise, which `matched_snr` knows nothing of.  The light of
    large galaxies is taken off on a mesh, in blocks spread over the image; the scatter of the
    filtered S/N is then measured in each of its cells, below the median, where sources do not
    reach.  Only the cells with the lesser half of that light count.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
    kernel : ndarray, (size, size)
        The PSF.

    Returns
    -------
    float
        Median over those cells, at least 1; 1 for an image without sky to measure.
    """
    blocks = (np.s_[y : y + _BLOCK, x : x + _BLOCK] for y, x in _block_corners(flux.shape))
    cells = [cell for block in blocks for cell in _cells(flux[block], ivar[block], kernel)]
    if not cells:
        return 1.0
    middle = np.median([light for light, _ in cells])
    scatters = [_lower_scatter(snr) for light, snr in cells if light <= middle]
    return max(1.0, float(np.median(scatters)))


def without_mesh(flux, mask, mesh):
    """Take the light of large sources off an image (y, x): that of cells of `mesh` pixels a side.

    Pixels of the `mask` say nothing of it.
    """
    sharp = np.ascontiguousarray(flux)
    for _ in range(_PASSES):
        sky = sep.Background(sharp, mask=mask, bw=mesh, bh=mesh, fw=1, fh=1)
        sharp = sharp - sky.back(dtype=sharp.dtype)
    return sharp


def _cells(flux, ivar, kernel):
    """Yield large galaxies' light [noise of a pixel], and each third S/N, of each cell."""
    usable = ivar > 0
    if not usable.any():
        return
    sharp = without_mesh(flux, ~usable, _MESH)
    light, snr = (flux - sharp) * np.sqrt(ivar), matched_snr(sharp, ivar, kernel)
    for y, x in itertools.product(*(range(0, n, _MESH) for n in flux.shape)):
        cell = np.s_[y : y + _MESH, x : x + _MESH]
        inside = usable[cell]
        if inside.sum() > _MESH**2 / 2:
            yield light[cell][inside].mean(), snr[cell][inside][::3]


def _block_corners(shape):
    last = [max(n - _BLOCK, 0) for n in shape]
    y, x = (np.unique(np.linspace(0, end, _BLOCKS_A_SIDE).astype(int)) for end in last)
    return itertools.product(y, x)


def _lower_scatter(values):
    """Measure the standard deviation on the values below the mode, where sources do not reach."""
    values = np.sort(values)
    first, last = 0, len(values)
    for _ in range(5):  # the median of what is not clipped approaches the sky's mode
        centre = values[(first + last) // 2]
        below = np.searchsorted(values, centre)
        if below == 0:
            return 0.0
        scatter = centre - values[int(0.3173 * below)]
        first, last = np.searchsorted(values, (centre - 5 * scatter, centre + 2.5 * scatter))
    return scatter
