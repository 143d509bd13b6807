"""Divide the light of a tile's pixels among its sources: shares that sum to one."""

import numpy as np

from pipeline.cutouts import boxes, rows_of_one
from pipeline.masks import enlarge, on_tile

LEAST = 1e-4  # share of others that counts


def reconcile(maps, cutouts, shape):
    """Let what the U-Net says of a source agree with what it says of its neighbours.

    Each source's share is found in a stamp of its own, and where two sources meet the second
    stamp tells of the same pixels.  Where there probably is light, shares are divided as by
    `divide`; where there is none they stay as they are, for there they say only that.

    Parameters
    ----------
    maps : dict of ndarray, (n, y, x)
        The U-Net's TARGET, NEIGHBOUR and SHARE of each stamp.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).

    Returns
    -------
    ndarray, (n, y, x), float32
        SHARE.
    """
    is_light = np.maximum(maps["TARGET"], maps["NEIGHBOUR"])
    divided = divide(maps["SHARE"], cutouts, shape, alone=maps["SHARE"])
    return maps["SHARE"] + is_light * (divided - maps["SHARE"])


def divide(share, cutouts, shape, alone=1.0):
    """Divide each pixel's light among the sources that reach it.

    The U-Net tells each source's share by itself: where sources meet, those need not sum to one,
    and where light is too faint to tell whose it is, they sum to less.  Here each is taken
    relative to the sum of all, so that no light is lost or counted twice, and a source that is
    alone has all of its own.

    Parameters
    ----------
    share : ndarray, (n, y, x)
        SHARE of each stamp.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).
    alone : float or ndarray, (n, y, x)
        What a source has where no other has a share.

    Returns
    -------
    ndarray, (n, y, x), float32
        On the grid of the stamps.
    """
    total, size = np.zeros(shape[:2], "f4"), share.shape[1]
    for window, part in on_tile(share, cutouts, shape):
        total[window] += part
    divided = np.array(np.broadcast_to(alone, share.shape), "f4")
    for rows in rows_of_one(cutouts.binning, size):
        block = int(cutouts.binning[rows[0]])
        own = enlarge(share[rows], block)
        others = boxes(total, cutouts.corner[rows], size * block) - own
        own, others = (
            v.reshape(len(rows), size, block, size, block).mean((2, 4)) for v in (own, others)
        )
        divided[rows] = np.divide(own, own + others, where=others > LEAST, out=divided[rows])
    return divided
