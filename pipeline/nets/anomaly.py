"""The convolutional autoencoder."""

import keras
import numpy as np
from keras import ops

from pipeline.nets.layers import SkyUnits, arcsinh, conv, fold, unfold

LATENT = 24
MODEL_ERROR = 0.1  # of the signal, beside the noise
SCALES = 3  # octaves of the power spectrum
WINDOW = 12.0  # Gaussian width of the window about the middle in which it is taken [pixel]


@keras.saving.register_keras_serializable("arclet")
class Autoencoder(keras.Model):
    """Squeezes the stretched stamp through `LATENT` numbers and rebuilds it."""

    def __init__(self, shape, filters, **kwargs):
        super().__init__(**kwargs)
        self.settings = {"shape": list(shape), "filters": list(filters)}
        self.scale = SkyUnits(dtype="float32")
        self.encoder, self.decoder = _encoder(shape, filters), _decoder(shape, filters)
        self.build((None, *shape))

    def build(self, shape):
        """Nothing is left to build."""
        self.built = True

    def call(self, stamps):
        """Latent vector, `power_spectrum`, `texture` and misfit (n, 2).

        The misfit is the reduced chi-square, and the root of the mean square of the pixels' own:
        the one knows a wrong noise, the other a few bad pixels.
        """
        seen = self.scale(stamps)
        stretched, relative = seen[..., :1], seen[..., 2:]
        latent = self.encoder(seen)
        signal = ops.sinh(ops.minimum(stretched, 12.0))
        usable = ops.cast(relative > 0, seen.dtype)
        precision = (1 + signal**2) / (1 + (MODEL_ERROR * signal) ** 2)
        misfit = usable * precision * (self.decoder(latent) - stretched) ** 2
        n_usable = ops.maximum(ops.sum(usable, axis=(1, 2, 3)), 1.0)
        chi2 = ops.sum(misfit, axis=(1, 2, 3)) / n_usable
        peaked = ops.sqrt(ops.sum(misfit**2, axis=(1, 2, 3)) / n_usable)
        misfits = ops.stack([chi2, peaked], axis=-1)
        planes = starlet(signal * usable)
        return [latent, power_spectrum(planes), texture(planes, usable), misfits]

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean logarithm of chi-square, so that bright stamps do not outweigh the rest."""
        return ops.mean(ops.log(y_pred[-1][:, 0] + 1e-3))

    def get_config(self):
        """What builds this model."""
        return {**super().get_config(), **self.settings}


def starlet(signal):
    """Planes of the starlet transform, the finest first, and what remains.

    After Starck, Fadili & Murtagh (2007, IEEE Trans. Image Process. 16, 297).  Rows and columns
    are smoothed by products with a matrix: convolutions of a single channel are ten times slower.

    Parameters
    ----------
    signal : tensor, (n, y, x, 1)
        In units of the sky's noise.

    Returns
    -------
    list of tensor
        `SCALES` + 1, each of the signal's shape, of which they are the sum.
    """
    height, width = signal.shape[1:3]
    light, planes = signal[..., 0], []
    for scale in range(SCALES):
        rows, columns = (_smoothing(n, 2**scale) for n in (height, width))
        smooth = ops.matmul(rows, ops.matmul(light, columns))
        planes.append((light - smooth)[..., None])
        light = smooth
    return [*planes, light[..., None]]


def power_spectrum(planes):
    """Logarithm of the light's power about the middle, octave by octave from the finest.

    Parameters
    ----------
    planes : list of tensor
        As of `starlet`.

    Returns
    -------
    tensor, (n, SCALES + 1)
    """
    power = ops.concatenate(planes, axis=-1) ** 2
    return ops.log(ops.sum(_window(power.shape[1:3]) * power, axis=(1, 2)) + 1e-6)


def texture(planes, usable):
    """How the light of the whole stamp is spread over the pixels of each octave.

    Of each plane of the starlet transform the logarithms of its kurtosis and of its mean square,
    and its skewness, as an inverse hyperbolic sine, for light is positive; and how far its finest
    plane stands, at most, above what the coarser planes have there, which a PSF limits and a cosmic
    ray does not (compare van Dokkum 2001, PASP 113, 1420).

    Parameters
    ----------
    planes : list of tensor
        As of `starlet`.
    usable : tensor, (n, y, x, 1)
        1 where a pixel has information.

    Returns
    -------
    tensor, (n, 3 * SCALES + 2)
    """
    planes = [plane * usable for plane in planes[:SCALES]]
    n_usable = ops.maximum(ops.sum(usable, axis=(1, 2, 3)), 1.0)
    found = []
    for plane in planes:
        square = plane * plane
        second, third, fourth = (
            ops.sum(power, axis=(1, 2, 3)) / n_usable
            for power in (square, plane * square, square * square)
        )
        found += [ops.log(fourth / (second**2 + 1e-9) + 1e-3), ops.log(second + 1e-6)]
        found.append(arcsinh(third / (second**1.5 + 1e-9)))
    for coarse in (planes[1], (planes[1] + planes[2]) / 2):
        sharp = ops.abs(planes[0]) / ops.sqrt(1 + coarse**2)
        found.append(ops.log(ops.max(sharp, axis=(1, 2, 3)) + 1e-3))
    return ops.stack(found, axis=-1)


def _smoothing(n, step):
    """Matrix that smooths a row of pixels by the B-spline of a step, beyond whose ends is nothing.

    It is symmetric; (n, n).
    """
    spline = np.array([1, 4, 6, 4, 1], "f4") / 16
    return sum(w * np.eye(n, k=step * i, dtype="f4") for i, w in enumerate(spline, -2))


def _window(shape):
    """Gaussian about the middle, of sum 1; (y, x, 1)."""
    y, x = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / WINDOW) ** 2) for n in shape)
    window = np.outer(y, x)[..., None].astype("f4")
    return window / window.sum()


def _encoder(shape, filters):
    seen = keras.Input((*shape[:2], 3))
    x = conv(fold(seen), filters[0])
    for n in filters[1:]:
        x = conv(x, n, strides=2)
    return keras.Model(
        seen, keras.layers.Dense(LATENT, dtype="float32")(keras.layers.Flatten()(x)), name="encoder"
    )


def _decoder(shape, filters):
    side = shape[0] >> len(filters)
    latent = keras.Input((LATENT,))
    x = keras.layers.Dense(side * side * filters[-1], activation="relu")(latent)
    x = keras.layers.Reshape((side, side, filters[-1]))(x)
    for n in filters[-2::-1]:
        x = conv(keras.layers.UpSampling2D()(x), n)
    stretched = unfold(keras.layers.Conv2D(4, 3, padding="same", dtype="float32")(x))
    return keras.Model(latent, stretched, name="decoder")


def build(shape, settings, networks=None):
    """Build an autoencoder that answers with latent vector, spectrum, texture and misfit."""
    model = Autoencoder(shape, settings.filters)
    model.compile()
    return model


def graphs(model):
    """Build the parts that inference runs."""
    stamps = keras.Input(model.settings["shape"])
    return {"main": keras.Model(stamps, model(stamps))}
