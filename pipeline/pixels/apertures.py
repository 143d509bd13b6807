"""Sums in elliptical apertures whose edge pixels count by the share of their area inside."""

import numpy as np

_SLICES = 8  # thin rows an edge pixel is cut into; an aperture's area is then good to 3e-3


def ellipse_weights(x, y, semi_axes, theta, size):
    """Share of each pixel's area that lies inside an ellipse.

    An edge pixel is cut into thin rows, whose overlap with the ellipse's chord is exact.

    Parameters
    ----------
    x, y : ndarray, (n,)
        Centres [pixel of the stamp, 0-based].
    semi_axes : ndarray, (n, 2)
        Semi-major and semi-minor axis [pixel].
    theta : ndarray, (n,)
        Position angle of the major axis [deg, counter-clockwise from +x].
    size : int
        Side of the stamps [pixel].

    Returns
    -------
    ndarray, (n, size, size), float32
    """
    cxx, cyy, cxy = _coefficients(semi_axes, theta)
    grid = np.arange(size, dtype="f4")
    dx = grid - np.asarray(x, "f4")[:, None]
    dy = grid - np.asarray(y, "f4")[:, None]
    radius2 = (cxy[:, None] * dy)[:, :, None] * dx[:, None, :]
    radius2 += (cxx[:, None] * dx**2)[:, None, :]
    radius2 += (cyy[:, None] * dy**2)[:, :, None]
    # half a pixel's diagonal, in units of the minor axis, bounds how far a pixel reaches
    reach = (np.sqrt(0.5) / np.asarray(semi_axes)[:, 1]).astype("f4")[:, None, None]
    weights = (radius2 < 1).astype("f4")
    edge = np.nonzero((radius2 < (1 + reach) ** 2) & (radius2 >= np.maximum(1 - reach, 0) ** 2))
    i, row, column = edge
    weights[edge] = _chord_overlap(cxx[i], cyy[i], cxy[i], dx[i, column], dy[i, row])
    return weights


def _coefficients(semi_axes, theta):
    """Coefficients of ``cxx dx**2 + cyy dy**2 + cxy dx dy <= 1``; each (n,)."""
    a, b = np.asarray(semi_axes, "f8").T
    cos, sin = np.cos(np.radians(theta)), np.sin(np.radians(theta))
    cxx, cyy = (cos / a) ** 2 + (sin / b) ** 2, (sin / a) ** 2 + (cos / b) ** 2
    cxy = 2 * cos * sin * (a**-2 - b**-2)
    return cxx.astype("f4"), cyy.astype("f4"), cxy.astype("f4")


def _chord_overlap(cxx, cyy, cxy, dx, dy):
    """Area of pixels centred at (dx, dy) that lies inside the ellipse; (n,)."""
    area = np.zeros(len(dx), "f4")
    for offset in (np.arange(_SLICES, dtype="f4") + 0.5) / _SLICES - 0.5:
        v = dy + offset
        middle = -cxy * v / (2 * cxx)
        half2 = middle**2 - (cyy * v**2 - 1) / cxx
        half = np.sqrt(np.maximum(half2, 0))
        overlap = np.minimum(middle + half, dx + 0.5) - np.maximum(middle - half, dx - 0.5)
        area += np.clip(overlap, 0, 1)
    return area / _SLICES


def weighted_flux(flux, ivar, weights, gain):
    """Weighted sum over stamps, with its error.

    Pixels without information (ivar 0) are not counted.

    Parameters
    ----------
    flux, ivar : ndarray, (n, y, x, band)
    weights : ndarray, (n, y, x, band)
    gain : sequence of float
        Electrons per unit of flux, one a band; 0 leaves the sources' Poisson noise out.

    Returns
    -------
    flux, error : ndarray, (n, band), float64
        NaN where no pixel counts.
    """
    n, bands = len(flux), flux.shape[-1]
    total, variance = np.zeros((n, bands)), np.zeros((n, bands))
    for band in range(bands):
        pixels, precision = flux[..., band], ivar[..., band]
        weight = weights[..., band]
        usable = precision > 0
        noise = np.divide(1, precision, where=usable, out=np.zeros_like(precision))
        if gain[band] > 0:
            noise += np.where(usable, np.maximum(pixels, 0) / np.float32(gain[band]), 0)
        total[:, band] = np.einsum("nyx,nyx,nyx->n", weight, pixels, usable, dtype="f8")
        variance[:, band] = np.einsum("nyx,nyx->n", weight**2, noise, dtype="f8")
        unseen = ~(usable & (weight > 0)).any(axis=(1, 2))
        total[unseen, band] = variance[unseen, band] = np.nan
    return total, np.sqrt(variance)


def folded(weights, lost):
    """Let the pixel opposite the middle, ``size // 2`` of both axes, stand in for each lost one.

    Such a pixel counts for both, and so does its noise.

    Parameters
    ----------
    weights : ndarray, (n, y, x)
    lost : ndarray, (n, y, x, band), bool

    Returns
    -------
    ndarray, (n, y, x, band)
        0 on lost pixels.  One in the first row or column of a stamp of even size has none
        opposite.
    """
    weights = np.broadcast_to(weights[..., None], lost.shape)
    if not lost.any():
        return weights
    even = 1 - lost.shape[1] % 2
    lent = np.zeros_like(weights)
    lent[:, even:, even:] = (weights * lost)[:, even:, even:][:, ::-1, ::-1]
    return np.where(lost, 0, weights + lent)
