"""Divide the light of a tile's pixels among its sources, each of which has a stamp of its own."""

import numpy as np

from pipeline.stamps.cutouts import boxes, rows_of_one
from pipeline.stamps.masks import enlarge, on_tile

LEAST = 1e-4  # share of others that counts
COARSE, FINE = 4, 2  # blocks so large hide what those who see blocks so small tell apart
EXPLAINED = 0.2  # of what is not a source's, by others: then those are all that there are


def reconcile(maps, cutouts, shape):
    """Let what the U-Net says of a source agree with what it says of its neighbours.

    Where two sources meet, the second one's stamp tells of the same pixels.  Where there probably
    is light, shares that sum to more than one are scaled down, and those that sum to less are
    scaled up, unless the others leave most of it unexplained: then it is that of a source which
    nobody has found.  Where there is no light shares stay as they are.

    Parameters
    ----------
    maps : dict of ndarray or Planes, (n, y, x)
        The U-Net's TARGET, NEIGHBOUR and SHARE of each stamp, of which SHARE is changed.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).
    """
    for rows, own, others in _claims(maps["SHARE"], cutouts, shape):
        is_light = np.maximum(maps["TARGET"][rows], maps["NEIGHBOUR"][rows])
        maps["SHARE"][rows] = agree(maps["SHARE"][rows], own, others, is_light)


def agree(share, own, others, is_light):
    """Change shares to `own` of the sum of own and `others`; arrays of one shape.

    Parameters
    ----------
    share, own : array
        Of a source; `own` is the same where stamps are not binned.
    others : array
        Sum of all others'.
    is_light : array
        Probability that there is light to divide.
    """
    xp = share.__array_namespace__()
    change = xp.where(others > LEAST, own / xp.maximum(own + others, LEAST) - share, 0)
    explained = xp.minimum(others / (EXPLAINED * xp.maximum(1 - share, LEAST)), 1)
    return share + is_light * change * xp.where(change > 0, explained, 1)


def divide(share, cutouts, shape):
    """Divide each pixel's light among the sources that reach it.

    Shares need not sum to one, and where light is too faint to tell whose it is, they sum to less.
    Here each is taken relative to the sum of all, so that no light is lost or counted twice, and
    a source that is alone has all of its own.

    Parameters
    ----------
    share : ndarray or Planes, (n, y, x)
        SHARE of each stamp.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).

    Yields
    ------
    rows : ndarray, int
        Some of the sources; each comes once.
    divided : ndarray, (m, y, x), float32
        Theirs of the light, on the grid of their stamps; 1 where nobody else has a share.
    """
    for rows, own, others in _claims(share, cutouts, shape):
        yield rows, np.where(others > LEAST, own / np.maximum(own + others, LEAST), 1)


def _claims(share, cutouts, shape):
    """Yield rows of some sources, their shares, and the sum of all others', on their stamps' grids.

    Between the middles of binned blocks shares are interpolated, see
    `pipeline.stamps.masks.enlarge`; of each block the mean counts.  A source that is seen in large
    blocks claims at most what those leave that are seen in small ones: a compact source before a
    giant is a fraction of its block.
    """
    left = _left_by_fine(share, cutouts, shape)
    total, size = np.zeros(shape[:2], "f4"), share.shape[1]
    for block, (window, part) in zip(cutouts.binning, on_tile(share, cutouts, shape), strict=True):
        total[window] += np.minimum(part, left[window]) if block >= COARSE else part
    for rows in rows_of_one(cutouts.binning, size):
        block = int(cutouts.binning[rows[0]])
        own = enlarge(share[rows], block)
        others = boxes(total, cutouts.corner[rows], size * block)
        if block >= COARSE:
            own = np.minimum(own, boxes(left, cutouts.corner[rows], size * block))
        others -= own
        if block > 1:
            blocks = len(rows), size, block, size, block
            own, others = (part.reshape(blocks).mean((2, 4)) for part in (own, others))
        yield rows, own, others


def _left_by_fine(share, cutouts, shape):
    """Share of each of the tile's pixels that those seen in small blocks leave; (y, x), float32."""
    if not (cutouts.binning >= COARSE).any():
        return np.broadcast_to(np.float32(1), shape[:2])
    left = np.ones(shape[:2], "f4")
    for block, (window, part) in zip(cutouts.binning, on_tile(share, cutouts, shape), strict=True):
        if block <= FINE:
            left[window] -= part
    return np.maximum(left, 0, out=left)
