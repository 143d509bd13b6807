"""Tell what is sharper than the PSF lets anything in the sky be: hot pixels and cosmic rays."""

import numpy as np

from pipeline.stamps.cutouts import boxes

SHARP = 4.5  # the least `excess` of a hot pixel or a cosmic ray [sigma]
_LINE = np.array([[0, 0, 0], [-1, 1, -1], [0, 0, 0]])
_SLANT = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]])
_TRACK = np.array([[-1, -1, -1], [1, 1, 1], [-1, -1, -1]])
_POINT = np.array([[-1, -1, -1], [-1, 1, -1], [-1, -1, -1]])
_PATTERNS = np.stack([_POINT, _LINE, _LINE.T, _SLANT, _SLANT[:, ::-1], _TRACK, _TRACK.T])
_REACH, _STEP = 2.0, 0.25  # of the places of a star that are looked at [pixel]
_NARROWER, _GAUSSIAN = 0.85, 40.0  # the PSF taken: the true one varies, is not round, has rings
_MODEL = 0.08  # error of the model, and of the light's own noise, as a share of each pixel


def excess(flux, ivar, x, y, psf):
    """Significance with which pixels stand out more sharply than any light from the sky can.

    All that the sky shows is a sum of PSFs, of no negative flux.  A pixel, or three in a row, less
    the most that a single PSF, wherever it is centred, can give them over their neighbours, is
    then negative for every star, galaxy and blend.  The neighbours are those all around, or on two
    sides alone, which a track that a cosmic ray leaves does not touch.  Where the PSF is hardly
    wider than a pixel, a star has as little in its neighbours, and nothing stands out.  The PSF is
    taken to be narrower than it is said to be, and a Gaussian, which leaves neighbours least.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
        Pixels of ivar 0, and what is beyond the image, say nothing.
    x, y : ndarray, (n,), int
        The pixels that are asked about.
    psf : pipeline.detection.psf.Moffat
        Only its width counts.

    Returns
    -------
    ndarray, (n,)
        The largest of the S/N of these differences, if the pixels' noise is independent; -inf where
        a pixel that it needs says nothing.
    """
    corner = np.column_stack([x, y]) - 1
    light, weight = boxes(flux, corner, 3), boxes(ivar, corner, 3)
    patterns = _balanced(psf._replace(fwhm=_NARROWER * psf.fwhm, beta=_GAUSSIAN))
    known = weight > 0
    variance = 1 / np.where(known, weight, 1) + (_MODEL * light) ** 2
    needed = np.einsum("nyx,kyx->nk", ~known, patterns != 0, dtype="i4")
    noise = np.sqrt(np.einsum("nyx,kyx->nk", variance, patterns**2))
    snr = np.einsum("nyx,kyx->nk", light, patterns) / noise
    return np.where(needed > 0, -np.inf, snr).max(axis=1)


def _balanced(psf):
    """`_PATTERNS`, the neighbours weighted so that no PSF gives more than 0; (pattern, 3, 3)."""
    place = np.arange(-_REACH, _REACH + _STEP, _STEP)
    dx, dy = (axis.ravel() for axis in np.meshgrid(place, place))
    stars = psf.stamps(dx, dy, 3)
    inside, around = (
        np.einsum("nyx,kyx->nk", stars, sign == _PATTERNS, dtype="f8") for sign in (1, -1)
    )
    most = (inside / around).max(axis=0)
    return np.where(_PATTERNS < 0, -most[:, None, None], _PATTERNS)
