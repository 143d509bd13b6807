"""Stamps as the networks take them."""

import numpy as np

WITH_COMPANIONS = False  # whether a network is told of other sources' stamps
SHARPEST = 0.5  # full width at half maximum of a PSF that was trained for, at least [pixel]


def see(scenes, networks=None, normal=None):
    """Flux and ivar as a network sees them that is not told the binning; (n, y, x, 2)."""
    flux = scenes["flux"]
    return flux.__array_namespace__().stack([flux, scenes["ivar"]], axis=-1)


def one_band(cutouts, band):
    """Flux and ivar of one band, plane by plane in memory; (n, y, x, 2), float32."""
    planes = np.stack([cutouts.flux[..., band], cutouts.ivar[..., band]], axis=1)
    return np.moveaxis(planes, 1, -1)


def turned(arrays, k):
    """Turn square arrays (n, y, x, ...) by ``k % 4`` right angles, mirrored if ``k >= 4``.

    The pixel ``side // 2`` of both axes, where the source is, stays there; the first row and
    column of an even side have no counterpart beyond it, and stay what they are.
    """
    if k >= 4:
        arrays = [_mirrored(a, 2) for a in arrays]
    for _ in range(k % 4):
        arrays = [_mirrored(a.swapaxes(1, 2), 1) for a in arrays]
    return list(arrays)


def _mirrored(array, axis):
    xp, side = array.__array_namespace__(), array.shape[axis]
    return xp.take(array, (2 * (side // 2) - np.arange(side)) % side, axis=axis)


def join(parts):
    """Join arrays, tuples of arrays or nothing; each part is let go of once it is copied."""
    if parts[0] is None:
        return None
    if isinstance(parts[0], tuple):
        columns = [list(column) for column in zip(*parts, strict=True)]
        parts.clear()
        return tuple(map(join, columns))
    whole, start = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype), 0
    while parts:
        part = parts.pop(0)
        whole[start : start + len(part)] = part
        start += len(part)
    return whole
