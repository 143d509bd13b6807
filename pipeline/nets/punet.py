"""The probabilistic U-Net of Kohl et al. (2018, arXiv:1806.05034)."""

import keras
from keras import ops

from pipeline.models.punet import LATENT, MAPS
from pipeline.nets import unet
from pipeline.nets.layers import encode, fold, unfold

WIDTH = 32  # channels of the layer that the latent shifts
FREE_BITS = 0.05  # nats a latent dimension may cost without penalty (Kingma+16, arXiv:1606.04934)


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
        features, context = trunk.output
        self.prior = _prior(context.shape[-1])
        self.posterior = _posterior(shape, filters)
        self.project = keras.layers.Dense(WIDTH, name="project")
        self.shift = keras.layers.Dense(WIDTH, use_bias=False, name="shift")
        self.head = keras.layers.Dense(4 * len(MAPS), dtype="float32", name="head")
        self.project.build(features.shape)
        self.shift.build((None, LATENT))
        self.head.build((None, WIDTH))
        self.build((None, *shape))

    def build(self, shape):
        """Nothing is left to build."""
        self.built = True

    def call(self, stamps):
        """Maps at the prior's mean; (n, y, x, 2)."""
        features, context = self.trunk(stamps)
        mean, _ = ops.split(self.prior(context), 2, axis=-1)
        return self.maps(self.project(features), mean)

    def maps(self, projected, z):
        """Maps of one hypothesis: ``z`` enters a 1x1 convolution, so it is a bias of the stamp."""
        folded = self.folded_maps(projected, self.shift(z)[:, None, None, :])
        return ops.concatenate([unfold(plane) for plane in folded], axis=-1)

    def folded_maps(self, projected, shift):
        """TARGET and SHARE, of what z shifts, with each 2x2 pixels in the channels of one."""
        return ops.split(ops.sigmoid(self.head(ops.relu(projected + shift))), 2, axis=-1)

    def compute_loss(self, x, y, y_pred=None, sample_weight=None, training=True):
        """Negative evidence lower bound: loss of the maps summed over the stamp plus beta KL.

        That of validation has the same ``z`` each time: a difference is one of the weights.
        """
        y = ops.cast(y, "float32")
        features, context = self.trunk(x)
        prior = self.prior(context)
        posterior = self.posterior(ops.concatenate([x, y[..., :1], y[..., 2:3]], axis=-1))
        mean, log_sigma = ops.split(posterior, 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed if training else 0)
        z = mean + ops.exp(log_sigma) * noise
        maps = self.maps(self.project(features), z)
        n_pixels = x.shape[1] * x.shape[2]
        cost = ops.sum(ops.maximum(kl_divergence(posterior, prior), FREE_BITS), axis=-1)
        return ops.mean(map_loss(y, maps) + self.beta * cost / n_pixels)

    def get_config(self):
        """What builds this model."""
        return {**super().get_config(), **self.settings, "trunk": self.trunk.get_config()}

    @classmethod
    def from_config(cls, config):
        """Build a model of what `get_config` gives."""
        trunk = keras.Model.from_config(config.pop("trunk"))
        return cls(trunk, **config)


def map_loss(truth, maps):
    """As `pipeline.nets.unet.map_loss`, without the neighbours' mask; `maps` (n, y, x, 2)."""
    neighbour = ops.cast(truth[..., 1:2], maps.dtype)
    return unet.map_loss(truth, ops.concatenate([maps[..., :1], neighbour, maps[..., 1:]], axis=-1))


def _prior(width):
    """Network from the U-Net's context to ``[mean, log sigma]`` of z."""
    context = keras.Input((width,))
    return keras.Model(context, _gaussian(context), name="prior")


def _posterior(shape, filters):
    """Network from a stamp and the truth's maps to ``[mean, log sigma]`` of z."""
    stamps = keras.Input((*shape[:2], shape[2] + len(MAPS)))
    seen, maps = unet.see(stamps[..., : shape[2]]), stamps[..., shape[2] :]
    x = encode(fold(keras.layers.Concatenate()([seen, maps])), filters)
    return keras.Model(stamps, _gaussian(x), name="posterior")


def _gaussian(x):
    x = keras.layers.Dense(64, activation="relu")(x)
    mean = keras.layers.Dense(LATENT, dtype="float32")(x)
    log_sigma = keras.layers.Dense(LATENT, kernel_initializer="zeros", dtype="float32")(x)
    return ops.concatenate([mean, 3.0 * ops.tanh(log_sigma / 3.0)], axis=-1)


def kl_divergence(p, q):
    """KL(p || q) of each dimension, of Gaussians ``[mean, log sigma]`` (n, 2 * d); (n, d)."""
    (mean_p, log_p), (mean_q, log_q) = ops.split(p, 2, axis=-1), ops.split(q, 2, axis=-1)
    ratio = ops.exp(2 * (log_p - log_q))
    offset = ((mean_p - mean_q) * ops.exp(-log_q)) ** 2
    return log_q - log_p + (ratio + offset - 1) / 2


def build(shape, settings, networks):
    """Build a probabilistic U-Net on the trained U-Net among `networks`."""
    trunk = unet.trunk(networks["unet"].model)
    model = ProbabilisticUNet(keras.models.clone_model(trunk), shape, settings.filters)
    model.trunk.set_weights(trunk.get_weights())
    model.compile()
    return model


def graphs(model):
    """Build the parts that inference runs, on what the U-Net's graph gives.

    ``prior`` of the context; ``shift``, what z adds to the projected features; and ``draws``, see
    `_draws`.
    """
    features, context = model.trunk.output
    given, z = keras.Input(context.shape[1:]), keras.Input((LATENT,))
    return {
        "prior": keras.Model(given, model.prior(given)),
        "shift": keras.Model(z, model.shift(z)),
        "draws": _draws(model, features.shape[1:]),
    }


def _draws(model, shape):
    """Build what makes many draws at once, with pixels last, which is twice as fast.

    Of the features (n, y / 2, x / 2, channel), the shifts (n, draw, WIDTH), what is added to the
    logits of TARGET (n, draw, 1) and the light to share out (n, 4, y / 2 * x / 2, band), it makes
    mean and spread of TARGET, each (n, 4, y / 2 * x / 2), and the light that falls to the target
    in each draw, (n, draw, band).
    """
    n_blocks = shape[0] * shape[1]
    features, shift, offset = (keras.Input(s) for s in (shape, (None, WIDTH), (None, 1)))
    light = keras.Input((4, n_blocks, None))
    projected = ops.reshape(model.project(features), (-1, n_blocks, WIDTH))
    hidden = ops.relu(ops.transpose(projected, (0, 2, 1))[:, None] + shift[..., None])
    kernel, bias = (ops.convert_to_numpy(v) for v in (model.head.kernel, model.head.bias))
    logits = ops.split(ops.matmul(kernel.T, hidden) + bias[:, None], 2, axis=2)
    target, share = ops.sigmoid(logits[0] + offset[..., None]), ops.sigmoid(logits[1])
    mean = ops.mean(target, axis=1)
    spread = ops.sqrt(ops.mean((target - mean[:, None]) ** 2, axis=1))
    flux = ops.einsum("nkip,nipb->nkb", share, light)
    return keras.Model([features, shift, offset, light], [mean, spread, flux])
