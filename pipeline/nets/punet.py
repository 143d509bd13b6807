"""The probabilistic U-Net of Kohl et al. (2018, arXiv:1806.05034)."""

import keras
from keras import ops

from pipeline.models.punet import LATENT, WIDTH
from pipeline.nets.layers import SkyUnits, encode
from pipeline.nets.unet import map_loss


@keras.saving.register_keras_serializable("arclet")
class ProbabilisticUNet(keras.Model):
    """Maps that depend on a latent ``z``: one hypothesis about the whole stamp."""

    def __init__(self, trunk, shape, filters, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.settings = {"shape": list(shape), "filters": list(filters), "beta": beta}
        self.beta = beta
        self.seed = keras.random.SeedGenerator(0)
        self.trunk = trunk
        self.trunk.trainable = False
        self.prior = _gaussian(shape, filters, "prior")
        self.posterior = _gaussian((*shape[:2], shape[2] + 3), filters, "posterior")
        self.project = keras.layers.Conv2D(WIDTH, 1, name="project")
        self.shift = keras.layers.Dense(WIDTH, use_bias=False, name="shift")
        self.head = _head(shape)
        self.build((None, *shape))

    def build(self, shape):
        """Build the parts that hang on shapes."""
        self.project.build(self.trunk.output.shape)
        self.shift.build((None, LATENT))
        self.built = True

    def call(self, stamps):
        """Maps at the prior's mean; (n, y, x, 3)."""
        mean, _ = ops.split(self.prior(stamps), 2, axis=-1)
        return self.maps(self.project(self.trunk(stamps)), mean)

    def maps(self, projected, z):
        """Maps of one hypothesis: ``z`` enters a 1x1 convolution, so it is a bias of the stamp."""
        return self.head(projected + self.shift(z)[:, None, None, :])

    def compute_loss(self, x, y, y_pred=None, sample_weight=None, training=True):
        """Negative evidence lower bound: cross-entropy summed over the stamp plus beta times KL."""
        y = ops.cast(y, "float32")
        prior, posterior = self.prior(x), self.posterior(ops.concatenate([x, y[..., :3]], axis=-1))
        mean, log_sigma = ops.split(posterior, 2, axis=-1)
        z = mean + ops.exp(log_sigma) * keras.random.normal(ops.shape(mean), seed=self.seed)
        maps = self.maps(self.project(self.trunk(x)), z)
        n_pixels = x.shape[1] * x.shape[2]
        reconstruction = n_pixels * map_loss(y, maps)
        return ops.mean(reconstruction + self.beta * kl_divergence(posterior, prior)) / n_pixels

    def get_config(self):
        """What builds this model."""
        return {**super().get_config(), **self.settings, "trunk": self.trunk.get_config()}

    @classmethod
    def from_config(cls, config):
        """Build a model of what `get_config` gives."""
        trunk = keras.Model.from_config(config.pop("trunk"))
        return cls(trunk, **config)


def _gaussian(shape, filters, name):
    """Network from a stamp, the truth's maps behind it or not, to ``[mean, log sigma]`` of z."""
    stamps = keras.Input(shape)
    x = SkyUnits()(stamps[..., :2])
    if shape[2] > 2:
        x = keras.layers.Concatenate()([x, stamps[..., 2:]])
    x = encode(x, filters)
    mean = keras.layers.Dense(LATENT)(x)
    log_sigma = keras.layers.Dense(LATENT, kernel_initializer="zeros")(x)
    log_sigma = 3.0 * ops.tanh(log_sigma / 3.0)
    return keras.Model(stamps, ops.concatenate([mean, log_sigma], axis=-1), name=name)


def _head(shape):
    x = shifted = keras.Input((*shape[:2], WIDTH))
    x = keras.layers.Conv2D(WIDTH, 1, activation="relu")(keras.layers.ReLU()(x))
    maps = keras.layers.Conv2D(3, 1, activation="sigmoid")(x)
    return keras.Model(shifted, maps, name="head")


def kl_divergence(p, q):
    """KL(p || q) of diagonal Gaussians, each ``[mean, log sigma]`` (n, 2 * d); gives (n,)."""
    (mean_p, log_p), (mean_q, log_q) = ops.split(p, 2, axis=-1), ops.split(q, 2, axis=-1)
    ratio = ops.exp(2 * (log_p - log_q))
    offset = ((mean_p - mean_q) * ops.exp(-log_q)) ** 2
    return ops.sum(log_q - log_p + (ratio + offset - 1) / 2, axis=-1)


def build(shape, settings, networks):
    """Build a probabilistic U-Net on the trained U-Net among `networks`."""
    trained = networks["unet"].model
    trunk = keras.Model(trained.input, trained.get_layer("features").output, name="trunk")
    model = ProbabilisticUNet(keras.models.clone_model(trunk), shape, settings.filters)
    model.trunk.set_weights(trunk.get_weights())
    model.compile()
    return model


def graphs(model):
    """Build the parts that inference runs: ``features`` once, ``head`` for every draw.

    ``features`` gives the projected features (n, y, x, WIDTH), the prior (n, 2 * LATENT) and the
    matrix that turns z into a bias; ``head`` takes the features shifted by that bias.
    """
    stamps = keras.Input(model.settings["shape"])
    mean, log_sigma = ops.split(model.prior(stamps), 2, axis=-1)
    features = keras.Model(
        stamps,
        [model.project(model.trunk(stamps)), ops.concatenate([mean, log_sigma], axis=-1)],
    )
    z = keras.Input((LATENT,))
    return {"features": features, "shift": keras.Model(z, model.shift(z)), "head": model.head}
