"""Parts of an image that no light ever reached: of one constant, or far darker than the sky."""

import numpy as np
from scipy import ndimage

from pipeline.pixels.blocks import in_blocks

BLOCK = 8
EDGE_SHARE = 0.02  # of the image's edge, for a value other than 0 to be suspected
NATURAL = 0.1  # of a value's pixels on the edge, for the next value, as noise has them
FILLINGS = 8  # values that may fill blocks inside
EDGE_RUN = 32  # pixels of the edge that a thin border has at least
BESIDE = 0.3  # of the other pixels: more have a dead zero to the right only where zeros are strewn
ALONE = 0.003  # of them: fewer are alone among zeros in an image of smooth sources without a sky
DARK = 20  # times the noise, below the sky
NEAR = 15  # pixels about a dark one, above whose light it is dark too: filters ring by a quarter
SQUARE = np.ones((3, 3))  # of pixels, that rounded zeros fill at least


def dead_pixels(flux, zeros):
    """Find connected regions of exactly one value, as borders and missing chips have.

    Parameters
    ----------
    flux : ndarray, (y, x)
        As read; NaN is not looked for.
    zeros : ndarray, (y, x), bool
        Pixels that are 0 or may have been, of the sky's too, as `pipeline.ingest.rounded` says.

    Returns
    -------
    ndarray, (y, x), bool
        Pixels of value 0, of another value common on the image's edge, or of one that fills a
        solid block of 8 x 8 pixels, in a region that holds such a block or 32 pixels of the edge.
        Single zeros are kept: they are natural in an image of integers.  So are values whose
        neighbours are common too, as the sky's are in such an image, and the highest value, which
        may be that of saturation.
    """
    dead = np.zeros(flux.shape, bool)
    for value in _suspects(flux):
        same = flux == value if value else _close(zeros, flux == 0)
        if not _has_block(same) and _edge(same).sum() < EDGE_RUN:
            continue
        label, n = ndimage.label(same)
        is_dead = np.zeros(n + 1, bool)
        is_dead[_labels_of_blocks(label, same)] = True
        edge = np.bincount(_edge(label), minlength=n + 1)
        is_dead |= edge >= min(EDGE_RUN, *flux.shape)
        is_dead[0] = False
        dead |= is_dead[label]
    return dead


def of_few_photons(flux, dead, seen):
    """Whether zeros that were called dead are strewn among the other pixels.

    So they are where photons are few, and are the sky then.  Some of the other pixels are alone
    among zeros, and as photons fall by chance, some are not.

    Parameters
    ----------
    flux : ndarray, (y, x)
    dead : ndarray, (y, x), bool
        As `dead_pixels` says.
    seen : ndarray, (y, x), bool
        Pixels that were observed, as far as a weight tells.
    """
    empty = (flux == 0) & seen
    full = seen & ~empty & ~dead & np.isfinite(flux)
    n = full.sum()
    if not (full[:, :-1] & (empty & dead)[:, 1:]).sum() > BESIDE * n:
        return False
    alone = (full & (ndimage.uniform_filter(empty.astype("f4"), 3) > 7.5 / 9)).sum()
    return bool(max(EDGE_RUN, ALONE * n) < alone < n)


def dark_pixels(flux, bad, sky):
    """Find pixels too dark to be real, as -999 in columns that no mask marks.

    Parameters
    ----------
    flux : ndarray, (y, x), float32
        Finite everywhere, 0 where it is bad.
    bad : ndarray, (y, x), bool
        Pixels that say nothing.
    sky : Sky

    Returns
    -------
    ndarray, (y, x), bool
        Pixels below the sky by 20 of its noise, and by more than anything near is above it: bright
        light that was resampled rings, and what is dark with all about it is a sky too high.  So
        are those of the same value.
    """
    snr = sky.taken_from(flux)
    snr[bad] = 0
    if not sky.rms > 0 or not snr.min() < -DARK * sky.rms:
        return np.zeros_like(bad)
    snr *= np.sqrt(np.minimum(sky.ivar(snr), np.float32(sky.rms**-2)))
    dark = snr < -DARK
    alone = snr < -DARK - np.abs(ndimage.maximum_filter(snr, NEAR))
    dark[dark] = np.isin(flux[dark], flux[alone])
    return dark


def _suspects(flux):
    """Zero and values that are common on the edge or fill a block, but are not natural there."""
    edge = _edge(flux)
    values, counts = np.unique(edge[np.isfinite(edge)], return_counts=True)
    gaps = np.diff(values)
    near = np.where(gaps <= 1.5 * gaps.min(initial=np.inf), 1, 0)  # of integers, the next ones
    around = np.maximum(np.append(0, near * counts[:-1]), np.append(near * counts[1:], 0))
    is_natural = around > NATURAL * counts
    common = values[(counts > max(EDGE_RUN, EDGE_SHARE * edge.size)) & ~is_natural]
    highest = np.max(flux, initial=-np.inf, where=np.isfinite(flux))
    filling = {value for value in _fillings(flux) if value not in values[is_natural]}
    zero = set() if 0 in values[is_natural] else {0.0}
    return zero | set(common.tolist()) | (filling - {float(highest)})


def _close(zeros, exact):
    """The zeros that are exact, or fill squares."""
    rounded = zeros & ~exact
    return exact | ndimage.binary_opening(rounded, SQUARE) if rounded.any() else exact


def _fillings(flux):
    """The values that fill most blocks."""
    blocks = in_blocks(flux, BLOCK)
    constant = blocks.min((1, 3)) == blocks.max((1, 3))  # not where there is a NaN
    values, counts = np.unique(blocks[:, 0, :, 0][constant], return_counts=True)
    return set(values[np.argsort(-counts, kind="stable")[:FILLINGS]].tolist())


def _edge(image):
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _solid(same):
    """Which blocks are solid."""
    return in_blocks(same, BLOCK).all(axis=3).all(axis=1)


def _has_block(same):
    return bool(_solid(same).any())


def _labels_of_blocks(label, same):
    y, x = np.nonzero(_solid(same))
    return np.unique(label[y * BLOCK, x * BLOCK])
