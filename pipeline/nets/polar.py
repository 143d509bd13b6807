"""Stamps seen from their central galaxy: polar coordinates that follow its ellipse."""

import keras
import numpy as np
from keras import ops

from pipeline.nets.layers import arcsinh, over_sky_noise

N_RADII, N_ANGLES = 40, 96
RADIUS, STRETCH = 6.0, 14.4  # radii are RADIUS * sinh(i / STRETCH) [pixel]: to 46, finer inside
SPARSE = (
    12.0  # radius from which samples lie so far apart that they are of a smoothed image [pixel]
)
HALF = 16  # half a side of the square in which the ellipse is measured, at most [pixel]
ITERATIONS = 5
START, LEAST, MOST = 9.0, 2.0, 80.0  # mean second moment [pixel**2]
FLATTEST = 0.75  # largest difference of the axes' second moments over their sum
BISECTIONS = 20  # of a median
FARTHEST = 3.0  # of the centre from the stamp's [pixel]


@keras.saving.register_keras_serializable("arclet")
class Polar(keras.layers.Layer):
    """Sample a stamp on ellipses about its central galaxy, and take the galaxy away.

    Takes (n, y, x, 2), flux and ivar; gives (n, N_RADII, N_ANGLES, 5), in units of the sky's
    noise as of `pipeline.nets.layers.SkyUnits`: ``asinh(s)`` and ``asinh(s / 20)`` of the light,
    ``asinh(r)`` and ``asinh(r / 10)`` of what remains of it after each ellipse's median, and the
    pixel's noise over the stamp's, 0 where a pixel is lost or beyond the stamp.

    Far from the centre, where samples are more than a pixel apart, they are taken of the image
    smoothed by a binomial: without it, a quarter of the S/N of wide arcs falls between them.

    A galaxy turned by an angle is the same image shifted along the last axis but one, and its
    own smooth light is nearly gone, whereas an arc is a streak along the angles.
    """

    def call(self, stamps):
        """Sample the stamps."""
        signal, relative = over_sky_noise(*ops.unstack(ops.moveaxis(stamps, -1, 0), 2))
        centre, moments = ellipse(signal)
        x, y = _ellipses(centre, moments, stamps.shape[1:3])
        inside = _inside(x, y, stamps.shape[1:3])
        light, noise = _sampled(signal, x, y) * inside, _nearest(relative, x, y) * inside
        rest = light - _median(light)
        scaled = [arcsinh(part) for part in (light, light / 20, rest, rest / 10)]
        planes = ops.stack([*scaled, noise], axis=1)  # faster than where planes are last
        return ops.stop_gradient(ops.moveaxis(planes, 1, -1))

    def compute_output_shape(self, shape):
        """Shape of what `call` gives."""
        return (shape[0], N_RADII, N_ANGLES, 5)


def ellipse(signal):
    """Measure centre and second moments of the central source, with a weight that adapts to it.

    Bernstein & Jarvis (2002, AJ 123, 583), sect. 3: the weight is a Gaussian of the moments that
    it gives.  What is found is kept within bounds, so that noise and neighbours do no harm.

    Parameters
    ----------
    signal : tensor, (n, y, x)

    Returns
    -------
    centre : tuple of tensor, (n,)
        ``x``, ``y`` from pixel ``size // 2`` [pixel].
    moments : tuple of tensor, (n,)
        ``xx``, ``xy``, ``yy`` [pixel**2].
    """
    height, width = signal.shape[1:]
    half = min(HALF, height // 2, width // 2)
    crop = signal[:, height // 2 - half : height // 2 + half, width // 2 - half : width // 2 + half]
    crop = ops.reshape(ops.maximum(crop, -3.0), (-1, 4 * half**2))
    grid_y, grid_x = (v.ravel() for v in np.mgrid[-half:half, -half:half].astype("f4"))
    powers = np.stack([grid_x**0, grid_x, grid_y, grid_x**2, grid_x * grid_y, grid_y**2])
    nothing = 0 * crop[:, :1]
    x, y, xx, xy, yy = nothing, nothing, nothing + START, nothing, nothing + START
    for _ in range(ITERATIONS):
        weight = ops.exp(ops.matmul(_log_gaussian(x, y, xx, xy, yy), powers))
        sums = ops.matmul(weight * crop, powers.T)
        means = ops.split(sums[:, 1:] / ops.maximum(sums[:, :1], 1e-3), 5, axis=1)
        xx, xy, yy = _bounded(*_central(*means))
        x, y = (ops.clip(2 * m - v, -FARTHEST, FARTHEST) for v, m in ((x, means[0]), (y, means[1])))
    return tuple(tuple(v[:, 0] for v in part) for part in ((x, y), (xx, xy, yy)))


def _log_gaussian(x, y, xx, xy, yy):
    """Coefficients of 1, x, y, x**2, x y and y**2 in the logarithm of a Gaussian; (n, 6)."""
    scale = -0.5 / (xx * yy - xy**2)
    a, b, c = yy * scale, -2 * xy * scale, xx * scale
    constant = a * x**2 + b * x * y + c * y**2
    return ops.concatenate([constant, -2 * a * x - b * y, -2 * c * y - b * x, a, b, c], axis=1)


def _central(x, y, xx, xy, yy):
    """Twice the variances and the covariance, of the mean x, y, x**2, x y and y**2."""
    return 2 * (xx - x**2), 2 * (xy - x * y), 2 * (yy - y**2)


def _bounded(xx, xy, yy):
    """Moments of an ellipse that is neither too large, too small nor too flat."""
    mean, difference = ops.clip((xx + yy) / 2, LEAST, MOST), (xx - yy) / 2
    flattening = ops.sqrt(difference**2 + xy**2)
    kept = ops.minimum(1.0, FLATTEST * mean / ops.maximum(flattening, 1e-6))
    return mean + kept * difference, kept * xy, mean - kept * difference


def _ellipses(centre, moments, shape):
    """Pixel coordinates of the samples; x, y, each (n, N_RADII, N_ANGLES)."""
    xx, xy, yy = moments
    area = ops.sqrt(xx * yy - xy**2)
    a, b, c = xx / area, xy / area, yy / area
    root = ops.sqrt(a + c + 2)  # of a matrix of determinant 1: (M + 1) / sqrt(trace + 2)
    a, b, c = ((v / root)[:, None, None] for v in (a + 1, b, c + 1))
    radii = _radii()[None, :, None]
    angles = np.arange(N_ANGLES, dtype="f4") * (2 * np.pi / N_ANGLES)
    cos, sin = (function(angles).astype("f4")[None, None] for function in (np.cos, np.sin))
    x, y = (side // 2 + v[:, None, None] for side, v in zip(shape[::-1], centre, strict=True))
    return x + radii * (a * cos + b * sin), y + radii * (b * cos + c * sin)


def _radii():
    """Mean radius of each ellipse [pixel]."""
    return RADIUS * np.sinh((np.arange(N_RADII, dtype="f4") + 0.5) / STRETCH)


def _median(light):
    """Median of each ellipse, by bisection, which is ten times faster than sorting; (n, r, 1)."""
    low, high = (f(light, axis=-1, keepdims=True) for f in (ops.min, ops.max))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = ops.mean(ops.where(light < middle, 1.0, 0.0), axis=-1, keepdims=True) < 0.5
        low, high = ops.where(below, middle, low), ops.where(below, high, middle)
    return (low + high) / 2


def _sampled(image, x, y):
    """Sample images (n, y, x), smoothed where the samples are sparse."""
    dense = int(np.sum(_radii() < SPARSE))
    near = _interpolated(image, x[:, :dense], y[:, :dense])
    far = _interpolated(_smoothed(image), x[:, dense:], y[:, dense:])
    return ops.concatenate([near, far], axis=1)


def _smoothed(image):
    """Smooth images by the binomial 1, 2, 1 along both axes; nothing lies beyond the edges."""
    height, width = image.shape[1:]
    wide = ops.pad(image, [[0, 0], [1, 1], [1, 1]])
    rows = (wide[:, :height] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    return (rows[:, :, :width] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4


def _interpolated(image, x, y):
    """Bilinear interpolation of images (n, y, x), in the nearest pixels beyond their edges."""
    height, width = image.shape[1:]
    x, y = ops.clip(x, 0.0, width - 1.001), ops.clip(y, 0.0, height - 1.001)
    left, low = ops.floor(x), ops.floor(y)
    x, y = x - left, y - low
    first = ops.cast(low * width + left, "int32")
    values = [_taken(image, first + step) for step in (0, 1, width, width + 1)]
    below, above = ((1 - x) * values[k] + x * values[k + 1] for k in (0, 2))
    return (1 - y) * below + y * above


def _nearest(image, x, y):
    """Nearest pixels of images (n, y, x)."""
    height, width = image.shape[1:]
    x, y = (ops.clip(ops.round(v), 0, n - 1) for v, n in ((x, width), (y, height)))
    return _taken(image, ops.cast(y * width + x, "int32"))


def _inside(x, y, shape):
    """1 within the stamp, falling to 0 within a pixel beyond its edges."""
    height, width = shape
    return ops.clip(ops.minimum(x + 1, width - x), 0.0, 1.0) * ops.clip(
        ops.minimum(y + 1, height - y), 0.0, 1.0
    )


def _taken(image, index):
    """Pixels of flattened images (n, y, x) at an index (n, ...)."""
    flat = ops.reshape(image, (-1, image.shape[1] * image.shape[2]))
    n_samples = index.shape[1] * index.shape[2]
    taken = ops.take_along_axis(flat, ops.reshape(index, (-1, n_samples)), axis=1)
    return ops.reshape(taken, (-1, *index.shape[1:]))
