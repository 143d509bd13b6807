"""Tell which rows of overlapping tiles are one source, and which of them to drop."""

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from pipeline.catalogs.sphere import chord, unit_vectors
from pipeline.flags import Flag

SPOILT = Flag.EDGE | Flag.MASKED | Flag.SATURATED | Flag.STAMP_CLIPPED


def superfluous(merged, territories, radius):
    """Find the rows to drop: those of sources that another tile has too, or should have.

    Of two rows of one source that with fewer `SPOILT` flags stays, then that of the tile which
    the place belongs to, then that of smaller id.  A source that the tile which its place belongs
    to does not have is dropped: so the catalog is as deep where tiles overlap as elsewhere, and
    what a tile's edge left of a source is not in it.  What lies on pixels that the other tile lost,
    were it a narrow trail, is not dropped.

    Parameters
    ----------
    merged : Table
        ``id``, ``tile``, ``ra``, ``dec`` and ``flags`` of all tiles' sources; those without a sky
        position (NaN) are never dropped.
    territories : pipeline.catalogs.coverage.Territories
    radius : float
        Greatest distance of two detections of one source [arcsec].

    Returns
    -------
    ndarray of bool, (n,)
    """
    names, tile = np.unique(np.asarray(merged["tile"], "U"), return_inverse=True)
    away = ~_at_home(merged, names, tile, territories)
    pairs = _same_source(merged, tile, radius)
    strange = away.copy()  # to the tile that has its place
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[away[both[:, 0]]]
    for other in np.unique(tile[both[:, 1]]).tolist():
        rows = both[tile[both[:, 1]] == other, 0]
        strange[rows] &= ~territories.has(names[other], *_places(merged, rows))
    for own in np.unique(tile[strange]).tolist():
        rows = np.flatnonzero(strange & (tile == own))
        strange[rows] = ~territories.has(names[own], *_places(merged, rows), exactly=True)
    pairs = pairs[~strange[pairs].any(axis=1)]
    return dominated(pairs, _rank(merged, away)) | strange


def seen_elsewhere(tiles, radius):
    """Ids of the sources to drop, of tiles whose catalogs are not merged yet.

    Parameters
    ----------
    tiles : sequence of Table
        ``id``, ``tile``, ``ra``, ``dec`` and ``flags`` of each tile's sources.
    radius : float
        As of `superfluous`.

    Returns
    -------
    ndarray, int64
    """
    names = "id", "tile", "ra", "dec", "flags"
    columns = (np.concatenate([np.asarray(tile[name]) for tile in tiles]) for name in names)
    joined = Table(dict(zip(names, columns, strict=True)))
    tile = np.unique(np.asarray(joined["tile"], "U"), return_inverse=True)[1]
    rank = _rank(joined, np.zeros(len(joined), bool))
    dropped = dominated(_same_source(joined, tile, radius), rank)
    return np.asarray(joined["id"], "i8")[dropped]


def _at_home(merged, names, tile, territories):
    """Whether each row's place is its own tile's; (n,)."""
    home, order = np.ones(len(tile), bool), np.argsort(tile, kind="stable")
    start = np.searchsorted(tile[order], np.arange(len(names) + 1))
    for name, first, last in zip(names.tolist(), start[:-1], start[1:], strict=True):
        rows = order[first:last]
        home[rows] = territories.has(name, *_places(merged, rows))
    return home


def _places(merged, rows):
    """Coordinates of some rows [deg]."""
    return tuple(np.asarray(merged[name], "f8")[rows] for name in ("ra", "dec"))


def _rank(merged, away):
    """Rank of each row, 0 the best: unspoilt, then not `away`, then of smaller id; (n,), int."""
    flags = np.asarray(merged["flags"]) & int(SPOILT)
    worth = np.lexsort((np.asarray(merged["id"]), away, np.bitwise_count(flags)))
    rank = np.empty_like(worth)
    rank[worth] = np.arange(len(worth))
    return rank


def _same_source(merged, tile, radius):
    """Pairs (m, 2) of rows of different tiles that are each other's nearest in those tiles."""
    ra, dec = np.asarray(merged["ra"]), np.asarray(merged["dec"])
    placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(placed):
        return np.zeros((0, 2), int)
    where = unit_vectors(ra[placed], dec[placed])
    tree = cKDTree(where, balanced_tree=False)
    close = tree.query_pairs(chord(radius), output_type="ndarray")
    distance = np.linalg.norm(where[close[:, 0]] - where[close[:, 1]], axis=1)
    close = placed[close]
    apart = tile[close[:, 0]] != tile[close[:, 1]]
    close, distance = close[apart], distance[apart]
    first, second = close.T
    return close[_nearest(first, tile[second], distance) & _nearest(second, tile[first], distance)]


def _nearest(source, other_tile, distance):
    """Whether each pair is the closest that `source` has in the other tile (all of length m)."""
    order = np.lexsort((distance, other_tile, source))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(source[order]) != 0) | (np.diff(other_tile[order]) != 0)
    nearest = np.zeros(len(order), bool)
    nearest[order] = is_first
    return nearest


def dominated(pairs, rank):
    """Rows dropped for a kept row of lower `rank`: the greedy independent set, in rounds.

    Parameters
    ----------
    pairs : ndarray, (m, 2), int
        Rows of which one is to be dropped.
    rank : ndarray, (n,)
        No two alike.

    Returns
    -------
    ndarray of bool, (n,)
    """
    better = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    dropped = np.zeros(len(rank), bool)
    while len(better):
        waits = np.zeros(len(rank), bool)
        waits[better[:, 1]] = True
        sure = ~waits[better[:, 0]]
        dropped[better[sure, 1]] = True
        better = better[~dropped[better].any(axis=1)]
    return dropped
