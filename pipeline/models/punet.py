"""Which pixel is whose, and how sure are we?

The probabilistic U-Net of Kohl et al. (2018, arXiv:1806.05034): a latent ``z`` says which of the
plausible segmentations is meant.  In training ``z`` comes from a network that has seen the truth;
in use, from one that has not, kept close by a KL term.  The features are the U-Net's own, kept as
they are, so that they are the same wherever both networks look.
"""

import keras
import numpy as np
from astropy.table import Table
from keras import ops

from pipeline.models import metrics, unet
from pipeline.models.layers import SkyUnits, encode
from pipeline.models.unet import KIND, calibrate, inputs, target  # noqa: F401

LATENT = 8
WIDTH = 32
BATCH = 64


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
        reconstruction = n_pixels * unet.map_loss(y, maps)
        return ops.mean(reconstruction + self.beta * kl_divergence(posterior, prior)) / n_pixels

    def get_config(self):
        return {**super().get_config(), **self.settings, "trunk": self.trunk.get_config()}

    @classmethod
    def from_config(cls, config):
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


def apply(network, cutouts, aperture, settings):
    """Draw many segmentations of every stamp.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    aperture : callable
        Gives the aperture's weights (m, y, x) of a slice of the stamps.
    settings : pipeline.config.Punet

    Returns
    -------
    maps : dict of ndarray, (n, y, x), float32
        ``TARGET`` and ``TARGET_STD``: mean over the draws, and their standard deviation, of the
        probability that a pixel is the source's.
    draws : Table
        ``id``, ``mask_uncertainty`` (spread over the footprint, relative to the footprint) and
        ``flux_draws`` (n, draw, band), what the aperture holds of the source in each draw.
    """
    n, size, n_bands = len(cutouts), cutouts.flux.shape[1], len(cutouts.bands)
    mean, spread = np.empty((2, n, size, size), "f4")
    flux = np.empty((n, settings.n_draws, n_bands))
    rng = np.random.default_rng(settings.seed)
    for start in range(0, n, BATCH):
        rows = slice(start, start + BATCH)
        part = cutouts[rows]
        weighted = part.flux * aperture(rows)[..., None]
        total, squares = 0.0, 0.0
        for k, maps in enumerate(draw(network, inputs(part), settings.n_draws, rng)):
            total, squares = total + maps[..., 0], squares + maps[..., 0] ** 2
            flux[rows, k] = np.einsum("nyx,nyxb->nb", maps[..., 2], weighted)
        mean[rows] = total / settings.n_draws
        spread[rows] = np.sqrt(np.maximum(squares / settings.n_draws - mean[rows] ** 2, 0))
    footprint = np.maximum((mean * (mean > 0.5)).sum((1, 2)), 1)
    uncertainty = (spread * (mean > 0.5)).sum((1, 2)) / footprint
    table = Table({"id": cutouts.id, "mask_uncertainty": uncertainty, "flux_draws": flux})
    return {"TARGET": mean, "TARGET_STD": spread}, table


def draw(network, stamps, n_draws, rng):
    """Draw maps (n, y, x, 3) of the stamps (n, y, x, 2), one hypothesis at a time."""
    features, prior = network("features", stamps)
    mean, log_sigma = np.split(prior, 2, axis=1)
    for _ in range(n_draws):
        z = mean + np.exp(log_sigma) * rng.standard_normal(mean.shape)
        bias = network("shift", z.astype("f4"))
        yield network("head", features + bias[:, None, None, :])


def score(network, stamps, truth, light):
    """Intersection over union of the mean map, calibration and use of the spread, diversity."""
    rng = np.random.default_rng(0)
    wanted = light[..., 0] > unet.THRESHOLD * np.asarray(truth["sky_rms"])[:, None, None]
    draws = np.stack([maps[..., 0] for maps in draw(network, stamps, 16, rng)])
    mean, spread = draws.mean(0), draws.std(0)
    wrong = (mean > 0.5) != wanted
    union = wanted | (mean > 0.1)
    pairs = [metrics.iou(a > 0.5, b > 0.5).mean() for a, b in zip(draws[::2], draws[1::2], strict=True)]
    best = np.max([metrics.iou(d > 0.5, wanted) for d in draws], axis=0)
    return {
        "iou_target": float(metrics.iou(mean > 0.5, wanted).mean()),
        "iou_best_of_16": float(best.mean()),
        "diversity": float(1 - np.mean(pairs)),
        "calibration_error_on_union": metrics.calibration_error(mean[union], wanted[union]),
        "auroc_of_spread_against_error": metrics.roc_auc(spread[union], wrong[union]),
    }
