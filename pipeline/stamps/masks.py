"""Bring maps of stamps, binned or not, to the pixels of the tile."""

import numpy as np

from pipeline.stamps.cutouts import boxes
from pipeline.stamps.planes import parts

WHOLE_SHARE = 0.98  # of a tile's stamps that the squares hold whole
LARGEST_SIDE = 512  # of the squares [pixel]


def side_in_tile(binning, size):
    """Choose the side of the squares: nearly all of the stamps are held whole.

    Parameters
    ----------
    binning : ndarray, (n,), int
    size : int
        Side of a stamp [pixel after binning].

    Returns
    -------
    int
        Multiple of `size`, at most `LARGEST_SIDE` [pixel of the tile].
    """
    if not len(binning):
        return size
    wanted = int(np.quantile(binning, WHOLE_SHARE, method="inverted_cdf"))
    return size * max(1, min(wanted, LARGEST_SIDE // size))


def corner_in_tile(cutouts, side):
    """Position (x, y) of each square's first pixel in the tile; (n, 2), int.

    The source is in pixel ``side // 2`` of both axes, as it is in a stamp.
    """
    return cutouts.corner - _margin(cutouts.binning, cutouts.flux.shape[1], side)[:, None]


def expand(maps, binning, side):
    """Lay maps of stamps out in pixels of the tile.

    Parameters
    ----------
    maps : ndarray, (n, y, x)
    binning : ndarray, (n,), int
    side : int
        Of the squares [pixel of the tile].

    Returns
    -------
    ndarray, (n, side, side), float32
        As of `enlarge`; 0 beyond a stamp.
    """
    size = maps.shape[1]
    squares = np.zeros((len(maps), side, side), "f4")
    for block in np.unique(binning):
        rows, margin = np.flatnonzero(binning == block), _margin(block, size, side)
        first, last = max(margin, 0), min(margin + size * block, side)
        inside = slice(first - margin, last - margin)
        squares[rows, first:last, first:last] = enlarge(maps[rows], block)[:, inside, inside]
    return squares


def from_squares(cutouts, squares, corner):
    """Maps of stamps, cut out of squares of the tile's pixels.

    Parameters
    ----------
    cutouts : Cutouts
        Of n sources.
    squares : ndarray, (n, y, x)
        In the tile's pixels, as in ``masks.fits``.
    corner : ndarray, (n, 2), int
        Position ``(x, y)`` of each square's first pixel in the tile.

    Returns
    -------
    list of ndarray
        Of each stamp (y, x), in the tile's pixels; 0 beyond its square.
    """
    sides = cutouts.flux.shape[1] * cutouts.binning
    places = zip(squares, cutouts.corner - corner, sides, strict=True)
    return [boxes(square, [place], side)[0] for square, place, side in places]


def on_tile(maps, cutouts, shape):
    """Lay maps of stamps over the tile, one after the other.

    Parameters
    ----------
    maps : ndarray or Planes, (n, y, x)
    cutouts : Cutouts
        What the maps are of.
    shape : tuple of int
        Of the tile (y, x, ...).

    Yields
    ------
    window : tuple of slice
        Of the tile's pixels that the stamp covers, which may be none.
    part : ndarray, float32
        The map there, as of `enlarge`.
    """
    for rows in parts(len(maps)):
        corners, blocks = cutouts.corner[rows, ::-1].tolist(), cutouts.binning[rows].tolist()
        for one, corner, block in zip(maps[rows], corners, blocks, strict=True):
            plane = enlarge(one[None], block)[0]
            ends = [
                (min(max(start, 0), side), min(max(start + len(plane), 0), side))
                for start, side in zip(corner, shape[:2], strict=True)
            ]
            inside = (
                slice(first - start, last - start)
                for (first, last), start in zip(ends, corner, strict=True)
            )
            yield tuple(slice(*one) for one in ends), plane[tuple(inside)]


def enlarge(maps, binning):
    """Bring maps of stamps of one binning to the tile's pixels, linearly between blocks' middles.

    Parameters
    ----------
    maps : ndarray, (n, y, x)
    binning : int

    Returns
    -------
    ndarray, (n, y * binning, x * binning), float32
    """
    if binning == 1:
        return np.asarray(maps, "f4")
    rows, columns = (_between_middles(n, binning) for n in maps.shape[1:])
    return rows @ np.asarray(maps, "f4") @ columns.T


def _between_middles(size, binning):
    """Weights of `size` blocks in each of their pixels; (size * binning, size), float32."""
    at = (np.arange(size * binning) + 0.5) / binning - 0.5
    apart = np.abs(np.clip(at, 0, size - 1)[:, None] - np.arange(size))
    return np.maximum(1 - apart, 0).astype("f4")


def _margin(binning, size, side):
    """Pixels of the tile from a square's first to its stamp's first; negative if it is cropped."""
    return side // 2 - (size // 2) * binning - binning // 2
