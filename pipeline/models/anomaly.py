"""Does the stamp look like anything in the training set?

A convolutional autoencoder; a stamp is strange where its latent vector is far from those of the
training set (Mahalanobis distance, with the shrunk covariance of Ledoit & Wolf 2004) or where it
cannot be rebuilt (chi-square of the residual).
"""

import numpy as np
from astropy.table import Table
from scipy.ndimage import gaussian_filter

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
    y, x = _grid(stamps)
    for stamp in stamps:
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-15, 15)
        line = np.abs(x * np.sin(angle) - y * np.cos(angle) - offset) < 1.5
        stamp[..., 0] += 20 * line / np.sqrt(stamp[..., 1].max())
    return stamps


def _cosmic_rays(stamps, rng):
    """One to three tracks a pixel wide, near the middle."""
    y, x = _grid(stamps)
    for stamp in stamps:
        for _ in range(rng.integers(1, 4)):
            angle, (x0, y0) = rng.uniform(0, np.pi), rng.uniform(-12, 12, 2)
            along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
            across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
            track = (np.abs(across) < 0.6) & (np.abs(along) < rng.uniform(1, 8))
            stamp[..., 0] += rng.uniform(20, 200) * track / np.sqrt(stamp[..., 1].max())
    return stamps


def _saturated_star(stamps, rng):
    """A star in the middle whose core is cut off and bleeds along a column."""
    y, x = _grid(stamps)
    for stamp in stamps:
        level, width = 10 ** rng.uniform(2, 3.5), rng.uniform(1.5, 4)
        light = 30 * level * (1 + (x**2 + y**2) / (2 * width) ** 2) ** -2.5
        bled = (np.abs(x) < 2) & (np.abs(y) < rng.uniform(8, 30))
        star = np.where(bled, level, np.minimum(light, level))
        stamp[..., 0] += star / np.sqrt(stamp[..., 1].max())
    return stamps


def _wide_psf(stamps, rng):
    """Light as a PSF of some 12 pixels shows it, under the same noise."""
    usable = stamps[..., 1] > 0
    sigma = np.sqrt(1 / np.where(usable, stamps[..., 1], np.inf))
    stamps[..., 0] = gaussian_filter(stamps[..., 0], 5.0, axes=(1, 2)) * usable
    stamps[..., 0] += sigma * rng.standard_normal(sigma.shape)
    return stamps


def _negative(stamps, rng):
    stamps[..., 0] *= -1
    return stamps


def _grid(stamps):
    """Positions about the middle of a stamp; two arrays (y, x)."""
    return np.mgrid[: stamps.shape[1], : stamps.shape[2]] - stamps.shape[1] / 2


SPOILT = {
    "cosmic_ray": _cosmic_rays,
    "trail": _trail,
    "saturated_star": _saturated_star,
    "wrong_psf": _wide_psf,
    "noise_doubled": _noise_doubled,
    "negative": _negative,
}
