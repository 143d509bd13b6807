"""Sersic laws and points, and the transform of their light."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import fht, fhtoffset
from scipy.special import gamma, gammaincinv

from pipeline.scenes.device import add_up
from pipeline.scenes.optics import flattening, look_up, table_frequencies

INDICES = 0.5, 6.2, 33  # Sersic indices of the table: first, last, how many, evenly in logarithm
POINTS_AT_ONCE = 24
LOG_RADII, N_RADII = (-25.0, 25.0), 8192  # of the tabulated laws [half-light radius]


class Parts(NamedTuple):
    """Sersic laws, each an array (part,): what galaxies are made of.

    Attributes
    ----------
    flux : array
        0 for a part that is not there.
    re : array
        Half-light radius of the circle of the same area [pixel]; 0 for a star.
    index, axis_ratio : array
    angle : array
        Position angle of the major axis, counter-clockwise from +x [rad].
    x, y : array
        [pixel].
    """

    flux: jax.Array
    re: jax.Array
    index: jax.Array
    axis_ratio: jax.Array
    angle: jax.Array
    x: jax.Array
    y: jax.Array


class Points(NamedTuple):
    """Points of light, each an array (point,): flux and position [pixel]."""

    flux: jax.Array
    x: jax.Array
    y: jax.Array


def join(*several):
    """Join Parts, or Points, one behind the other."""
    columns = zip(*several, strict=True)
    kind = type(several[0])
    return kind(*(jnp.concatenate([jnp.ravel(jnp.asarray(v, "f4")) for v in c]) for c in columns))


def transform(canvas, parts, points=None):
    """Transform of Sersic laws, and of points; (ky, kx), complex64."""
    dark = (jnp.zeros(tuple(map(len, canvas.frequencies)), "f4"),) * 2
    total = _add_parts(dark, canvas, parts)
    return jax.lax.complex(*(total if points is None else _add_points(total, canvas, points)))


def _add_parts(total, canvas, parts):
    """Add Sersic laws to the real and the imaginary part of a transform."""
    ky, kx = canvas.frequencies
    parts = Parts(*(jnp.asarray(v, "f4") for v in parts))
    # All that a part has but once is found before the loop; else it is found in every pixel.
    shapes = flattening(parts.axis_ratio, parts.angle, parts.re)
    rows, columns = _phase(parts.y, ky), _phase(parts.x, kx)

    def of_one(part):
        flux, row, (a, b, c), ((real_y, imag_y), (real_x, imag_x)) = part
        squared = a * kx**2 + (b * kx + c * ky[:, None]) * ky[:, None]
        profile = flux * look_up(sersic_table(), row, squared)
        real = profile * (real_y[:, None] * real_x - imag_y[:, None] * imag_x)
        return real, profile * (real_y[:, None] * imag_x + imag_y[:, None] * real_x)

    every = parts.flux, row_of(parts.index), shapes, (rows, columns)
    return add_up(total, of_one, parts.flux != 0, every)


def _phase(position, k):
    """Real and imaginary part of what a shift does to frequencies k; each (part, k)."""
    turn = position[:, None] * k
    return jnp.cos(turn), -jnp.sin(turn)


def _add_points(total, canvas, points):
    """The same of points."""
    ky, kx = canvas.frequencies
    missing, order = -len(points.flux) % POINTS_AT_ONCE, jnp.argsort(points.flux == 0)
    points = [jnp.pad(v[order], (0, missing)).reshape(-1, POINTS_AT_ONCE) for v in points]

    def of_some(some):
        flux, x, y = some
        (real_y, imag_y), (real_x, imag_x) = _phase(y, ky), _phase(x, kx)
        product = functools.partial(jnp.einsum, "i,iy,ix->yx", flux, precision="highest")
        real = product(real_y, real_x) - product(imag_y, imag_x)
        return real, product(real_y, imag_x) + product(imag_y, real_x)

    return add_up(total, of_some, (points[0] != 0).any(axis=1), points)


def row_of(index):
    """Row of `sersic_table` of a Sersic index, the nearest one's."""
    first, last, n = INDICES
    place = jnp.log(index / first) * ((n - 1) / np.log(last / first))
    return jnp.clip(jnp.round(place), 0, n - 1).astype("int32")


@functools.cache
def sersic_table():
    """Transforms of Sersic laws of unit flux and half-light radius; (index, k), float32.

    Hankel transforms by FFTLog (Hamilton 2000, MNRAS 312, 257).
    """
    return np.array([_transformed(index) for index in np.geomspace(*INDICES)], "f4")


def _transformed(index):
    """Transform of one Sersic law at `table_frequencies`; (k,)."""
    step = np.diff(LOG_RADII).item() / N_RADII
    log_r = LOG_RADII[0] + step * np.arange(N_RADII)
    r, b = np.exp(log_r), gammaincinv(2 * index, 0.5)
    law = r * np.exp(-b * r ** (1 / index))
    offset = fhtoffset(step, mu=0.0, initial=0.0)
    k = np.exp(offset + step * np.arange(N_RADII) - log_r[-1])
    found = fht(law, step, mu=0.0, offset=offset) / k
    total = index * gamma(2 * index) * b ** (-2 * index)
    wanted = table_frequencies()
    return np.where(wanted < k[0], 1.0, np.interp(np.log(wanted), np.log(k), found / total))
