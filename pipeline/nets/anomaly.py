"""The convolutional autoencoder."""

import keras
import numpy as np
from keras import ops

from pipeline.nets.layers import SkyUnits, conv, fold, unfold

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
        light = signal * usable
        misfits = ops.stack([chi2, peaked], axis=-1)
        return [latent, power_spectrum(light), texture(light, usable), misfits]

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean logarithm of chi-square, so that bright stamps do not outweigh the rest."""
        return ops.mean(ops.log(y_pred[-1][:, 0] + 1e-3))

    def get_config(self):
        """What builds this model."""
        return {**super().get_config(), **self.settings}


def power_spectrum(signal):
    """Logarithm of the light's power about the middle, octave by octave from the finest.

    Of the planes of the starlet transform (Starck, Fadili & Murtagh 2007, IEEE Trans. Image
    Process. 16, 297) and of what remains.

    Parameters
    ----------
    signal : tensor, (n, y, x, 1)
        In units of the sky's noise.

    Returns
    -------
    tensor, (n, SCALES + 1)
    """
    power = ops.concatenate(_starlet(signal), axis=-1) ** 2
    return ops.log(ops.sum(_window(signal.shape[1:3]) * power, axis=(1, 2)) + 1e-6)


def texture(signal, usable):
    """How the light of the whole stamp is spread over the pixels of each octave.

    Of each plane of the starlet transform the logarithms of its kurtosis and of its mean square;
    and how far its finest plane stands, at most, above what the coarser planes have there, which a
    PSF limits and a cosmic ray does not (compare van Dokkum 2001, PASP 113, 1420).

    Parameters
    ----------
    signal, usable : tensor, (n, y, x, 1)
        In units of the sky's noise; 1 where a pixel has information.

    Returns
    -------
    tensor, (n, 2 * SCALES + 2)
    """
    planes = [plane * usable for plane in _starlet(signal)[:SCALES]]
    n_usable = ops.maximum(ops.sum(usable, axis=(1, 2, 3)), 1.0)
    found = []
    for plane in planes:
        second, fourth = (ops.sum(plane**k, axis=(1, 2, 3)) / n_usable for k in (2, 4))
        found += [ops.log(fourth / (second**2 + 1e-9) + 1e-3), ops.log(second + 1e-6)]
    for coarse in (planes[1], (planes[1] + planes[2]) / 2):
        sharp = ops.abs(planes[0]) / ops.sqrt(1 + coarse**2)
        found.append(ops.log(ops.max(sharp, axis=(1, 2, 3)) + 1e-3))
    return ops.stack(found, axis=-1)


def _starlet(signal):
    """Planes of the starlet transform, the finest first, and what remains."""
    row = np.array([1, 4, 6, 4, 1], "f4") / 16
    kernel, planes = np.outer(row, row)[..., None, None], []
    for scale in range(SCALES):
        smooth = ops.conv(signal, kernel, padding="same", dilation_rate=2**scale)
        planes.append(signal - smooth)
        signal = smooth
    return [*planes, signal]


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
