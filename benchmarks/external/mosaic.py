"""Lay small images side by side in one exposure, apart by pixels without information."""

import numpy as np

from pipeline.data import Exposure
from pipeline.stamps.masks import enlarge

GAP = 64  # [pixel]


def mosaic(images, ivars, pixel_scale):
    """Put images of any size on the cells of a square.

    Parameters
    ----------
    images, ivars : sequence of ndarray, (y, x)
        Flux and inverse variance, 0 where a pixel has no information.
    pixel_scale : float
        [arcsec].

    Returns
    -------
    exposure : Exposure
        Of one band, without WCS; a gap of `GAP` pixels is around each image.
    origin : ndarray, (n, 2), int
        ``(x, y)`` of each image's first pixel.
    """
    side = np.max([image.shape for image in images], axis=0) + GAP
    columns = int(np.ceil(np.sqrt(len(images))))
    row, column = np.divmod(np.arange(len(images)), columns)
    origin = np.column_stack([column * side[1], row * side[0]]) + GAP
    shape = (row[-1] + 1) * side[0] + GAP, columns * side[1] + GAP, 1
    flux, ivar = np.zeros(shape, "f4"), np.zeros(shape, "f4")
    for image, weight, (x, y) in zip(images, ivars, origin, strict=True):
        window = np.s_[y : y + image.shape[0], x : x + image.shape[1], 0]
        flux[window], ivar[window] = np.where(weight > 0, image, 0), weight
    exposure = Exposure(flux, ivar, None, ("sim",), unit="ct", pixel_scale=pixel_scale)
    return exposure, origin


def owner(x, y, origin, shapes):
    """Which image a position lies in: row number (n,), -1 for none.

    Parameters
    ----------
    x, y : ndarray, (n,)
        In the mosaic [pixel].
    origin : ndarray, (m, 2)
    shapes : sequence of tuple
        ``(height, width)`` of each image.
    """
    found = np.full(len(x), -1)
    for k, ((x0, y0), (height, width)) in enumerate(zip(origin, shapes, strict=True)):
        inside = (x > x0 - 0.5) & (x < x0 + width - 0.5) & (y > y0 - 0.5) & (y < y0 + height - 0.5)
        found[inside] = k
    return found


def paint(stamp, corner, binning, origin, shape):
    """Bring a stamp's map to the grid of an image, as the chain does; (y, x), float32.

    Parameters
    ----------
    stamp : ndarray, (y, x)
    corner : (int, int)
        ``(x, y)`` of the stamp's first pixel in the mosaic.
    binning : int
        Image pixels along each side of the stamp's.
    origin : (int, int)
        ``(x, y)`` of the image's first pixel in the mosaic.
    shape : (int, int)
        Of the image.
    """
    painted, stamp = np.zeros(shape, "f4"), enlarge(stamp[None], binning)[0]
    x0, y0 = np.asarray(corner) - origin
    y, x = (np.arange(n) - start for n, start in zip(shape, (y0, x0), strict=True))
    rows, columns = ((k >= 0) & (k < len(stamp)) for k in (y, x))
    painted[np.ix_(rows, columns)] = stamp[np.ix_(y[rows], x[columns])]
    return painted
