"""From the transform of light to an image: the canvas's frequencies, the PSF, the pixel."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq
from scipy.special import gamma, j0, kv

MOFFAT_BETAS = 2.1, 2.3, 2.6, 3.0, 3.5, 4.2, 5.5, 9.0
MIRRORS = (0.33, 0.0), (0.33, 0.7), (0.1, 0.0)  # radius of the hole, in the mirror's; blur
N_PROFILES = len(MOFFAT_BETAS) + len(MIRRORS)
OVERSAMPLING = 2  # frequencies kept, in units of the pixels' Nyquist frequency; folded once
TABLE = -9.0, 8.0, 768  # logarithms of the first and last frequency of a table, and its length


class Canvas(NamedTuple):
    """A square image whose light is drawn by its transform.

    The image is periodic: light that leaves on one side comes back on the other.  Frequencies above
    the Nyquist frequency of the pixels are folded back, as a detector does.

    Attributes
    ----------
    side : int
        In pixels; even.
    """

    side: int

    @property
    def fine(self):
        """Samples along a side."""
        return self.side * OVERSAMPLING

    @property
    def frequencies(self):
        """``ky`` (fine,) and ``kx`` (fine // 2 + 1,) [rad / pixel]."""
        scale = 2 * np.pi * OVERSAMPLING
        ky, kx = scale * np.fft.fftfreq(self.fine), scale * np.fft.rfftfreq(self.fine)
        return ky.astype("f4"), kx.astype("f4")

    def grid(self, side=None):
        """Positions x, y [pixel] of the samples of `transform`, of the middle `side` pixels."""
        n = (side or self.side) * OVERSAMPLING
        first = (self.fine - n) // 2
        at = ((first + np.arange(n)) / OVERSAMPLING).astype("f4")
        return np.meshgrid(at, at)

    def transform(self, samples):
        """Transform light (flux of each sample) on `grid`, of the middle or of all."""
        edge = (self.fine - samples.shape[-1]) // 2
        return jnp.fft.rfft2(jnp.pad(samples, edge))

    def image(self, transform, response):
        """See light through optics, in pixels; (side, side)."""
        return jnp.fft.irfft2(self._folded(transform * response), s=(self.side, self.side))

    def _folded(self, transform):
        """Fold frequencies above the Nyquist frequency of the pixels back below it."""
        half = self.side // 2
        opposite = jnp.roll(jnp.flip(transform, 0), 1, axis=0)  # of -ky
        folded = transform[:, : half + 1] + jnp.conj(opposite[:, half:][:, ::-1])
        return folded[: self.side] + folded[self.side :]


class Psf(NamedTuple):
    """A PSF: full width at half maximum [pixel], row of `psf_table`, and shape."""

    fwhm: jax.Array
    profile: jax.Array
    axis_ratio: jax.Array
    angle: jax.Array


def response(canvas, psf):
    """Transform of PSF and pixel; (ky, kx)."""
    ky, kx = canvas.frequencies
    a, b, c = flattening(psf.axis_ratio, psf.angle, psf.fwhm)
    squared = a * kx**2 + (b * kx + c * ky[:, None]) * ky[:, None]
    pixel = np.outer(np.sinc(ky / (2 * np.pi)), np.sinc(kx / (2 * np.pi)))
    return look_up(psf_table(), psf.profile, squared) * pixel


def flattening(axis_ratio, angle, size):
    """Quadratic form (a, b, c) of a profile of this size, flattened to an ellipse of its area.

    Its transform at (kx, ky) is the round one's, of size 1, where the frequency squared is
    ``a kx**2 + b kx ky + c ky**2``.
    """
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    wide, narrow = size**2 / axis_ratio, size**2 * axis_ratio
    return (
        wide * cos**2 + narrow * sin**2,
        2 * (wide - narrow) * cos * sin,
        wide * sin**2 + narrow * cos**2,
    )


def look_up(table, row, squared):
    """Interpolate a row of a table of transforms at frequencies, given their squares."""
    first, last, n = TABLE
    place = (jnp.log(squared + 1e-30) / 2 - first) * ((n - 1) / (last - first))
    place = jnp.clip(place, 0.0, n - 1.001)
    start = place.astype("int32")
    values = jnp.asarray(table)[row]
    return values[start] + (place - start) * (values[start + 1] - values[start])


def table_frequencies():
    """Frequencies at which transforms are tabulated."""
    return np.exp(np.linspace(*TABLE))


@functools.cache
def psf_table():
    """Transforms of PSFs of unit FWHM; (`N_PROFILES`, k), float32.

    Those of a Moffat law of each of `MOFFAT_BETAS`, then those of `MIRRORS` in space: Airy patterns
    with their rings, which a detector's diffusion and wide pixels may have blurred, by a Gaussian
    of that full width at half maximum in units of wavelength over diameter.
    """
    rows = *(_moffat(beta) for beta in MOFFAT_BETAS), *(_airy(*mirror) for mirror in MIRRORS)
    return np.array(rows, "f4")


def _moffat(beta):
    """A Moffat law's (Trujillo et al. 2001, MNRAS 328, 977): its Hankel transform."""
    x, order = table_frequencies() / (2 * np.sqrt(2 ** (1 / beta) - 1)), beta - 1
    return 2 * (x / 2) ** order * kv(order, x) / gamma(order)


def _airy(hole, blur):
    """That of a mirror with a hole: the autocorrelation of its pupil (O'Neill 1956, JOSA 46, 285).

    Frequencies are in radii of the mirror, and radii in units of wavelength over diameter / pi.
    """
    sigma = blur * np.pi / np.sqrt(8 * np.log(2))

    def transform(apart):
        """Transform, of a total of 1, where pupils are this far apart."""
        shared = _overlap(1, 1, apart) - 2 * _overlap(1, hole, apart)
        shared += _overlap(hole, hole, apart)
        return shared * np.exp(-((apart * sigma) ** 2) / 2) / (np.pi * (1 - hole**2))

    apart = np.linspace(0, 2, 2001)
    weight = transform(apart) * apart

    def above_half(radius):
        """Surface brightness less half of the brightest; in units of no matter what."""
        return np.sum(weight * (j0(radius * apart) - 0.5))

    return transform(table_frequencies() / (2 * brentq(above_half, 0.5, 4)))


def _overlap(large, small, apart):
    """Area that two discs share, of these radii and distances of their centres."""
    d = np.clip(apart, max(large - small, 1e-9), large + small)
    to_large, to_small = (
        (d**2 + large**2 - small**2) / (2 * d),
        (d**2 + small**2 - large**2) / (2 * d),
    )

    def cap(radius, chord):
        """Area of the disc beyond a chord at this distance from its centre."""
        share = np.clip(chord / radius, -1, 1)
        return radius**2 * (np.arccos(share) - share * np.sqrt(1 - share**2))

    return cap(large, to_large) + cap(small, to_small)
