"""Cut equal-sized stamps around positions, padding beyond the image with ``ivar = 0``."""

import math

import numpy as np

from pipeline.data import Cutouts
from pipeline.flags import Flag

LENS_STAMP = 9.6  # a lens finder's stamp covers this much [arcsec]: Einstein radii reach 3"
NARROWEST_PSF = 0.7  # FWHM of the PSF in a lens finder's stamp, at least [pixel]
REACH = 0.45  # of a deblending stamp's side: what its source may reach from its middle
LARGEST_BINNING = 16
APERTURE_OF_BLENDED = 1.5  # of the footprint's extent, at most: neighbours inflate it
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
    binning : int or ndarray, (n,), int
        Pixels along a block that is summed into one; see `bin_blocks`.

    Returns
    -------
    Cutouts
        Stamps (n, size, size, band); ``corner`` is in the exposure's own pixels.
    """
    x, y = (np.rint(np.asarray(sources[name], "f8")).astype(int) for name in ("x", "y"))
    binning = np.broadcast_to(binning, x.shape)
    corner = np.column_stack([x, y]) - ((size // 2) * binning + binning // 2)[:, None]
    flux, ivar = np.zeros((2, len(corner), size, size, len(exposure.bands)), "f4")
    for rows in rows_of_one(binning, size):
        side, block = size * binning[rows[0]], binning[rows[0]]
        pixels = [boxes(image, corner[rows], side) for image in (exposure.flux, exposure.ivar)]
        flux[rows], ivar[rows] = pixels if block == 1 else bin_blocks(*pixels, block)
    flux[ivar == 0] = 0  # a saturated pixel has the level of saturation in the exposure
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


def rows_of_one(binning, size):
    """Group stamps by their binning, as many at once as memory stays flat for.

    Parameters
    ----------
    binning : ndarray, (n,), int
    size : int
        Side of a stamp [pixel after binning].

    Yields
    ------
    ndarray, int
        Rows of one binning.
    """
    for block in np.unique(binning):
        rows = np.flatnonzero(binning == block)
        step = max(1, _PIXELS_AT_ONCE // (size * int(block)) ** 2)
        yield from np.split(rows, range(step, len(rows), step))


def boxes(image, corner, size):
    """Copy square boxes out of an image; 0 beyond its edges.

    Parameters
    ----------
    image : ndarray, (y, x, ...)
    corner : ndarray, (n, 2), int
        ``(x, y)`` of each box's first pixel, which may lie outside.
    size : int
        Side of the boxes [pixel].

    Returns
    -------
    ndarray, (n, size, size, ...)
    """
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


def deblend_binning(sources, size):
    """Choose, for each source, how many pixels to bin into one so that its stamp holds it whole.

    The smallest binning for which neither the Kron aperture nor the isophotal footprint reaches
    farther than `REACH` of the stamp's side from its middle, at most `LARGEST_BINNING`.  Of a
    blended source's aperture only `APERTURE_OF_BLENDED` counts: a piece of a spiral arm may have
    one that is six times as large as itself.

    Parameters
    ----------
    sources : Table
        Of `pipeline.detection.detect.detect`: ``a``, ``b`` [pixel], ``theta`` [deg] and
        ``kron_radius`` of the aperture, ``extent`` [pixel] of the footprint, ``flags``.
    size : int
        Side of a stamp [pixel after binning].

    Returns
    -------
    ndarray, (n,), int
        1 where the source's size is unknown.
    """
    extent = np.asarray(sources["extent"], "f8")
    is_blended = (np.asarray(sources["flags"]) & Flag.BLENDED) > 0
    aperture = np.fmax(*half_sides(sources))
    believed = np.where(is_blended, np.fmin(aperture, APERTURE_OF_BLENDED * extent), aperture)
    farthest = np.fmax(believed, extent)
    wanted = np.ceil(farthest / (REACH * size) - 1e-9)
    return np.clip(np.nan_to_num(wanted, nan=1), 1, LARGEST_BINNING).astype(int)


def half_sides(sources):
    """Half the width and height of the boxes about the Kron apertures; each (n,) [pixel]."""
    a, b, theta, radius = (
        np.asarray(sources[name], "f8") for name in ("a", "b", "theta", "kron_radius")
    )
    cos, sin = np.cos(np.radians(theta)), np.sin(np.radians(theta))
    return radius * np.hypot(a * cos, b * sin), radius * np.hypot(a * sin, b * cos)
