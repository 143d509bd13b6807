"""Tell which rows of overlapping tiles are one source, and which of them to drop."""

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from pipeline.catalog import detection_band
from pipeline.flags import Flag
from pipeline.known import chord, unit_vectors

SPOILT = Flag.EDGE | Flag.MASKED | Flag.SATURATED | Flag.STAMP_CLIPPED
DEEPER = 1.25  # by this factor of the noise a tile is worth more than another
REACH = 3.0  # of a source's light, in the rms of it


def superfluous(merged, radius):
    """Find the rows to drop: another tile has the source better, or whole.

    Parameters
    ----------
    merged : Table
        ``id``, ``tile``, ``ra``, ``dec``, ``x``, ``y``, ``a``, ``b``, ``flux``, ``flux_err`` and
        ``flags`` of all tiles' sources, as the catalog has them; sources without a sky position
        (NaN) are never dropped.
    radius : float
        Greatest distance of two detections of one source [arcsec].

    Returns
    -------
    ndarray of bool, (n,)
    """
    tile = _numbers(merged)
    pairs = _same_source(merged, tile, radius)
    dropped = dominated(pairs, _rank(merged, tile, _noise_class(merged, tile)))
    alone = np.ones(len(merged), bool)
    alone[pairs] = False
    return dropped | (alone & _is_piece(merged, tile))


def seen_elsewhere(tiles, radius):
    """Ids of the sources to drop, of tiles whose catalogs are not merged yet.

    Parameters
    ----------
    tiles : sequence of Table
        ``id``, ``tile``, ``ra``, ``dec``, ``x``, ``y`` and ``flags`` of each tile's sources.
    radius : float
        As of `superfluous`.

    Returns
    -------
    ndarray, int64
    """
    names = "id", "tile", "ra", "dec", "x", "y", "flags"
    columns = (np.concatenate([np.asarray(tile[name]) for tile in tiles]) for name in names)
    joined = Table(dict(zip(names, columns, strict=True)))
    tile = _numbers(joined)
    dropped = dominated(_same_source(joined, tile, radius), _rank(joined, tile))
    return np.asarray(joined["id"], "i8")[dropped]


def _numbers(merged):
    """Number of each row's tile, from 0; (n,)."""
    return np.unique(np.asarray(merged["tile"], "U"), return_inverse=True)[1]


def _rank(merged, tile, noise=0):
    """Rank of each row, 0 the best: unspoilt, of a deep tile, deep inside it; (n,), int."""
    flags = np.asarray(merged["flags"]) & int(SPOILT)
    depth = _depth(np.asarray(merged["x"]), np.asarray(merged["y"]), tile)
    noise = np.broadcast_to(noise, tile.shape)
    worth = np.lexsort((np.asarray(merged["id"]), -depth, noise, np.bitwise_count(flags)))
    rank = np.empty_like(worth)
    rank[worth] = np.arange(len(worth))
    return rank


def _noise_class(merged, tile):
    """How many times `DEEPER` noisier each row's tile is than most; (n,), rounded.

    Of tiles, not of rows: the smaller of two errors of one source is often that of the smaller
    aperture.
    """
    area = np.asarray(merged["a"], "f8") * np.asarray(merged["b"], "f8")
    noise = _median_of_tile(detection_band(merged, "flux_err") / np.sqrt(area), tile)
    noise = np.where(noise > 0, noise, np.inf)
    typical = np.median(noise[np.isfinite(noise)]) if np.isfinite(noise).any() else 1.0
    return np.round(np.log(noise / typical) / np.log(DEEPER))[tile]


def _is_piece(merged, tile):
    """Whether each row is what an edge cut off a source that another tile has whole; (n,).

    That source is brighter, and the row within `REACH` of its rms semi-major axis.
    """
    found = np.zeros(len(merged), bool)
    where = unit_vectors(np.asarray(merged["ra"]), np.asarray(merged["dec"]))
    placed = np.isfinite(where).all(axis=1)
    is_cut = (np.asarray(merged["flags"]) & Flag.EDGE) > 0
    cut = np.flatnonzero(placed & is_cut)
    if not len(cut):
        return found
    reach = REACH * np.asarray(merged["a"], "f8") * _pixel_scale(merged, where, tile)[tile]
    whole = np.flatnonzero(placed & ~is_cut & np.isfinite(reach))
    near = cKDTree(where[cut]).query_ball_point(where[whole], reach[whole])
    host = np.repeat(whole, [len(some) for some in near])
    piece = cut[np.concatenate([*near, []]).astype(int)]
    flux = detection_band(merged, "flux")
    found[piece[(tile[piece] != tile[host]) & (flux[piece] < flux[host])]] = True
    return found


def _pixel_scale(merged, where, tile):
    """Distance on the unit sphere of two pixels of each tile; NaN for a tile of one source."""
    order = np.argsort(tile, kind="stable")
    pixel = np.column_stack([np.asarray(merged[name], "f8") for name in "xy"])[order]
    step = [np.linalg.norm(np.diff(at, axis=0), axis=1) for at in (where[order], pixel)]
    same = (np.diff(tile[order]) == 0) & (step[1] > 0)
    ratio = np.full(len(tile), np.nan)
    ratio[order[1:][same]] = step[0][same] / step[1][same]
    return _median_of_tile(ratio, tile)


def _median_of_tile(values, tile):
    """Median of each tile's values that are finite, NaN where there is none; (tiles,)."""
    finite = np.flatnonzero(np.isfinite(values))
    order = finite[np.lexsort((values[finite], tile[finite]))]
    count = np.bincount(tile[finite], minlength=tile.max(initial=-1) + 1)
    middle = np.cumsum(count) - count + count // 2
    has = count > 0
    median = np.full(len(count), np.nan)
    median[has] = values[order[middle[has]]]
    return median


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


def _depth(x, y, tile):
    """Distance of each source from the edge of the box that its tile's sources span [pixel]."""
    if not len(tile):
        return np.zeros(0)
    n = tile.max() + 1
    depth = np.full(len(tile), np.inf)
    for position in (x, y):
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, tile, position)
        np.maximum.at(high, tile, position)
        depth = np.minimum(depth, np.minimum(position - low[tile], high[tile] - position))
    return depth


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
