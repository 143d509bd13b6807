"""Tell which rows of overlapping tiles are one source, and which of them to drop."""

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from pipeline.catalogs.sphere import chord, unit_vectors
from pipeline.flags import DEFECT, Flag

SPOILT = DEFECT | Flag.STAMP_CLIPPED
# What an edge left of a source lies within so many semi-major axes, its own and the whole one's, of
# the whole one: up to 2.3 of Gaussians 1.5 sigma, exponentials 2.5 scale lengths off the tile.
REACH = 2.5
FAR = 5  # radii: at most so far apart are centroids that each of two tiles leaves to the other


def superfluous(merged, territories, radius):
    """Find the rows to drop: those of sources that another tile has too, or should have.

    Of two rows of one source that with a flux stays, then that with fewer `SPOILT` flags, then that
    of the tile which the place belongs to, then that of smaller id.  A source that the tile which
    its place belongs to does not have is dropped: so the catalog is as deep where tiles overlap as
    elsewhere, and what a tile's edge left of a source is not in it.  What lies on pixels that the
    other tile lost, were it a narrow trail, is not dropped; nor are both rows of a source on the
    border, each of which has its centroid beyond it.

    Parameters
    ----------
    merged : Table
        ``id``, ``tile``, ``ra``, ``dec``, ``flux``, ``flags``, ``a`` and ``pixel_scale`` of all
        tiles' sources, sorted by tile; those without a sky position (NaN) are never dropped.
    territories : pipeline.catalogs.coverage.Territories
    radius : float
        Greatest distance of two detections of one source, where no edge cuts it [arcsec].

    Returns
    -------
    ndarray of bool, (n,)
    """
    names, tile = np.unique(np.asarray(merged["tile"], "U"), return_inverse=True)
    away = ~_at_home(merged, names, tile, territories)
    pairs, strange = [], away.copy()  # to the tile that has its place
    for among, reach in ((np.ones_like(away), radius), (strange, FAR * radius)):
        pairs.append(_same_source(merged, tile, among, reach))
        both = np.concatenate([pairs[-1], pairs[-1][:, ::-1]])
        row, twin = both[strange[both[:, 0]]].T
        for other, which in _by_tile(tile[twin]):
            strange[row[which]] &= ~territories.has(names[other], *_places(merged, row[which]))
    row = np.flatnonzero(strange)
    for own, which in _by_tile(tile[row]):
        rows = row[which]
        strange[rows] = ~territories.has(names[own], *_places(merged, rows), exactly=True)
    pairs = np.concatenate(pairs)
    pairs = pairs[~strange[pairs].any(axis=1)]
    fluxless = np.isnan(np.atleast_2d(np.asarray(merged["flux"]).T)).all(axis=0)
    return dominated(pairs, _rank(merged, fluxless, away)) | strange


def seen_elsewhere(tiles, radius):
    """Ids of the sources to drop, of tiles whose catalogs are not merged yet.

    Parameters
    ----------
    tiles : sequence of Table
        The columns that `superfluous` takes, but ``flux``, of each tile's sources.
    radius : float
        As of `superfluous`.

    Returns
    -------
    ndarray, int64
    """
    names = "id", "tile", "ra", "dec", "flags", "a", "pixel_scale"
    columns = (np.concatenate([np.asarray(tile[name]) for tile in tiles]) for name in names)
    joined = Table(dict(zip(names, columns, strict=True)))
    tile = np.unique(np.asarray(joined["tile"], "U"), return_inverse=True)[1]
    none = np.zeros(len(joined), bool)
    pairs = _same_source(joined, tile, ~none, radius)
    dropped = dominated(pairs, _rank(joined, none, none))
    return np.asarray(joined["id"], "i8")[dropped]


def _at_home(merged, names, tile, territories):
    """Whether each row's place is its own tile's; (n,)."""
    home = np.ones(len(tile), bool)
    for own, rows in _by_tile(tile):
        home[rows] = territories.has(names[own], *_places(merged, rows))
    return home


def _by_tile(tile):
    """Each tile among `tile` (n,) with where it is there: sorted once, not searched for each."""
    order = np.argsort(tile, kind="stable")
    some, start = np.unique(tile[order], return_index=True)
    return zip(some.tolist(), np.split(order, start)[1:], strict=True)


def _places(merged, rows):
    """Coordinates of some rows [deg]."""
    return tuple(np.asarray(merged[name], "f8")[rows] for name in ("ra", "dec"))


def _rank(merged, fluxless, away):
    """Rank of each row, 0 the best: (n,), int.

    Not `fluxless`, then unspoilt, then not `away`, then of smaller id.
    """
    flags = np.asarray(merged["flags"]) & int(SPOILT)
    worth = np.lexsort((np.asarray(merged["id"]), away, np.bitwise_count(flags), fluxless))
    rank = np.empty_like(worth)
    rank[worth] = np.arange(len(worth))
    return rank


def _same_source(merged, tile, among, radius):
    """Pairs (m, 2) of rows `among` all (n,) that are each other's nearest in their different tiles.

    Those farther apart than `radius` are an unspoilt source, and what an edge left of it.
    """
    ra, dec = np.asarray(merged["ra"]), np.asarray(merged["dec"])
    placed = np.flatnonzero(among & np.isfinite(ra) & np.isfinite(dec))
    if not len(placed):
        return np.zeros((0, 2), int)
    tree = cKDTree(unit_vectors(ra[placed], dec[placed]), balanced_tree=False)
    flags = np.asarray(merged["flags"])[placed]
    reach = REACH * (np.asarray(merged["a"]) * np.asarray(merged["pixel_scale"]))[placed]
    cut = np.flatnonzero((flags & Flag.EDGE > 0) & (reach > radius))
    near = tree.query_pairs(chord(radius), output_type="ndarray")
    close = np.concatenate([near, _in_reach(cut, tree, reach)])
    close = close[tile[placed[close[:, 0]]] != tile[placed[close[:, 1]]]]
    distance = _distances(tree, close)
    alike = (distance <= chord(radius)) | (flags[close] & int(SPOILT) == 0).any(axis=1)
    close = placed[close]
    first, second = close.T
    mutual = _nearest(first, tile[second], distance) & _nearest(second, tile[first], distance)
    return close[mutual & alike]


def _in_reach(cut, tree, reach):
    """Pairs (m, 2) of rows `cut` and any that lie within each other's `reach` (n,) [arcsec]."""
    found = tree.query_ball_point(tree.data[cut], chord(reach[cut]))
    pairs = [(i, j) for i, near in zip(cut.tolist(), found, strict=True) for j in near]
    pairs = np.array(pairs, int).reshape(-1, 2)
    pairs = pairs[_distances(tree, pairs) <= chord(reach[pairs[:, 1]])]
    return np.sort(pairs, axis=1)  # the earlier first, as the tree's own


def _distances(tree, pairs):
    """Lengths (m,) of the lines between pairs of a tree's points."""
    return np.linalg.norm(tree.data[pairs[:, 0]] - tree.data[pairs[:, 1]], axis=1)


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
