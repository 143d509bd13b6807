"""Holes in bright light: pixels that were lost amid a star's or a galaxy's core, bridged."""

import numpy as np
from scipy import ndimage

BRIGHT = 10.0  # mean S/N of the pixels about a hole
OF_A_STAR = 8  # such pixels about a saturated one, whose trail may lead far into the sky
DEEPEST = 16  # what is farther from the rim of a hole stays lost [pixel]


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
    holes, n = ndimage.label(_bright_holes(flux, ivar, saturation))
    if not n:
        return flux, ivar
    flux, ivar = flux.copy(), ivar.copy()
    for number, sides in enumerate(ndimage.find_objects(holes), 1):
        box = _wider(sides, 2)
        _fill(flux[box], ivar[box], holes[box] == number, saturation)
    return flux, ivar


def _fill(flux, ivar, inside, saturation):
    """Fill a hole in place: saturated pixels, and the others from its rim inwards.

    The former are as bright as the brightest about the hole; each of the latter is the mean of
    those around it.
    """
    usable, full = ivar > 0, inside & (flux >= saturation)
    if not usable.any():  # amid what nobody has seen, which a star's hole is connected with
        return
    noise = np.median(ivar[usable])
    flux[full], ivar[full] = flux[usable].max(), noise
    known = (ivar > 0).astype("f4")
    fill_inwards(flux, known, inside, DEEPEST)
    ivar[inside & (known > 0)] = noise


def fill_inwards(flux, known, inside, depth):
    """Fill pixels in place from their rim inwards, each with the mean of the known ones around it.

    Parameters
    ----------
    flux : ndarray, (y, x)
    known : ndarray, (y, x), float32
        1 where `flux` is known, else 0; what is filled becomes 1.
    inside : ndarray, (y, x), bool
        Pixels to fill.
    depth : int
        How far from the rim [pixel].
    """
    for _ in range(depth):
        around = ndimage.uniform_filter(known, 3)
        rim = inside & (known == 0) & (around > 0.1)  # one pixel of the nine
        if not rim.any():
            break
        flux[rim] = ndimage.uniform_filter(flux * known, 3)[rim] / around[rim]
        known[rim] = 1


def _bright_holes(flux, ivar, saturation):
    """Lost pixels of holes in bright light, or in a star's saturated one; (y, x), bool.

    A trail that ends in the image's masked border is one hole with it, of which only what is near
    bright or saturated pixels counts.
    """
    lost, n = ndimage.label(ivar == 0)
    snr, full = flux * np.sqrt(ivar), (ivar == 0) & (flux >= saturation)
    number, signal = _borders(snr, lost)
    count, total, bright = (
        np.bincount(number, weights, minlength=n + 1) for weights in (None, signal, signal > BRIGHT)
    )
    chosen = total > BRIGHT * count
    of_star = np.unique(lost[full])
    chosen[of_star] |= bright[of_star] >= OF_A_STAR
    found = np.zeros_like(full)
    if not chosen.any():
        return found
    sides = ndimage.find_objects(lost)
    for number in np.flatnonzero(chosen):
        box = _wider(sides[number - 1], DEEPEST)
        near = ndimage.maximum_filter(full[box] | (snr[box] > BRIGHT), 2 * DEEPEST + 1)
        found[box] |= near & (lost[box] == number)
    return found


def _wider(sides, margin):
    """Window of the image with a margin about another [pixel]."""
    return tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in sides)


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
