"""What positions and shapes in pixels are on the sky."""

import numpy as np

_SIGMA = 1.17741  # of a Gaussian that are half of its light's radius: sqrt(2 ln 2)
_CENTROID = 1.2  # its error over that of the best fit
_POWER_OF_WIDTH = 0.75
_STRUCTURE = 0.01  # of a galaxy's sigma: how far its centre is off without noise


def on_sky(wcs, x, y, theta):
    """ICRS coordinates, and position angles, of places and directions in an image.

    Parameters
    ----------
    wcs : WCS or None
    x, y : ndarray, (n,)
        [pixel]
    theta : ndarray, (n,)
        Directions, anticlockwise from the x axis [deg].

    Returns
    -------
    ra, dec, angle : ndarray, (n,)
        [deg]; ``angle`` from north to east, from 0 to 180.  NaN without WCS.
    """
    if wcs is None or not len(x):
        return np.full((3, len(x)), np.nan)
    ahead = np.cos(np.radians(theta)), np.sin(np.radians(theta))
    here, there = (wcs.pixel_to_world(*at).icrs for at in ((x, y), (x + ahead[0], y + ahead[1])))
    return here.ra.deg, here.dec.deg, here.position_angle(there).deg % 180


def position_error(r50, snr, fwhm, electrons):
    """Standard error of an isolated source's position along one axis, about.

    For a Gaussian as wide as the PSF the best fit's is sqrt(2) sigma / (S/N) (Condon 1997, PASP
    109, 166).  A centroid's is a fifth more, and of a wider source, whose S/N is that in the PSF's
    filter, it grows as the power 3/4 of the width: so it is of simulated galaxies of half-light
    radii up to three of the PSF's.  None is narrower than the PSF, though noise may say so.  Its
    own photons add sigma over the root of their number.

    Parameters
    ----------
    r50 : ndarray, (n,)
        Half-light radius, as seen through the PSF [pixel].
    snr : ndarray, (n,)
        Of the matched filter.
    fwhm : float
        Of the PSF [pixel].
    electrons : ndarray, (n,)
        That the source's light gave; 0 where that is unknown, or in the noise already.

    Returns
    -------
    ndarray, (n,)
        [pixel]; NaN where the S/N is not positive.
    """
    least = fwhm / (2 * _SIGMA)
    sigma = np.maximum(r50 / _SIGMA, least)
    best = np.sqrt(2) * least / np.where(snr > 0, snr, np.nan)
    noise = best * (sigma / least) ** _POWER_OF_WIDTH
    shot = sigma / np.sqrt(np.where(electrons > 0, electrons, np.inf))
    return np.hypot(_CENTROID * np.hypot(noise, shot), _STRUCTURE * sigma)
