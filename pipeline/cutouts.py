"""Cut equal-sized stamps around positions, padding beyond the image with ``ivar = 0``."""

import math

import numpy as np

from pipeline.data import Cutouts

LENS_STAMP = 6.4  # a lens finder's stamp covers this much [arcsec]: Einstein radii reach 3"
NARROWEST_PSF = 1.2  # FWHM of the PSF after binning, at least [binned pixel]
_PIXELS_AT_ONCE = 500_000


def cut(exposure, sources, size, binning=1):
    """Cut a stamp about every source: pixel ``size // 2`` of both axes holds it.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        ``id``, ``x`` and ``y`` [pixel] of n sources.
    size : int
        Side of a stamp [pixel after binning].
    binning : int
        Pixels along a block that is summed into one; see `bin_blocks`.

    Returns
    -------
    Cutouts
        Stamps (n, size, size, band); ``corner`` is in the exposure's own pixels.
    """
    x, y = (np.rint(np.asarray(sources[name], "f8")).astype(int) for name in ("x", "y"))
    corner = np.column_stack([x, y]) - (size // 2) * binning - binning // 2
    shape = (len(corner), size, size, len(exposure.bands))
    flux, ivar = np.zeros(shape, "f4"), np.zeros(shape, "f4")
    step = max(1, _PIXELS_AT_ONCE // (size * binning) ** 2)
    for start in range(0, len(corner) if binning > 1 else 0, step):
        rows = slice(start, start + step)
        blocks = [boxes(i, corner[rows], size * binning) for i in (exposure.flux, exposure.ivar)]
        flux[rows], ivar[rows] = bin_blocks(*blocks, binning)
    if binning == 1:
        boxes(exposure.flux, corner, size, out=flux)
        boxes(exposure.ivar, corner, size, out=ivar)
    return Cutouts(
        flux,
        ivar,
        np.asarray(sources["id"], "i8"),
        corner,
        exposure.bands,
        exposure.unit,
        exposure.wcs,
        binning,
        sources.meta.get("DETBAND", 0),
    )


def boxes(image, corner, size, *, out=None):
    """Copy square boxes out of an image; 0 beyond its edges.

    Parameters
    ----------
    image : ndarray, (y, x, ...)
    corner : ndarray, (n, 2), int
        ``(x, y)`` of each box's first pixel, which may lie outside.
    size : int
        Side of the boxes [pixel].
    out : ndarray, (n, size, size, ...), optional
        Zeros to fill; made if left out.

    Returns
    -------
    ndarray, (n, size, size, ...)
    """
    if out is None:
        out = np.zeros((len(corner), size, size, *image.shape[2:]), image.dtype)
    height, width = image.shape[:2]
    for box, (x, y) in zip(out, np.asarray(corner).tolist(), strict=True):
        if 0 <= x <= width - size and 0 <= y <= height - size:
            box[:] = image[y : y + size, x : x + size]
            continue
        left, bottom = min(max(-x, 0), size), min(max(-y, 0), size)
        part = image[max(y, 0) : max(y + size, 0), max(x, 0) : max(x + size, 0)]
        box[bottom : bottom + part.shape[0], left : left + part.shape[1]] = part
    return out


def bin_blocks(flux, ivar, binning):
    """Sum blocks of pixels into one.

    A block's flux is the sum over its usable pixels, scaled up by the share of missing ones;
    its variance is that sum's.  A block with less than half of its pixels usable has no
    information: flux and ivar 0.

    Parameters
    ----------
    flux, ivar : ndarray, (n, y, x, band)
        ``y`` and ``x`` are multiples of `binning`.
    binning : int
        Side of a block [pixel].

    Returns
    -------
    flux, ivar : ndarray, (n, y / binning, x / binning, band)
    """
    count, total, variance = 0, 0, 0
    for step in np.ndindex(binning, binning):
        every = np.s_[:, step[0] :: binning, step[1] :: binning]
        precision = ivar[every]
        usable = precision > 0
        count = count + usable
        total = total + np.where(usable, flux[every], 0)
        variance = variance + np.divide(1, precision, where=usable, out=np.zeros_like(precision))
    good = (count > 0) & (2 * count >= binning**2)
    scale = np.divide(binning**2, count, where=good, out=np.zeros_like(variance))
    noise = variance * scale**2
    return total * scale, np.divide(1, noise, where=good, out=np.zeros_like(noise))


def lens_binning(exposure, sources, settings):
    """Choose how many pixels to bin into one for the lens finder.

    The smallest binning whose stamp covers `LENS_STAMP`, as long as the PSF stays at least
    `NARROWEST_PSF` binned pixels wide; 1 where the pixel scale or the PSF is unknown.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        Its ``meta`` gives ``PSFFWHM`` [pixel].
    settings : config.Cut
        ``lens_binning``, where given, is taken as it is.

    Returns
    -------
    int
    """
    if settings.lens_binning:
        return settings.lens_binning
    fwhm = sources.meta.get("PSFFWHM", 0)
    if not (np.isfinite(exposure.pixel_scale) and np.isfinite(fwhm)):
        return 1
    wanted = math.ceil(LENS_STAMP / (settings.lens_size * exposure.pixel_scale) - 1e-9)
    return max(1, min(wanted, math.floor(fwhm / NARROWEST_PSF)))
