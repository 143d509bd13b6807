"""The slope and bend of a sky that a mesh cannot follow to the edges of an image."""

import numpy as np
from numpy.polynomial import legendre
from scipy.stats import median_abs_deviation

BLOCKS, SIDE = 16, 16  # along a side, in which the sky is looked at; a block's at least [pixel]
SMALLEST, BENT = 128, 256  # pixels along a side, from which an image has a slope, and a bend
ROWS = 256  # that tell the noise of a pixel
LOOKED_AT = 32  # pixels along a side of a block, at most
LEAST_SHARE = 0.25  # of a block's pixels that must be good
APART = 3  # pixels whose difference tells the noise
HIGHEST = 4  # degree
AGREES = 0.3  # noise of a pixel, within which a block agrees
MOST, LEAST = 0.8, 0.6  # of all blocks and of those of each quarter, that must agree
DARKER = 0.02  # of the blocks, that may be darker: sources only add light
FEWEST_BLOCKS = 64
ROUNDS, NARROWER = 30, 0.8  # of the fit, each of which bears less disagreement
ROWS_AT_ONCE = 256


class Trend:
    """The simplest polynomial, up to the fourth degree, that most of the sky agrees with.

    A mesh loses half of the step to its last cells to its median filter, and a sky that is steep
    there is taken for sources, which makes it worse.  A galaxy, but for one as faint as the noise,
    is no polynomial: of an image that it fills most blocks agree with none, and there is none.  In
    one of less than 256 pixels a galaxy may be like a polynomial that bends: it has slopes alone.

    Parameters
    ----------
    flux : ndarray, (y, x), float32
    bad : ndarray, (y, x), bool
        Pixels that say nothing.
    """

    def __init__(self, flux, bad):
        self._weights = np.zeros((HIGHEST + 1, HIGHEST + 1), "f4")
        if min(flux.shape) < SMALLEST:
            return
        where, sky = _medians(flux, bad)
        within = AGREES * noise_of_neighbours(flux, bad)
        if len(sky) < FEWEST_BLOCKS or not within > 0:
            return
        for degree in range((HIGHEST if min(flux.shape) >= BENT else 1) + 1):
            terms = [(i, j) for i, j in np.ndindex(degree + 1, degree + 1) if i + j <= degree]
            design = np.stack([_law(i, where[0]) * _law(j, where[1]) for i, j in terms], axis=-1)
            weights = _agreed(design, sky, within)
            left = sky - design @ weights
            agrees = np.abs(left) < within
            if agrees.mean() > MOST and np.mean(left < -within) < DARKER:
                if _least_share(agrees, where) > LEAST:
                    self._weights[tuple(zip(*terms, strict=True))] = weights
                return

    @property
    def level(self):
        """Its mean over the image."""
        return float(self._weights[0, 0])

    def subtract_from(self, flux):
        """Subtract it in place."""
        y, x = (legendre.legvander(_places(n), HIGHEST).astype("f4") for n in flux.shape)
        known = self._weights.any(axis=0)
        rows, x = y @ self._weights[:, known], x[:, known]
        for start in range(0, len(flux), ROWS_AT_ONCE):
            some = np.s_[start : start + ROWS_AT_ONCE]
            for row, column in zip(rows[some].T, x.T, strict=True):
                flux[some] -= row[:, None] * column


def _medians(flux, bad):
    """Places (2, block), from -1 to 1, and medians (block,) of blocks with enough good pixels."""
    blocks = [min(BLOCKS, n // SIDE) for n in flux.shape]
    edges = [np.linspace(0, n, m + 1).astype(int) for n, m in zip(flux.shape, blocks, strict=True)]
    where, sky = [], []
    for i, j in np.ndindex(*blocks):
        ends = edges[0][i : i + 2], edges[1][j : j + 2]
        part = tuple(slice(*end, 1 + (end[1] - end[0]) // LOOKED_AT) for end in ends)
        good = ~bad[part]
        if good.mean() > LEAST_SHARE:
            sky.append(np.median(flux[part][good]))
            where.append([sum(end) / n - 1 for end, n in zip(ends, flux.shape, strict=True)])
    return np.reshape(where, (-1, 2)).T, np.array(sky, "f8")


def noise_of_neighbours(flux, bad):
    """Noise of a pixel, of the differences of some that lie near each other; NaN if there are none.

    Parameters
    ----------
    flux : ndarray, (y, x)
    bad : ndarray, (y, x), bool
        Pixels that say nothing.
    """
    step = max(1, len(flux) // ROWS)
    left, right = np.s_[::step, :-APART], np.s_[::step, APART:]
    apart = (flux[right] - flux[left])[~(bad[left] | bad[right])]
    return median_abs_deviation(apart, scale="normal") / np.sqrt(2) if apart.size else np.nan


def _agreed(design, sky, within):
    """Weights (term,) with which the most blocks agree, as far as such a fit finds them.

    Least squares, again and again, each block weighted by how far it agreed with the fit before
    (Holland & Welsch 1977); what is borne shrinks from their scatter to `within`.
    """
    trust, scale = np.ones(len(sky)), np.inf
    for _ in range(ROUNDS):
        root = np.sqrt(trust)
        weights = np.linalg.lstsq(design * root[:, None], sky * root, rcond=None)[0]
        left = sky - design @ weights
        scale = max(within, min(NARROWER * scale, 2 * median_abs_deviation(left, scale="normal")))
        trust = 1 / (1 + (left / scale) ** 2) ** 2
    return weights


def _least_share(agrees, where):
    """Share of the blocks that agree, in the quarter of the image in which it is least."""
    quarter = (where > 0).T @ (1, 2)
    return min(agrees[quarter == i].mean() if (quarter == i).any() else 0 for i in range(4))


def _places(n):
    """Places of `n` pixels, from -1 to 1."""
    return (2 * np.arange(n) + 1) / n - 1


def _law(degree, place):
    """Legendre's polynomial of a degree, whose mean over the image is 0 but for the first."""
    return legendre.legval(place, np.eye(HIGHEST + 1)[degree])
