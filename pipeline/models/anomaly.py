"""Does the stamp look like anything in the training set?

A convolutional autoencoder; a stamp is strange where its latent vector is far from those of the
training set (Mahalanobis distance, with the shrunk covariance of Ledoit & Wolf 2004) or where it
cannot be rebuilt (chi-square of the residual).
"""

import numpy as np
from astropy.table import Table

from pipeline.models import metrics
from pipeline.models.stamps import one_band

KIND = "blends"


def inputs(cutouts, networks=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def target(stamps, truth, light=None):
    """Nothing: the stamp is its own target."""


def calibrate(network, stamps, truth):
    """Centre and precision of the latent vectors, percentiles of distances and chi-squares."""
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
