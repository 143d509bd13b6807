"""Say which pixels of the tile each source claims, and with whom it has to share them."""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from pipeline.stamps.masks import enlarge

_PIXELS_AT_ONCE = 2**22
_PAIRS_AT_ONCE = 2**19


class Footprints(NamedTuple):
    """Every pixel that a source claims, a row a claim; each (m,).

    ``source`` is the row of the source's stamp, ``y``, ``x`` the pixel of the tile, and ``share``
    the source's of its light, inf where the claim is granted, see `footprints`.
    """

    source: np.ndarray
    y: np.ndarray
    x: np.ndarray
    share: np.ndarray


def footprints(exposure, sources, cutouts, maps):
    """List the tile's pixels that each source claims.

    A source claims the usable pixels where its TARGET is above one half; that of binned stamps is
    interpolated first, see `pipeline.stamps.masks.enlarge`.  One that claims none is granted its
    central pixel.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        ``id``, ``x``, ``y`` [pixel], in the order of the stamps.
    cutouts : Cutouts
    maps : dict of ndarray or Planes, (n, y, x)
        TARGET, the probability that a pixel is the source's, and SHARE, of each stamp.

    Returns
    -------
    Footprints
    """
    _same_sources(sources, cutouts)
    claims = _in_tile(exposure, cutouts, maps)
    idle = np.setdiff1d(np.arange(len(cutouts)), claims.source)
    middles = _middles(sources[idle], exposure.flux.shape)
    granted = Footprints(idle, *middles, np.full(len(idle), np.inf, "f4"))
    return Footprints(*map(np.concatenate, zip(claims, granted, strict=True)))


def _middles(sources, shape):
    """Central pixels ``y``, ``x`` of sources, within a tile of this shape; each (n,)."""
    places = zip(("y", "x"), shape[:2], strict=True)
    return [np.clip(np.rint(np.asarray(sources[k], "f8")), 0, n - 1).astype(int) for k, n in places]


def _in_tile(exposure, cutouts, maps):
    """Usable pixels of the tile where a source's TARGET, on its grid, is above one half."""
    usable, side = (exposure.ivar > 0).any(axis=-1), cutouts.flux.shape[1]
    found = [Footprints(*np.zeros((3, 0), int), np.zeros(0, "f4"))]
    for binning in np.unique(cutouts.binning):
        every = np.flatnonzero(cutouts.binning == binning)
        step = max(1, _PIXELS_AT_ONCE // (side * binning) ** 2)
        for rows in (every[start : start + step] for start in range(0, len(every), step)):
            which, dy, dx = np.nonzero(enlarge(maps["TARGET"][rows], binning) > 0.5)
            at, (x, y) = (which, dy // binning, dx // binning), cutouts.corner[rows[which]].T
            x, y = x + dx, y + dy
            inside = (y >= 0) & (x >= 0) & (y < usable.shape[0]) & (x < usable.shape[1])
            inside[inside] = usable[y[inside], x[inside]]
            inside &= cutouts.ivar[rows].any(axis=-1)[at]
            claims = Footprints(rows[which], y, x, maps["SHARE"][rows][at])
            found.append(Footprints(*(values[inside] for values in claims)))
    return Footprints(*map(np.concatenate, zip(*found, strict=True)))


def label_image(claims, sources, shape):
    """Say whose each pixel of the tile is.

    Parameters
    ----------
    claims : Footprints
        Of all sources.
    sources : Table
        ``label``, ``x``, ``y``.
    shape : tuple of int
        Of the tile, (y, x).

    Returns
    -------
    label : ndarray, (y, x), int32
        Label of the claimant with the largest SHARE of the pixel's light (of several, the
        largest label); 0 where there is none.  A source that claims nothing, see `footprints`,
        or that others outbid everywhere has its central pixel, so that every label is there.
    overlap : ndarray, (y, x), uint8
        How many sources claim the pixel, at most 255.
    """
    owner = np.asarray(sources["label"], "i4")[claims.source]
    order = np.lexsort((owner, claims.share))
    label = np.zeros(shape, "i4")
    label[claims.y[order], claims.x[order]] = owner[order]  # the last one written stays
    _grant_middles(label, sources)
    overlap = np.zeros(label.shape, "u1")
    pixel, count = np.unique(claims.y * label.shape[1] + claims.x, return_counts=True)
    overlap.reshape(-1)[pixel] = np.minimum(count, 255)
    return label, overlap


def _grant_middles(label, sources):
    """Give each source without a pixel its central one, unless that is the last of another."""
    own = np.asarray(sources["label"], "i4")
    count = np.bincount(label.reshape(-1), minlength=own.max(initial=0) + 1)
    lost = np.argsort(own)
    lost = lost[count[own[lost]] == 0]
    for number, y, x in zip(own[lost], *_middles(sources[lost], label.shape), strict=True):
        taken = label[y, x]
        if not taken or count[taken] > 1:
            label[y, x] = number
            count[[taken, number]] += [-1, 1]


def crowding(claims, n, overlap):
    """Say how much of each source's footprint others claim, and how many they are.

    Parameters
    ----------
    claims : Footprints
        Of all sources.
    n : int
        Number of sources.
    overlap : ndarray, (y, x)
        Of `label_image`.

    Returns
    -------
    Table
        ``blend_fraction``, share of the footprint's pixels that others claim too;
        ``n_neighbours``, other sources whose footprints overlap or touch this one's.
    """
    shared = overlap[claims.y, claims.x] > 1
    count, others = (np.bincount(claims.source, weights, minlength=n) for weights in (None, shared))
    fraction = others / np.maximum(count, 1)
    return Table({"blend_fraction": fraction, "n_neighbours": _count_neighbours(claims, n)})


def _same_sources(sources, cutouts):
    if not np.array_equal(np.asarray(sources["id"]), cutouts.id):
        raise ValueError(
            f"the {len(cutouts)} stamps are not of the {len(sources)} sources, in one order"
        )


def _count_neighbours(claims, n):
    """Count the other sources whose pixels are the same as, or next to, a source's; (n,), int32."""
    width = claims.x.max(initial=0) + 3  # rows of pixels never run into each other
    source, first, last = _runs(claims.source, claims.y * width + claims.x)
    found = np.zeros(0, int)
    for step in (-width, 0, width):  # of two runs that touch, one begins in or next to the other
        start = np.searchsorted(first, first + step - 1)
        end = np.searchsorted(first, last + step + 1, "right")
        for pair in _pairs(start, end - start):
            low, high = np.sort(source[pair], axis=0)
            found = np.union1d(found, (low * n + high)[low < high])
    both = np.concatenate([found // max(n, 1), found % max(n, 1)])
    return np.bincount(both, minlength=n).astype("i4")


def _runs(source, pixel):
    """Join claims (m,) on pixels in a row: ``source``, first and last pixel, in order of these."""
    begins = np.ones(len(pixel), bool)
    begins[1:] = (np.diff(pixel) != 1) | (np.diff(source) != 0)
    order, ends = np.argsort(pixel[begins]), np.roll(begins, -1)
    return source[begins][order], pixel[begins][order], pixel[ends][order]


def _pairs(first, count):
    """Yield numbers of runs, and of each the `count` runs from `first` on; (2, m)."""
    part = np.cumsum(count) // _PAIRS_AT_ONCE
    for some in np.split(np.arange(len(count)), np.flatnonzero(np.diff(part)) + 1):
        one, before = np.repeat(some, count[some]), np.cumsum(count[some]) - count[some]
        yield np.stack([one, np.arange(len(one)) - np.repeat(before - first[some], count[some])])
