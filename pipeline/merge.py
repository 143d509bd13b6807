"""Make one catalog of the tiles', with every source of an overlap once."""

import logging
from collections import Counter

import numpy as np
from astropy.table import Column, Table
from scipy.spatial import cKDTree

from pipeline.catalog import FLUXES, empty
from pipeline.flags import Flag
from pipeline.known import chord, known_lenses, name_known, unit_vectors

log = logging.getLogger(__name__)
SPOILT = Flag.EDGE | Flag.MASKED | Flag.SATURATED | Flag.STAMP_CLIPPED


def merge(tables, settings, lenses=None):
    """Concatenate the tiles' catalogs, keep a source seen twice once, and name known lenses.

    A source is in two tiles if it and another are each other's nearest within
    `settings.radius`.  The one with fewer `SPOILT` flags is kept, then the one deeper inside
    the area that its tile's sources span, then the one of smaller id; which is dropped only
    if the one it is dropped for stays.  The result does not depend on the tiles' order.

    Parameters
    ----------
    tables : sequence of Table
        Catalogs as `pipeline.catalog.assemble` makes them, one a tile.
    settings : config.Merge
    lenses : Table, optional
        Known lenses; those of lenscat if left out.

    Returns
    -------
    Table
        The same columns, sorted by tile and label.

    Raises
    ------
    ValueError
        If an id appears twice: two tiles of one name, or one given twice.
    """
    merged = _concatenate(sorted(tables, key=_name))
    ids = np.asarray(merged["id"])
    if len(np.unique(ids)) != len(ids):
        twice = [tile for tile, n in Counter(map(_name, tables)).items() if tile and n > 1]
        raise ValueError(f"{len(ids) - len(np.unique(ids))} ids appear twice; tiles {twice}")
    merged = merged[~seen_twice(merged, settings.radius)]
    lenses = known_lenses() if lenses is None else lenses
    position = np.asarray(merged["ra"]), np.asarray(merged["dec"])
    named = name_known(*position, lenses, settings.known_radius)
    merged["known_lens"] = Column(named, **_words(merged["known_lens"]))
    return merged


def rejected(reasons):
    """List the tiles that could not be used.

    Parameters
    ----------
    reasons : dict of str
        Why a tile is rejected, by its name; empty for a good tile.

    Returns
    -------
    Table
        ``tile`` and ``reason``, one row a rejected tile, sorted by name.
    """
    rows = sorted((tile, reason) for tile, reason in reasons.items() if reason)
    return Table(rows=rows or None, names=("tile", "reason"), dtype=("U", "U"))


def seen_twice(merged, radius):
    """Find the sources to drop, because another tile has them better.

    Parameters
    ----------
    merged : Table
        ``id``, ``tile``, ``ra``, ``dec``, ``x``, ``y`` and ``flags`` of all tiles' sources;
        sources without a sky position (NaN) are never dropped.
    radius : float
        Greatest distance of two detections of one source [arcsec].

    Returns
    -------
    ndarray of bool, (n,)
    """
    tile = np.unique(np.asarray(merged["tile"], "U"), return_inverse=True)[1]
    pairs = _same_source(np.asarray(merged["ra"]), np.asarray(merged["dec"]), tile, radius)
    flags = np.asarray(merged["flags"]) & int(SPOILT)
    depth = _depth(np.asarray(merged["x"]), np.asarray(merged["y"]), tile)
    worth = np.lexsort((np.asarray(merged["id"]), -depth, np.bitwise_count(flags)))
    rank = np.empty_like(worth)
    rank[worth] = np.arange(len(worth))
    return dominated(pairs, rank)


def seen_elsewhere(tiles, radius):
    """Ids of the sources to drop, of tiles whose catalogs are not merged yet.

    Parameters
    ----------
    tiles : sequence of Table
        Sources of each tile, with the columns that `seen_twice` needs.
    radius : float
        As of `seen_twice`.

    Returns
    -------
    ndarray, int64
    """
    names = "id", "tile", "ra", "dec", "x", "y", "flags"
    columns = (np.concatenate([np.asarray(tile[name]) for tile in tiles]) for name in names)
    joined = Table(dict(zip(names, columns, strict=True)))
    return np.asarray(joined["id"], "i8")[seen_twice(joined, radius)]


def _same_source(ra, dec, tile, radius):
    """Pairs (m, 2) of rows of different tiles that are each other's nearest in those tiles."""
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


def _concatenate(tables):
    """Stack catalogs of the same columns; a flux in another unit than most tiles' is NaN."""
    filled = [table for table in tables if len(table)] or list(tables[:1])
    if not filled:
        return empty()
    units = Counter(str(table["flux"].unit) for table in filled)
    unit = max(sorted(units), key=units.get)
    stacked = []
    for name in filled[0].colnames:
        values = [_comparable(table, name, unit) for table in filled]
        words = _words(next(t for t in filled if str(t["flux"].unit) == unit)[name])
        stacked.append(Column(np.concatenate(values), **words))
    return Table(stacked, meta=filled[0].meta)


def _comparable(table, name, unit):
    """Values of a column, NaN where they are fluxes in another unit than `unit`."""
    values = np.asarray(table[name])
    if name not in FLUXES or str(table[name].unit) == unit:
        return values
    if name == "flux":
        log.warning("%s: flux is in %r, not %r: left out", _name(table), table[name].unit, unit)
    return np.full_like(values, np.nan)


def _words(column):
    """All that a column says of itself."""
    info = column.info
    return {
        "name": info.name,
        "unit": column.unit,
        "description": info.description,
        "meta": info.meta,
    }


def _name(table):
    return str(table["tile"][0]) if len(table) else ""
