"""Bring a band to another band's pixel grid."""

import warnings

import numpy as np
from reproject import reproject_interp
from scipy import ndimage

from pipeline.ingest.mishaps import InputError
from pipeline.ingest.weights import typical
from pipeline.pixels.gaps import span
from pipeline.pixels.holes import fill_inwards

SAME = 0.01  # pixel
COARSER = 1.4  # ratio of pixel sides from which the image is smoothed before it is sampled
AT_ONCE = 2**22  # pixels that are computed at once
WHOLE = 0.999  # share of good pixels in a resampled one
AROUND, CIRCLE = 50, 1.01  # points along a side, and beyond the farthest of them
REACH = 4  # how far a step of the image rings in its spline [pixel]
RINGS = 0.14, 0.27  # part of a pixel's error in the spline beside it, and from there on each time
WRONG = 0.1, 0.5  # part of the contrast about a lost pixel that its filling misses: gaps, holes


def same_grid(wcs, shape, other_wcs, other_shape):
    """Whether two grids agree, on the sky, to a hundredth of a pixel in corners and centre."""
    if shape != other_shape:
        return False
    height, width = (n - 1 for n in shape)
    x, y = np.array([0, width, 0, width, width / 2]), np.array([0, 0, height, height, height / 2])
    here, there = wcs.pixel_to_world(x, y), other_wcs.pixel_to_world(x, y)
    return bool((here.separation(there).arcsec < SAME * pixel_side(wcs, shape)).all())


def no_common_grid(name, shape, other, other_shape):
    """Error of two images, by their names, of which not both have a WCS."""
    return InputError(
        f"{name}: shape {shape} but {other} has {other_shape}, and without a WCS "
        "in both they cannot be brought to one grid; resample one of them"
    )


def pixel_side(wcs, shape):
    """Root of the area of the image's central pixel [arcsec], distortions included."""
    along_x, along_y = _pixel(wcs, shape)
    return float(np.sqrt(np.linalg.norm(np.cross(along_x, along_y))))


def elongation(wcs, shape):
    """How many times longer the image's central pixel is on the sky than it is wide."""
    sides = np.linalg.norm(_pixel(wcs, shape), axis=1)
    return float(sides.max() / sides.min())


def _pixel(wcs, shape):
    """Steps of a pixel along x and y, (2, 3) [arcsec]; directions, for a pole has no longitude."""
    y, x = ((n - 1) / 2 for n in shape)
    steps_x, steps_y = np.array([x - 0.5, x + 0.5, x, x]), np.array([y, y, y - 0.5, y + 0.5])
    sky = np.radians(wcs.celestial.all_pix2world(steps_x, steps_y, 0))
    lon, lat = sky[wcs.wcs.lng], sky[wcs.wcs.lat]
    towards = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return (towards[:, 1::2] - towards[:, ::2]).T * np.degrees(3600)


def regrid(flux, ivar, wcs, target_wcs, target_shape):
    """Resample a band, conserving flux.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x), float32
    wcs, target_wcs : WCS
    target_shape : tuple of int

    Returns
    -------
    flux, ivar : ndarray, of `target_shape`, float32
    area : float
        Ratio of the areas of a new and an old pixel.

    Notes
    -----
    Surface brightness is interpolated (cubic; where the target's pixels are much larger, after
    a Gaussian as wide as they are) and multiplied by the pixels' area ratio.  ``ivar`` is scaled
    so that the summed variance of an aperture is kept, although neighbouring pixels are now
    correlated.  Both are 0 beyond the image and wherever an unusable pixel has a part; what such a
    pixel holds does not matter: it is filled, lest a step rings in the spline.  So they are, amid
    bright light, in those of its neighbours that would be wrong by about a sigma all the same.
    """
    flux, ivar = _filled(flux, ivar)
    side = pixel_side(target_wcs, target_shape) / pixel_side(wcs, flux.shape)
    good = (ivar > 0).astype("f4")
    if side > COARSER:
        width = side / np.sqrt(12)  # rms of a position within a pixel
        flux, ivar, good = (ndimage.gaussian_filter(p, width) for p in (flux, ivar, good))
    new = np.zeros((2, *target_shape), "f4")
    rows, shows = max(1, AT_ONCE // target_shape[1]), _shown(wcs, flux.shape)
    for start in range(0, target_shape[0], rows):
        part = slice(start, min(start + rows, target_shape[0]))
        grid = target_wcs[part, :], (part.stop - part.start, target_shape[1])
        new[0, part] = _interpolate(flux, wcs, *grid, order=3)
        new[1, part], whole = _interpolate(np.stack([ivar, good]), wcs, *grid, order=1)
        new[:, part][:, ~shows(grid[0], whole > WHOLE)] = 0
    new[:, ~(np.isfinite(new).all(axis=0) & (new[1] > 0))] = 0
    area = side**2
    return new[0] * np.float32(area), new[1] / np.float32(area), area


def _shown(wcs, shape):
    """Make a function that drops pixels of another grid beyond a circle about an image.

    The inverse of a SIP polynomial may lead back into the image from far away.
    """
    if not wcs.has_distortion:
        return lambda _, good: good
    side, (height, width) = np.linspace(0, 1, AROUND), shape
    x, y = np.concatenate([(side, 0 * side), (side, 1 + 0 * side)], axis=1)
    x, y = np.append(x, y) * width - 0.5, np.append(y, x) * height - 0.5
    centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2)
    reach = CIRCLE * wcs.pixel_to_world(x, y).separation(centre).max()

    def shows(grid, good):
        rows, columns = np.nonzero(good)
        good = good.copy()
        good[good] = grid.pixel_to_world(columns, rows).separation(centre) < reach
        return good

    return shows


def _filled(flux, ivar):
    """Fill lost pixels: narrow gaps, and the rims of larger holes with the mean of what is about.

    Gives an ivar of 0 also where the filling may ring; elsewhere it is as it was.
    """
    lost = ivar == 0
    if not lost.any():
        return flux, ivar
    flux, weight = np.where(lost, 0, flux), ivar.copy()
    span(flux, weight)
    fill_inwards(flux, (weight > 0).astype("f4"), lost, REACH)
    error = ndimage.maximum_filter(flux, 3) - ndimage.minimum_filter(flux, 3)
    error *= np.where(weight > 0, *np.float32(WRONG)) * np.float32(typical(ivar) ** 0.5)
    error[~lost] = 0
    return flux, np.where(_rung(error), 0, ivar)


def _rung(error):
    """Where `error` (y, x), of the pixels in sigma, rings by more than one; (y, x), bool."""
    rung = np.zeros(error.shape, bool)
    for part in (RINGS[0], *(REACH - 1) * RINGS[1:]):
        error = part * np.maximum(*(ndimage.maximum_filter1d(error, 3, axis) for axis in (0, 1)))
        rung |= error > 1
    return rung


def _interpolate(image, wcs, target_wcs, target_shape, *, order):
    """Resample one or more images, NaN beyond them; checking the way back is thrice as slow."""
    with warnings.catch_warnings():  # of SIP far away from the image, which `_shown` drops
        warnings.filterwarnings("ignore", "'WCS.all_world2pix' failed to converge", UserWarning)
        return reproject_interp(
            (image, wcs),
            target_wcs,
            target_shape,
            order=order,
            roundtrip_coords=False,
            return_footprint=False,
        )
