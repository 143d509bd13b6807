"""Parts of an image that no light ever reached: borders and regions of one constant."""

import numpy as np
from scipy import ndimage

BLOCK = 8
EDGE_SHARE = 0.02  # of the image's edge, for a value other than 0 to be suspected
EDGE_RUN = 32  # pixels of the edge that a thin border has at least


def dead_pixels(flux):
    """Find connected regions of exactly one value, as borders and missing chips have.

    Parameters
    ----------
    flux : ndarray, (y, x)
        As read; NaN is not looked for.

    Returns
    -------
    ndarray, (y, x), bool
        Pixels of value 0, or of another value common on the image's edge, in a region that
        holds a solid block of 8 x 8 pixels or 32 pixels of the edge.  Single zeros are kept:
        they are natural in an image of integers.
    """
    dead = np.zeros(flux.shape, bool)
    for value in _suspects(flux):
        same = flux == value
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


def _suspects(flux):
    """Zero, and values that are common on the edge."""
    edge = _edge(flux)
    values, counts = np.unique(edge[np.isfinite(edge)], return_counts=True)
    return {0.0, *values[counts > max(EDGE_RUN, EDGE_SHARE * edge.size)].tolist()}


def _edge(image):
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _solid(same):
    """Which blocks are solid."""
    rows, columns = (n // BLOCK * BLOCK for n in same.shape)
    blocks = same[:rows, :columns].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    return blocks.all(axis=3).all(axis=1)


def _has_block(same):
    return bool(_solid(same).any())


def _labels_of_blocks(label, same):
    y, x = np.nonzero(_solid(same))
    return np.unique(label[y * BLOCK, x * BLOCK])
