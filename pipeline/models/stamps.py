"""Stamps as the networks take them."""

import numpy as np

WITH_COMPANIONS = False  # whether a network is told of other sources' stamps
SHARPEST = 0.5  # full width at half maximum of a PSF that was trained for, at least [pixel]


def see(scenes, networks=None, normal=None):
    """Flux and ivar as a network sees them that is not told the binning; (n, y, x, 2)."""
    flux = scenes["flux"]
    return flux.__array_namespace__().stack([flux, scenes["ivar"]], axis=-1)


def one_band(cutouts, band):
    """Flux and ivar of the band numbered `band`; (n, y, x, 2), float32."""
    return np.stack([cutouts.flux[..., band], cutouts.ivar[..., band]], axis=-1)


def turned(arrays, k):
    """Turn arrays (n, y, x, ...) by ``k % 4`` right angles, mirrored if ``k >= 4``."""
    if k >= 4:
        arrays = [a[:, :, ::-1] for a in arrays]
    return [np.rot90(a, k % 4, axes=(1, 2)) for a in arrays]
