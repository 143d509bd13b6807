"""Narrow gaps of lost pixels, bad columns and cosmic rays: interpolated, and remembered."""

from dataclasses import replace
from itertools import permutations

import numpy as np
from scipy import ndimage

NARROW = 3  # widest gap that is spanned [pixel]
_WAYS = (0, 1), (1, 0), (1, 1), (1, -1)  # across a gap; steps in y, x


def spanned(exposure):
    """Interpolate across the narrow gaps of every band of an `Exposure`.

    Bad columns and cosmic rays cut sources into pieces, and networks that look at what is left
    miss more of the light than is lost.  A gap of at most `NARROW` pixels is spanned the
    shortest way (of ways of one length, the mean counts) by a cubic through two pixels on either
    side, or a line where there are none; saturated pixels are not.

    Returns
    -------
    Exposure
        With an ivar above 0 in its ``gaps``.
    """
    flux, ivar = exposure.flux.copy(), exposure.ivar.copy()
    for band, saturation in enumerate(exposure.saturation):
        span(flux[..., band], ivar[..., band], saturation)
    return replace(exposure, flux=flux, ivar=ivar, gaps=ivar != exposure.ivar)


def span(flux, ivar, saturation=np.inf):
    """Span the narrow gaps of one band (y, x), as of `spanned`, in place."""
    usable = ivar > 0
    near = ndimage.maximum_filter(usable, 2 * NARROW - 1)
    lost = np.stack(np.nonzero(~usable & near & (flux < saturation)))
    length, *values = np.stack([_across(flux, ivar, lost, way) for way in _WAYS], axis=1)
    narrow = np.isfinite(length).any(axis=0)
    length, (y, x) = length[:, narrow], lost[:, narrow]
    for image, value in zip((flux, ivar), values, strict=True):
        image[y, x] = np.mean(value[:, narrow], axis=0, where=length == length.min(axis=0))


def _across(flux, ivar, lost, way):
    """Length of the way across a gap, inf where it is too wide; flux and ivar there; (3, n).

    `lost` is (2, n), the pixels ``y, x``, and `way` one step.
    """
    way = np.reshape(way, (2, 1))
    before, after = (_steps(ivar > 0, lost, side * way) for side in (-1, 1))
    narrow = before + after <= NARROW + 1
    before, after = before[narrow], after[narrow]
    nodes = np.stack([-before - 1, -before, after, after + 1])
    light, weight = (
        np.stack([_at(image, lost[:, narrow] + n * way) for n in nodes]) for image in (flux, ivar)
    )
    line = np.stack([0 * after, after, before, 0 * after]) / (before + after)
    light *= np.where((weight > 0).all(axis=0), _cubic(nodes), line)
    found = np.full((3, len(narrow)), np.inf)
    found[:, narrow] = np.hypot(*way) * (before + after), light.sum(0), weight[1:3].mean(0)
    return found


def _steps(usable, pixels, way):
    """How many steps lead to a usable pixel; more than `NARROW` where none is so near; (n,)."""
    steps = np.full(pixels.shape[1], NARROW + 1)
    for n in range(NARROW, 0, -1):
        steps[_at(usable, pixels + n * way)] = n
    return steps


def _at(image, pixels):
    """Values at pixels ``y, x`` (2, n); 0 beyond the image; (n,)."""
    inside = ((pixels >= 0) & (pixels < np.reshape(image.shape, (2, 1)))).all(axis=0)
    values = np.zeros(pixels.shape[1], image.dtype)
    values[inside] = image[tuple(pixels[:, inside])]
    return values


def _cubic(nodes):
    """Weights (4, n) with which values at `nodes` (4, n) give the cubic's value at 0 (Lagrange)."""
    weights = np.ones(nodes.shape)
    for i, j in permutations(range(4), 2):
        weights[i] *= nodes[j] / (nodes[j] - nodes[i])
    return weights
