"""Does the stamp look like anything in the training set?

A convolutional autoencoder; a stamp is strange where its latent vector is far from those of the
training set (Mahalanobis distance, with the shrunk covariance of Ledoit & Wolf 2004), where the
power spectrum of its light is improbable (a Gaussian), or that, its texture and the width of the
PSF together are (a mixture of Gaussians: nothing in the sky is sharper than the PSF), or where it
cannot be rebuilt: by the chi-square of the residual, or by the root of the mean square of the
pixels' own, which a few bad pixels raise.
"""

import numpy as np
from astropy.table import Table
from scipy.special import logsumexp

from pipeline.models import binned, metrics
from pipeline.models.stamps import SHARPEST, WITH_COMPANIONS, one_band, see  # noqa: F401

KIND = "blends"
VECTORS = "latent", "spectrum", "texture"
COMPONENTS = {"spectrum": 1, "texture": 30}  # Gaussians
LEAST_MEMBERS = 100  # vectors that each is fitted to, about
LEAST_VARIANCE = 1e-3  # of a component, every quantity being scaled to 1
RARER = {"spectrum": 0.6}  # a measure counts as if ordinary stamps were as strange so much rarer
BEYOND = 0.25  # share of the last step's known values that are taken to lie beyond the largest
MISFITS = "log_chi2", "log_peaked"
SHARES = np.linspace(0, 1, 1001)
DIGITS = 6  # of the numbers of a model card
PSF_ERROR = 0.05  # of the measured width of a PSF, as a share of it


def inputs(cutouts, networks=None, companions=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def target(stamps, truth, light=None):
    """Nothing: the stamp is its own target."""


def calibrate(network, stamps, truth, light=None):
    """Describe where the vectors lie, and the percentiles of each measure and of the largest.

    The percentiles are of stamps that the description was not fitted to: every second one.
    """
    from sklearn.covariance import LedoitWolf

    vectors, misfit = _vectors(network, stamps, _as_measured(truth["fwhm"], seed=0))
    fitted = LedoitWolf().fit(vectors["latent"][::2])
    found = {"latent": {"centre": fitted.location_, "precision": fitted.precision_}}
    found |= {name: _mixture(vectors[name][::2], n) for name, n in COMPONENTS.items()}
    found = {name: {k: _plain(v) for k, v in f.items()} for name, f in found.items()}
    rest = {name: vector[1::2] for name, vector in vectors.items()}
    measured = _measure(rest, misfit[1::2], found)
    found["percentiles"] = {name: _quantiles(value) for name, value in measured.items()}
    found["percentiles"]["largest"] = _quantiles(_largest(measured, found["percentiles"]))
    return {"calibration": found}


def apply(network, cutouts, fwhm):
    """Score the stamps.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    fwhm : float
        Full width at half maximum of the PSF [pixel of the tile].

    Returns
    -------
    Table
        ``id`` and ``anomaly``, a percentile of the training set: 0.99 says that 1 in 100 known
        stamps is as strange, in the distance of its latent vector, the improbability of its
        spectrum or texture, or a misfit, whichever is the strangest.
    """
    blocks = np.maximum(fwhm / cutouts.binning, SHARPEST)
    return Table({"id": cutouts.id, "anomaly": strangeness(network, inputs(cutouts), blocks)})


def strangeness(network, stamps, fwhm):
    """As `apply`, of the network's own `inputs` and the PSF's width in their pixels; (n,)."""
    found = network.card["calibration"]
    measured = _measure(*_vectors(network, stamps, fwhm), found)
    known = found["percentiles"]
    return np.interp(_largest(measured, known), known["largest"], SHARES)


def _as_measured(fwhm, seed):
    """Widths of PSFs as an image would give them."""
    rng = np.random.default_rng(seed)
    return np.asarray(fwhm) * np.exp(PSF_ERROR * rng.standard_normal(len(fwhm)))


def _vectors(network, stamps, fwhm):
    """The vectors of the stamps by name, the texture with spectrum and PSF; and the misfits."""
    *vectors, misfit = (part.astype("f8") for part in network("main", stamps))
    named = dict(zip(VECTORS, vectors, strict=True))
    known = named["spectrum"], named["texture"], np.log(fwhm)[:, None]
    named["texture"] = np.concatenate(known, axis=1)
    return named, misfit


def _mixture(vector, n):
    """Fit a mixture of `n` Gaussians to vectors, of fewer if those are few.

    Each quantity is scaled to a variance of 1.
    """
    from sklearn.mixture import GaussianMixture

    n = min(n, max(1, len(vector) // LEAST_MEMBERS))
    centre, scale = vector.mean(0), vector.std(0) + 1e-9
    model = GaussianMixture(n, reg_covar=LEAST_VARIANCE, random_state=0, max_iter=300)
    model.fit((vector - centre) / scale)
    whiten = np.swapaxes(model.precisions_cholesky_, 1, 2)  # triangular; |W x|**2 is Mahalanobis'
    return {
        "centre": centre,
        "scale": scale,
        "share": model.weights_,
        "means": model.means_,
        "whiten": whiten,
    }


def _measure(vectors, misfit, found):
    """Distances and improbabilities of the vectors, logarithms of the misfits; each (n,)."""
    measured = {"latent": _distance(vectors["latent"], **found["latent"])}
    measured |= {name: _improbability(vectors[name], found[name]) for name in COMPONENTS}
    return measured | dict(zip(MISFITS, np.log(misfit.T + 1e-3), strict=True))


def _improbability(vector, mixture):
    """Negative logarithm of a mixture's density, but for a constant; (n,)."""
    mixture = {name: np.array(value) for name, value in mixture.items()}
    x, logs = (vector - mixture["centre"]) / mixture["scale"], []
    for weight, mean, matrix in zip(
        *(mixture[k] for k in ("share", "means", "whiten")), strict=True
    ):
        square = (((x - mean) @ matrix.T) ** 2).sum(1)
        logs.append(np.log(weight) + np.log(np.diag(matrix)).sum() - square / 2)
    return -logsumexp(logs, axis=0)


def _distance(vector, centre, precision):
    offset = vector - np.array(centre)
    return np.sqrt(np.einsum("ni,ij,nj->n", offset, np.array(precision), offset))


def _largest(measured, known):
    """Largest percentile of the measures; (n,)."""
    rarer = [RARER.get(name, 1.0) * _rarity(v, known[name]) for name, v in measured.items()]
    return 1 - np.min(rarer, axis=0)


def _rarity(value, quantiles):
    """Share of the known values that are larger; (n,).

    Beyond the last quantile but one it falls as the inverse of the distance from that: it is never
    0, so that what is stranger than all that is known can be told from what is stranger still.
    """
    start, end = quantiles[-2:]
    beyond = np.maximum(value - start, 0) / max(end - start, 1e-6)
    last = (1 - SHARES[-2]) / (1 + (1 / BEYOND - 1) * beyond)
    return np.where(beyond > 0, last, 1 - np.interp(value, quantiles, SHARES))


def _quantiles(value):
    return _plain(np.quantile(value, SHARES))


def _plain(values):
    """Lists of numbers of `DIGITS` at most."""
    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"))(values).tolist()


def score(network, stamps, truth, light=None):
    """Area under the ROC curve of spoilt stamps against ordinary ones, for each way to spoil."""
    rng, fwhm = np.random.default_rng(0), _as_measured(truth["fwhm"], seed=1)
    ordinary = strangeness(network, stamps, fwhm)
    found = {"share_of_ordinary_above_0.99": binned.share(ordinary > 0.99)}
    for name, spoil in SPOILT.items():
        spoilt = strangeness(network, spoil(stamps.copy(), rng), fwhm)
        found[f"auroc_{name}"] = binned.bootstrap(_auroc, ordinary, spoilt)
    return found


def _auroc(ordinary, spoilt):
    return metrics.roc_auc(np.append(ordinary, spoilt), np.arange(2 * len(spoilt)) >= len(ordinary))


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
    from scipy.ndimage import gaussian_filter

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
