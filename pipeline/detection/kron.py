"""Kron apertures, the light in them and the radius of its half."""

import numpy as np
import sep

from pipeline.pixels.apertures import ellipse_weights, folded, weighted_flux
from pipeline.stamps.cutouts import boxes

FACTOR, SMALLEST, LARGEST = 2.5, 3.5, 15.0  # of the aperture, in Kron radii and in a
_MEASURED_WITHIN = 6.0
_PIXELS_AT_ONCE = 1_000_000


def kron_radii(flux, mask, shapes, segments):
    """Semi-major axis of the Kron aperture of each source, in units of its ``a``.

    2.5 times the first moment of the light within ``6 a`` (Kron 1980, ApJS 43, 305), at least
    3.5, as in SExtractor (Bertin & Arnouts 1996, A&AS 117, 393).

    Parameters
    ----------
    flux : ndarray, (y, x)
    mask : ndarray, (y, x), bool
        Pixels without information.
    shapes : Table
        ``x``, ``y``, ``a``, ``b`` [pixel] and ``theta`` [deg] of the n sources.
    segments : ndarray, (y, x), int32
        Row number of the source of each pixel plus one, 0 where there is none.

    Returns
    -------
    radius : ndarray, (n,)
    failed : ndarray, (n,), bool
        No moment could be measured; the radius is then the smallest.
    """
    if not len(shapes):
        return np.zeros(0), np.zeros(0, bool)
    ellipse = *(shapes[k] for k in ("x", "y", "a", "b")), np.radians(shapes["theta"])
    ids = np.arange(1, len(shapes) + 1)
    with np.errstate(invalid="ignore"):
        moment, _ = sep.kron_radius(
            flux, *ellipse, _MEASURED_WITHIN, mask=mask, seg_id=ids, segmap=segments
        )
    failed = ~((moment > 0) & (moment <= _MEASURED_WITHIN))
    return np.where(failed, SMALLEST, np.clip(FACTOR * moment, SMALLEST, LARGEST)), failed


def aperture_flux(exposure, shapes, radius, segments):
    """Flux of every band in each source's Kron aperture.

    Pixels of other sources and pixels without information are replaced by those opposite the
    source's centre, and by 0 where these are no better (SExtractor's MASK_TYPE CORRECT).

    Parameters
    ----------
    exposure : Exposure
    shapes : Table
        As for `kron_radii`.
    radius : ndarray, (n,)
        Semi-major axis of the aperture, in units of ``a``.
    segments : ndarray, (y, x), int32

    Returns
    -------
    flux, error : ndarray, (n, band)
        NaN where the band has no usable pixel in the aperture.
    missing : ndarray, (n,)
        Share of the aperture's area that carries no information in some band.
    """
    n, bands = len(shapes), len(exposure.bands)
    flux, error, missing = np.zeros((n, bands)), np.zeros((n, bands)), np.zeros(n)
    half = _half_sides(shapes["a"] * radius)
    for side in np.unique(half):
        step = max(1, _PIXELS_AT_ONCE // (2 * side + 1) ** 2)
        same = np.nonzero(half == side)[0]
        for rows in np.split(same, range(step, len(same), step)):
            flux[rows], error[rows], missing[rows] = _measure(
                exposure, shapes[rows], radius[rows], (segments, rows + 1), side
            )
    return flux, error, missing


def _half_sides(reach):
    """Half sides of the boxes that hold the apertures, in a few steps; (n,), int."""
    return (4 * 2 ** np.ceil(np.log2(np.maximum(reach + 1.5, 4) / 4))).astype(int)


def _measure(exposure, shapes, radius, owners, half):
    segments, ids = owners
    x0, y0 = (np.rint(shapes[k]).astype(int) for k in ("x", "y"))
    corner = np.column_stack([x0, y0]) - half
    side = 2 * half + 1
    axes = np.column_stack([shapes["a"], shapes["b"]]) * radius[:, None]
    centre = shapes["x"] - corner[:, 0], shapes["y"] - corner[:, 1]
    weights = ellipse_weights(*centre, axes, shapes["theta"], side)
    owner = boxes(segments, corner, side)
    others = (owner > 0) & (owner != ids[:, None, None])
    flux, ivar = boxes(exposure.flux, corner, side), boxes(exposure.ivar, corner, side)
    lost = ~boxes(exposure.seen, corner, side).all(axis=-1)
    missing = (weights * lost).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
    weights = folded(weights, (ivar == 0) | others[..., None])
    return *weighted_flux(flux, ivar, weights, exposure.gain), missing


def correlated(correlation, kernel, area):
    """How many times the error of an aperture's flux exceeds that of independent pixels.

    Noise whose correlation has the area ``c`` is in Gaussian weights of effective area ``k``
    noisier by ``c k / (c + k)`` in variance.  The PSF is such a weight, which gives ``c``; an
    aperture is treated as another.

    Parameters
    ----------
    correlation : float
        The factor in the matched filter, as `pipeline.detection.matched.noise_correlation` gives
        it.
    kernel : ndarray, (size, size)
        The PSF of that filter.
    area : ndarray, (n,)
        Of the apertures [pixel].

    Returns
    -------
    ndarray, (n,)
        At least 1.  On smoothed and on resampled white noise the error is then right to 10 %,
        where noise is correlated over less than the PSF.
    """
    size = kernel.sum() ** 2 / (kernel**2).sum()
    own = correlation**2 * size / np.maximum(size - correlation**2, 0.1 * size)
    return np.sqrt(np.maximum(own * area / (own + area), 1))


def half_light_radii(flux, mask, shapes, reach, segments):
    """Radius of the circle with half of the flux within `reach`; (n,) [pixel], NaN if unmeasured.

    Parameters
    ----------
    flux, mask, shapes, segments
        As for `kron_radii`.
    reach : ndarray, (n, 2)
        Radius that holds all of the light [pixel], and that light.
    """
    if not len(shapes):
        return np.zeros(0)
    ids = np.arange(1, len(shapes) + 1)
    within, total = reach.T
    radius, _ = sep.flux_radius(
        flux,
        shapes["x"],
        shapes["y"],
        within,
        0.5,
        normflux=total,
        mask=mask,
        seg_id=ids,
        segmap=segments,
        subpix=5,
    )
    return np.where((total > 0) & (radius > 0), radius, np.nan)
