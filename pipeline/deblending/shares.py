"""Divide the light of a tile's pixels among its sources, each of which has a stamp of its own."""

from typing import NamedTuple

import numpy as np

from pipeline.stamps.cutouts import boxes, rows_of_one
from pipeline.stamps.masks import enlarge, on_tile

LEAST = 1e-4  # share of others that counts
COARSE, FINE = 4, 2  # blocks so large hide what those who see blocks so small tell apart
EXPLAINED = 0.2  # of what is not a source's, by others: then those are all that there are


class Front(NamedTuple):
    """Sources whose stamps are without the light of large ones behind them.

    Attributes
    ----------
    rows : ndarray, (n,), bool
        Which of the sources they are.
    fraction : ndarray, (y, x, band), float32
        Fraction of the light of each of the tile's pixels that their stamps show.
    behind : ndarray, (y, x, band), optional
        The light that they do not.
    band : int
        Whose light is shared out: that of the detection, but in `divide_bands`.
    """

    rows: np.ndarray
    fraction: np.ndarray
    behind: np.ndarray | None = None
    band: int = 0

    @classmethod
    def of(cls, behind, exposure, sources):
        """Those of an exposure's `sources` before the light `behind`.

        Both as of `pipeline.detection.detect.detect`; None if there is no such light.
        """
        if behind is None:
            return None
        fraction = np.maximum(exposure.flux - behind, 0)
        whole = fraction + np.maximum(behind, 0)
        np.divide(fraction, whole, out=fraction, where=whole > 0)
        return cls(np.asarray(sources["before"]), fraction, behind, sources.meta.get("DETBAND", 0))


def reconcile(maps, cutouts, shape, front=None):
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
    front : Front, optional
    """
    for rows, own, others in claims(maps["SHARE"], cutouts, shape, front):
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


def divide(share, cutouts, shape, front=None, colours=None):
    """Divide each pixel's light among the sources that reach it.

    Shares need not sum to one, and where light is too faint to tell whose it is, they sum to less.
    Here each is taken relative to the sum of all, so that no light is lost or counted twice, and
    a source that is alone has all of its own.  What is behind compact sources is not theirs.

    Parameters
    ----------
    share : ndarray or Planes, (n, y, x)
        SHARE of each stamp.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).
    front : Front, optional
    colours : ndarray, (n,), optional
        Of the sources, in the band whose light it is: see `claims`.

    Yields
    ------
    rows : ndarray, int
        Some of the sources; each comes once.
    divided : ndarray, (m, y, x), float32
        Theirs of the light of their stamps, on the grid of these; 1 where nobody else has a share.
    """
    for rows, own, others in claims(share, cutouts, shape, front, colours):
        yield rows, np.where(others > LEAST, own / np.maximum(own + others, LEAST), 1)


def divide_bands(share, cutouts, shape, front=None):
    """As `divide`, of each band, before whatever light is behind in it.

    Parameters
    ----------
    share : ndarray or Planes, (n, y, x), or list of such, one a band
        One alone is that of every band.
    cutouts, shape, front
        As of `divide`.

    Yields
    ------
    rows : ndarray, int
    divided : ndarray, (m, y, x, band), float32
        Of one band if there is one map of shares.
    """
    shares = [(share, front)]
    if isinstance(share, list):
        shares = [(one, front and front._replace(band=i)) for i, one in enumerate(share)]
    bands = [divide(one, cutouts, shape, before) for one, before in shares]
    for parts in zip(*bands, strict=True):
        yield parts[0][0], np.stack([divided for _, divided in parts], axis=-1)


def claims(share, cutouts, shape, front=None, colours=None):
    """Yield rows of some sources, their shares, and the sum of all others', on their stamps' grids.

    Between the middles of binned blocks shares are interpolated, see
    `pipeline.stamps.masks.enlarge`; of each block the mean counts, of what the tile has of it.  A
    source that is seen in large blocks claims at most what those leave that are seen in small
    ones: a compact source before a giant is a fraction of its block.  Where `colours` are given,
    flux in a band over that in the detection's, the others' shares are times their colours, over
    the source's own.
    """
    colours = np.ones(len(cutouts), "f4") if colours is None else colours
    size, whole = share.shape[1], np.ones(shape[:2], "f4")
    for seen, total, left in _layers(share, cutouts, shape, front, colours):
        for some in rows_of_one(cutouts.binning[seen], size):
            rows, block = seen[some], int(cutouts.binning[seen[some[0]]])
            own = enlarge(share[rows], block)
            others = boxes(total, cutouts.corner[rows], size * block)
            if block >= COARSE:
                own = np.minimum(own, boxes(left, cutouts.corner[rows], size * block))
            if block > 1:
                own *= boxes(whole, cutouts.corner[rows], size * block)
            others = others / colours[rows, None, None] - own
            if block > 1:
                blocks = len(rows), size, block, size, block
                own, others = (part.reshape(blocks).mean((2, 4)) for part in (own, others))
            yield rows, own, others


def _layers(share, cutouts, shape, front, colours):
    """Rows of the sources that see one light, the sum of all claims on it, and what is `left`.

    All light, and then that before large sources', on which those have no claim.
    """
    blocks, total = cutouts.binning, np.zeros(shape[:2], "f4")
    whole = np.broadcast_to(np.float32(1), shape[:2])
    front = front or Front(np.zeros(len(cutouts), bool), whole[..., None])
    left = _left_by_fine(share, cutouts, shape, front) if (blocks >= COARSE).any() else whole
    laid = _laid(share, cutouts, shape, front)
    for block, own, (window, part) in zip(blocks, colours, laid, strict=True):
        total[window] += own * (np.minimum(part, left[window]) if block >= COARSE else part)
    layers = [(np.flatnonzero(~front.rows), total, left)]
    if front.rows.any():
        before, has_claim = np.zeros(shape[:2], "f4"), front.rows | (blocks <= FINE)
        laid = on_tile(share, cutouts, shape)
        for has, own, (window, part) in zip(has_claim, colours, laid, strict=True):
            before[window] += has * own * part
        layers.append((np.flatnonzero(front.rows), before, whole))
    return layers


def _left_by_fine(share, cutouts, shape, front):
    """Share of each of the tile's pixels that those seen in small blocks leave; (y, x), float32."""
    left, laid = np.ones(shape[:2], "f4"), _laid(share, cutouts, shape, front)
    for block, (window, part) in zip(cutouts.binning, laid, strict=True):
        if block <= FINE:
            left[window] -= part
    return np.maximum(left, 0, out=left)


def _laid(share, cutouts, shape, front):
    """As `pipeline.stamps.masks.on_tile`, of shares of all the light of a pixel."""
    fraction = front.fraction[..., front.band]
    for is_before, (window, part) in zip(front.rows, on_tile(share, cutouts, shape), strict=True):
        yield window, part * fraction[window] if is_before else part
