"""Lost pixels that would cut a source into pieces: narrow gaps, and holes in bright light."""

from dataclasses import replace
from itertools import permutations

import numpy as np
from scipy import ndimage

NARROW = 3  # widest gap that is spanned, in bright light or not [pixel]
BRIGHT = 10.0  # mean S/N of the pixels about a hole
OF_A_STAR = 8  # such pixels about a saturated one, whose trail may lead far into the sky
DEEPEST = 16  # what is farther from the rim of a hole stays lost [pixel]
_WAYS = (0, 1), (1, 0), (1, 1), (1, -1)  # across a gap; steps in y, x


def bridge(flux, ivar, saturation):
    """Interpolate across lost pixels that lie in bright light.

    A star whose core is masked is a ring, or an arc either side of its bleeding trail, and would
    be detected in pieces.  Sources are told apart and placed on what this gives; their light is
    measured on what there is.  A hole becomes no brighter than what is around it, for
    the higher a peak, the coarser the levels at which its neighbours are told from it.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x), float32
        Lost pixels have ivar 0; those that are saturated have a flux of `saturation` or more.
    saturation : float
        inf if unknown.

    Returns
    -------
    flux, ivar : ndarray, (y, x), float32
        As they were but in the holes, whose ivar is above 0 now.
    """
    lost, _ = ndimage.label((ivar == 0) & _within_reach(flux, ivar, saturation))
    holes = _bright_holes(flux, ivar, lost, saturation)
    if not len(holes):
        return flux, ivar
    flux, ivar = flux.copy(), ivar.copy()
    for number, box in holes:
        _fill(flux[box], ivar[box], lost[box] == number, saturation)
    return flux, ivar


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
        _span(flux[..., band], ivar[..., band], saturation)
    return replace(exposure, flux=flux, ivar=ivar, gaps=ivar != exposure.ivar)


def _span(flux, ivar, saturation):
    """Span the narrow gaps of one band in place."""
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


def _fill(flux, ivar, inside, saturation):
    """Fill a hole in place: saturated pixels, and the others from its rim inwards.

    The former are as bright as the brightest about the hole; each of the latter is the mean of
    those around it.
    """
    usable, full = ivar > 0, inside & (flux >= saturation)
    noise = np.median(ivar[usable])
    flux[full], ivar[full] = flux[usable].max(), noise
    for _ in range(DEEPEST):
        good = (ivar > 0).astype("f4")
        around = ndimage.uniform_filter(good, 3)
        rim = inside & (good == 0) & (around > 0.1)  # one pixel of the nine
        if not rim.any():
            break
        flux[rim] = (ndimage.uniform_filter(flux * good, 3)[rim]) / around[rim]
        ivar[rim] = noise


def _within_reach(flux, ivar, saturation):
    """Pixels so near to bright or saturated ones that they might be bridged; (y, x), bool.

    A trail that ends in the image's masked border is a hole, but not all of the border with it.
    """
    seeds = (flux >= saturation) | (flux * np.sqrt(ivar) > BRIGHT)
    return ndimage.maximum_filter(seeds, 2 * DEEPEST + 1)


def _bright_holes(flux, ivar, lost, saturation):
    """Number of each hole to bridge, and its box with the pixels about it."""
    number, signal = _borders(flux * np.sqrt(ivar), lost)
    count, total = np.bincount(number), np.bincount(number, signal)
    is_bright = total > BRIGHT * count
    full = np.unique(lost[(lost > 0) & (flux >= saturation)])
    full = full[full < len(count)]
    is_bright[full] |= np.bincount(number, signal > BRIGHT)[full] >= OF_A_STAR
    chosen = np.flatnonzero(is_bright)
    boxes = ndimage.find_objects(lost) if len(chosen) else []
    return [(i, tuple(map(_wider, boxes[i - 1]))) for i in chosen]


def _wider(side):
    return slice(max(side.start - 2, 0), side.stop + 2)


def _borders(snr, lost):
    """Of each pair of a lost pixel and a usable one beside it: the hole's number, and the S/N."""
    numbers, signals = [np.zeros(0, int)], [np.zeros(0)]
    for one, other in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[1:], np.s_[:-1]),
    ):
        beside = (lost[one] > 0) & (lost[other] == 0)
        numbers.append(lost[one][beside])
        signals.append(snr[other][beside])
    return np.concatenate(numbers), np.concatenate(signals)
