"""Measure deblended sources: from maps of stamps to fluxes and to images of the tile.

A binned stamp's pixel stands for all the tile's pixels in its block.
"""

from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pipeline.apertures import ellipse_weights, mirrored, weighted_flux
from pipeline.cutouts import half_sides
from pipeline.flags import Flag
from pipeline.masks import enlarge, on_tile
from pipeline.shares import divide

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
    interpolated first, see `pipeline.masks.enlarge`.  One that claims none is granted its central
    pixel.

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


def label_image(exposure, sources, cutouts, maps):
    """Say whose each pixel of the tile is.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        ``id``, ``label``, ``x``, ``y``, in the order of the stamps.
    cutouts : Cutouts
    maps : dict of ndarray or Planes, (n, y, x)
        TARGET and SHARE of each stamp.

    Returns
    -------
    label : ndarray, (y, x), int32
        Label of the claimant with the largest SHARE of the pixel's light (of several, the
        largest label); 0 where there is none.  A source that claims nothing, see `footprints`,
        or that others outbid everywhere has its central pixel, so that every label is there.
    overlap : ndarray, (y, x), uint8
        How many sources claim the pixel, at most 255.
    """
    claims = footprints(exposure, sources, cutouts, maps)
    owner = np.asarray(sources["label"], "i4")[claims.source]
    order = np.lexsort((owner, claims.share))
    label = np.zeros(exposure.flux.shape[:2], "i4")
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


def deblended_flux(exposure, sources, cutouts, maps, overlap):
    """Flux of each source without its neighbours, in the Kron aperture of ``flux_auto``.

    A pixel counts by its area inside the aperture times the source's share of its light, of which
    all sources' sum to one, see `pipeline.shares`.
    A pixel without information has the light of the one opposite the source, as for ``flux_auto``;
    what lies beyond the stamp is not counted.  Where a stamp is binned, a block is the sum of its
    pixels, see `pipeline.cutouts.bin_blocks`.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        As `pipeline.detect.detect` gives it, in the order of the stamps.
    cutouts : Cutouts
    maps : dict of ndarray or Planes, (n, y, x)
        TARGET and SHARE of each stamp.
    overlap : ndarray, (y, x)
        Of `label_image`.

    Returns
    -------
    QTable
        ``id``; ``flux`` and ``flux_err`` (n, band), of the exposure's unit, the error being that
        of the pixels and of their correlation, the shares taken as known, both NaN where the band
        has no usable pixel in the aperture; ``blend_fraction``,
        share of the footprint's pixels that others claim too; ``n_neighbours``, other sources
        whose footprints overlap or touch this one's; ``flags``, bits that only now are known.
    """
    claims = footprints(exposure, sources, cutouts, maps)
    shape = (len(cutouts), len(exposure.bands))
    flux, error = np.zeros(shape), np.zeros(shape)
    for rows, divided in divide(maps["SHARE"], cutouts, exposure.flux.shape):
        some = cutouts[rows]
        shares = np.broadcast_to(divided[..., None], some.flux.shape)
        *stamps, shares = mirrored(some.ivar == 0, some.flux, some.ivar, shares)
        weights = aperture_weights(sources[rows], some)[..., None] * shares
        flux[rows], error[rows] = weighted_flux(*stamps, weights, exposure.gain)
    return QTable(
        {
            "id": np.asarray(cutouts.id, "i8"),
            "flux": flux * u.Unit(exposure.unit),
            "flux_err": error * np.asarray(sources["noise_ratio"]) * u.Unit(exposure.unit),
            "blend_fraction": _mean_by_source(claims, overlap[claims.y, claims.x] > 1, shape[0]),
            "n_neighbours": _count_neighbours(claims, shape[0]),
            "flags": np.where(_leaves_stamp(sources, cutouts), Flag.STAMP_CLIPPED, 0).astype("i4"),
        }
    )


def aperture_weights(sources, cutouts):
    """Share of each stamp pixel's area inside its source's Kron aperture, that of ``flux_auto``.

    Parameters
    ----------
    sources : Table
        ``x``, ``y``, ``a``, ``b``, ``theta``, ``kron_radius`` of the n sources of the stamps;
        for flat memory, give slices of both.
    cutouts : Cutouts

    Returns
    -------
    ndarray, (n, y, x), float32
    """
    x, y, semi_axes, theta = _apertures(sources, cutouts)
    return ellipse_weights(x, y, semi_axes, theta, cutouts.flux.shape[1])


def raise_to(image, cutouts, spread):
    """Raise pixels of the tile to the spread of the stamps that cover them, where that is larger.

    Parameters
    ----------
    image : ndarray, (y, x), float32
    cutouts : Cutouts
    spread : ndarray, (n, y, x)
        Spread of each stamp's mask over the draws.
    """
    for window, plane in on_tile(spread, cutouts, image.shape):
        np.maximum(image[window], plane, out=image[window])


def _same_sources(sources, cutouts):
    if not np.array_equal(np.asarray(sources["id"]), cutouts.id):
        raise ValueError(
            f"the {len(cutouts)} stamps are not of the {len(sources)} sources, in one order"
        )


def _apertures(sources, cutouts):
    """Centre, axes (n, 2) and angle [deg] of the Kron apertures, in pixels of the stamps."""
    x, y, a, b, theta, radius = (
        np.asarray(sources[name], "f8") for name in ("x", "y", "a", "b", "theta", "kron_radius")
    )
    first = (cutouts.binning - 1) / 2  # from a stamp's corner to the middle of its first block
    x, y = (
        (position - corner - first) / cutouts.binning
        for position, corner in zip((x, y), cutouts.corner.T, strict=True)
    )
    return x, y, np.column_stack([a, b]) * (radius / cutouts.binning)[:, None], theta


def _leaves_stamp(sources, cutouts):
    """Whether the Kron aperture reaches beyond the stamp; (n,)."""
    wide, high = (half / cutouts.binning for half in half_sides(sources))
    x, y, *_ = _apertures(sources, cutouts)
    end = cutouts.flux.shape[1] - 0.5
    return (np.minimum(x - wide, y - high) < -0.5) | (np.maximum(x + wide, y + high) > end)


def _mean_by_source(claims, values, n):
    count = np.bincount(claims.source, minlength=n)
    return np.bincount(claims.source, weights=values, minlength=n) / np.maximum(count, 1)


def _count_neighbours(claims, n):
    """Count the other sources whose pixels are the same as, or next to, a source's; (n,), int32."""
    width = claims.x.max(initial=0) + 3  # rows of pixels never run into each other
    order = np.lexsort((claims.source, claims.y * width + claims.x))
    pixel, source = (claims.y * width + claims.x)[order], claims.source[order]
    found = np.zeros(0, int)
    for step in (0, 1, width - 1, width, width + 1):  # the other half of the 3x3 by symmetry
        first, end = (np.searchsorted(pixel, pixel + step, side) for side in ("left", "right"))
        for pair in _pairs(first, end - first):
            low, high = np.sort(source[pair], axis=0)
            found = np.union1d(found, (low * n + high)[low < high])
    both = np.concatenate([found // max(n, 1), found % max(n, 1)])
    return np.bincount(both, minlength=n).astype("i4")


def _pairs(first, count):
    """Yield numbers of claims, and of each the `count` claims from `first` on; (2, m)."""
    part = np.cumsum(count) // _PAIRS_AT_ONCE
    for some in np.split(np.arange(len(count)), np.flatnonzero(np.diff(part)) + 1):
        one, before = np.repeat(some, count[some]), np.cumsum(count[some]) - count[some]
        yield np.stack([one, np.arange(len(one)) - np.repeat(before - first[some], count[some])])
