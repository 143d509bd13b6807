"""Measure deblended sources: from maps of stamps to fluxes, and to an image of their spread.

A binned stamp's pixel stands for all the tile's pixels in its block.
"""

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pipeline.deblending.shares import divide_bands
from pipeline.flags import Flag
from pipeline.pixels.apertures import ellipse_weights, folded, weighted_flux
from pipeline.stamps.cutouts import half_sides
from pipeline.stamps.masks import on_tile

SHARES_MOVE = 0.15  # how far noise moves the logits of a source's shares, all together


def deblended_flux(exposure, sources, cutouts, share, front=None):
    """Flux of each source without its neighbours, in the Kron aperture of ``flux_auto``.

    A pixel counts by its area inside the aperture times the source's share of its light, of which
    all sources' sum to one, see `pipeline.deblending.shares`.
    A pixel without information has the light of the one opposite the source, as for ``flux_auto``;
    what lies beyond the stamp is not counted.  Where a stamp is binned, a block is the sum of its
    pixels, see `pipeline.stamps.cutouts.bin_blocks`.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        As `pipeline.detection.detect.detect` gives it, in the order of the stamps.
    cutouts : Cutouts
    share : ndarray or Planes, (n, y, x), or list of such, one a band
        SHARE of each stamp.
    front : pipeline.deblending.shares.Front, optional

    Returns
    -------
    QTable
        ``id``; ``flux`` and ``flux_err`` (n, band), of the exposure's unit, both NaN where the
        band has no usable pixel in the aperture; ``flags``, bits that only now are known.  The
        error is that of the pixels and of their correlation, and what noise does to the shares:
        it moves the logits of a source's by `SHARES_MOVE`, as two exposures of one sky say.
    """
    shape = (len(cutouts), len(exposure.bands))
    flux, error = np.zeros(shape), np.zeros(shape)
    ratio = np.asarray(sources["noise_ratio"])
    for rows, divided in divide_bands(share, cutouts, exposure.flux.shape, front):
        some = cutouts[rows]
        weights = folded(aperture_weights(sources[rows], some), some.ivar == 0)
        weights = weights * divided
        flux[rows], noise = weighted_flux(some.flux, some.ivar, weights, exposure.gain)
        contested = (weights * (1 - divided) * some.flux).sum((1, 2))
        error[rows] = np.hypot(ratio[rows] * noise, SHARES_MOVE * contested)
    return QTable(
        {
            "id": np.asarray(cutouts.id, "i8"),
            "flux": flux * u.Unit(exposure.unit),
            "flux_err": error * u.Unit(exposure.unit),
            "flags": np.where(_leaves_stamp(sources, cutouts), Flag.STAMP_CLIPPED, 0).astype("i4"),
        }
    )


def aperture_weights(sources, cutouts):
    """Share of each stamp pixel's area inside its source's Kron aperture, that of ``flux_auto``.

    Parameters
    ----------
    sources : Table
        ``x``, ``y``, ``a``, ``b``, ``theta``, ``kron_radius`` of the n sources of the stamps;
        for flat memory, give slices of both.
    cutouts : Cutouts

    Returns
    -------
    ndarray, (n, y, x), float32
    """
    x, y, semi_axes, theta = _apertures(sources, cutouts)
    return ellipse_weights(x, y, semi_axes, theta, cutouts.flux.shape[1])


def raise_to(image, cutouts, spread):
    """Raise pixels of the tile to the spread of the stamps that cover them, where that is larger.

    Parameters
    ----------
    image : ndarray, (y, x), float32
    cutouts : Cutouts
    spread : ndarray, (n, y, x)
        Spread of each stamp's mask over the draws.
    """
    for window, plane in on_tile(spread, cutouts, image.shape):
        np.maximum(image[window], plane, out=image[window])


def _apertures(sources, cutouts):
    """Centre, axes (n, 2) and angle [deg] of the Kron apertures, in pixels of the stamps."""
    x, y, a, b, theta, radius = (
        np.asarray(sources[name], "f8") for name in ("x", "y", "a", "b", "theta", "kron_radius")
    )
    first = (cutouts.binning - 1) / 2  # from a stamp's corner to the middle of its first block
    x, y = (
        (position - corner - first) / cutouts.binning
        for position, corner in zip((x, y), cutouts.corner.T, strict=True)
    )
    return x, y, np.column_stack([a, b]) * (radius / cutouts.binning)[:, None], theta


def _leaves_stamp(sources, cutouts):
    """Whether the Kron aperture reaches beyond the stamp; (n,)."""
    wide, high = (half / cutouts.binning for half in half_sides(sources))
    x, y, *_ = _apertures(sources, cutouts)
    end = cutouts.flux.shape[1] - 0.5
    return (np.minimum(x - wide, y - high) < -0.5) | (np.maximum(x + wide, y + high) > end)
