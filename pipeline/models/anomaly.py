"""Does the stamp look like anything in the training set?

A convolutional autoencoder; a stamp is strange where its latent vector is far from those of the
training set (Mahalanobis distance, with the shrunk covariance of Ledoit & Wolf 2004) or where it
cannot be rebuilt (chi-square of the residual).
"""

import keras
import numpy as np
from astropy.table import Table
from keras import ops

from pipeline.models import metrics
from pipeline.models.layers import SkyUnits, conv
from pipeline.models.stamps import one_band

KIND = "blends"
LATENT = 24
MODEL_ERROR = 0.1  # of the signal, beside the noise


@keras.saving.register_keras_serializable("arclet")
class Autoencoder(keras.Model):
    """Squeezes the stretched stamp through `LATENT` numbers and rebuilds it."""

    def __init__(self, shape, filters, **kwargs):
        super().__init__(**kwargs)
        self.settings = {"shape": list(shape), "filters": list(filters)}
        self.scale = SkyUnits()
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
        return {**super().get_config(), **self.settings}


def _encoder(shape, filters):
    x = seen = keras.Input((*shape[:2], 3))
    for n in filters:
        x = conv(x, n, strides=2)
    return keras.Model(seen, keras.layers.Dense(LATENT)(keras.layers.Flatten()(x)), name="encoder")


def _decoder(shape, filters):
    side = shape[0] >> len(filters)
    latent = keras.Input((LATENT,))
    x = keras.layers.Dense(side * side * filters[-1], activation="relu")(latent)
    x = keras.layers.Reshape((side, side, filters[-1]))(x)
    for n in reversed(filters):
        x = conv(keras.layers.UpSampling2D()(x), n)
    return keras.Model(latent, keras.layers.Conv2D(1, 3, padding="same")(x), name="decoder")


def build(shape, settings, networks=None):
    """Build an autoencoder that answers with its latent vector and its chi-square."""
    model = Autoencoder(shape, settings.filters)
    model.compile()
    return model


def inputs(cutouts, networks=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def target(stamps, truth, light=None):
    """Nothing: the stamp is its own target."""


def graphs(model):
    """Build the parts that inference runs."""
    stamps = keras.Input(model.settings["shape"])
    return {"main": keras.Model(stamps, model(stamps))}


def calibrate(network, stamps, truth):
    """Centre and precision of the latent vectors, and percentiles of the distances, on validation."""
    from sklearn.covariance import LedoitWolf

    latent, log_chi2 = _split(network("main", stamps))
    found = LedoitWolf().fit(latent)
    calibration = {"centre": found.location_.tolist(), "precision": found.precision_.tolist()}
    share = np.linspace(0, 1, 201)
    distance = _distance(latent, calibration)
    calibration["distance"] = np.quantile(distance, share).tolist()
    calibration["log_chi2"] = np.quantile(log_chi2, share).tolist()
    return {"calibration": calibration}


def apply(network, cutouts):
    """Score the stamps: ``id`` and ``anomaly``.

    ``anomaly`` is the larger of the percentiles, among the training set, of latent distance and
    of reconstruction chi-square: 0.99 says that 1 in 100 known stamps is as strange in one of them.
    """
    return Table({"id": cutouts.id, "anomaly": strangeness(network, inputs(cutouts))})


def strangeness(network, stamps):
    """As `apply`, of the network's own `inputs`; (n,)."""
    found = network.card["calibration"]
    latent, log_chi2 = _split(network("main", stamps))
    share = np.linspace(0, 1, len(found["distance"]))
    far = np.interp(_distance(latent, found), found["distance"], share)
    poor = np.interp(log_chi2, found["log_chi2"], share)
    return np.maximum(far, poor)


def _split(output):
    return output[:, :-1].astype("f8"), np.log(output[:, -1] + 1e-3)


def _distance(latent, calibration):
    offset = latent - np.array(calibration["centre"])
    return np.sqrt(np.einsum("ni,ij,nj->n", offset, np.array(calibration["precision"]), offset))


def score(network, stamps, truth, light=None):
    """Area under the ROC curve of spoilt stamps against ordinary ones, for each way to spoil."""
    rng = np.random.default_rng(0)
    ordinary = strangeness(network, stamps)
    found = {"share_of_ordinary_above_0.99": float(np.mean(ordinary > 0.99))}
    for name, spoil in SPOILT.items():
        scores = np.concatenate([ordinary, strangeness(network, spoil(stamps.copy(), rng))])
        found[f"auroc_{name}"] = metrics.roc_auc(scores, np.arange(len(scores)) >= len(ordinary))
    return found


def _noise_doubled(stamps, rng):
    usable = stamps[..., 1] > 0
    sigma = np.sqrt(1 / np.where(usable, stamps[..., 1], np.inf))
    stamps[..., 0] += np.sqrt(3) * sigma * rng.standard_normal(sigma.shape)
    return stamps


def _trail(stamps, rng):
    """A straight bright line across the stamp."""
    y, x = np.mgrid[: stamps.shape[1], : stamps.shape[2]] - stamps.shape[1] / 2
    for stamp in stamps:
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-15, 15)
        line = np.abs(x * np.sin(angle) - y * np.cos(angle) - offset) < 1.5
        stamp[..., 0] += 20 * line / np.sqrt(stamp[..., 1].max())
    return stamps


def _negative(stamps, rng):
    stamps[..., 0] *= -1
    return stamps


SPOILT = {"noise_doubled": _noise_doubled, "trail": _trail, "negative": _negative}
