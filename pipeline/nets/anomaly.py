"""The convolutional autoencoder."""

import keras
from keras import ops

from pipeline.nets.layers import SkyUnits, conv, fold, unfold

LATENT = 24
MODEL_ERROR = 0.1  # of the signal, beside the noise


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
        """Latent vector and reduced chi-square, (n, LATENT + 1)."""
        seen = self.scale(stamps)
        stretched, relative = seen[..., :1], seen[..., 2:]
        latent = self.encoder(seen)
        signal = ops.sinh(ops.minimum(stretched, 12.0))
        usable = ops.cast(relative > 0, seen.dtype)
        precision = (1 + signal**2) / (1 + (MODEL_ERROR * signal) ** 2)
        misfit = usable * precision * (self.decoder(latent) - stretched) ** 2
        n_usable = ops.maximum(ops.sum(usable, axis=(1, 2, 3)), 1.0)
        chi2 = ops.sum(misfit, axis=(1, 2, 3)) / n_usable
        return ops.concatenate([latent, chi2[:, None]], axis=-1)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean logarithm of chi-square, so that bright stamps do not outweigh the rest."""
        return ops.mean(ops.log(y_pred[:, -1] + 1e-3))

    def get_config(self):
        """What builds this model."""
        return {**super().get_config(), **self.settings}


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
    """Build an autoencoder that answers with its latent vector and its chi-square."""
    model = Autoencoder(shape, settings.filters)
    model.compile()
    return model


def graphs(model):
    """Build the parts that inference runs."""
    stamps = keras.Input(model.settings["shape"])
    return {"main": keras.Model(stamps, model(stamps))}
