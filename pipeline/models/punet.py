"""Which pixel is whose, and how sure are we?

The probabilistic U-Net of Kohl et al. (2018, arXiv:1806.05034): a latent ``z`` says which of the
plausible segmentations is meant.  In training ``z`` comes from a network that has seen the truth;
in use, from one that has not, kept close by a KL term.  The features are the U-Net's own, kept as
they are, so that they are the same wherever both networks look.
"""

import numpy as np
from astropy.table import Table

from pipeline.models import metrics, unet
from pipeline.models.unet import KIND, calibrate, inputs, target  # noqa: F401

LATENT = 8
WIDTH = 32
BATCH = 64
DECIDED = 0.01  # a pixel less likely the source's than this, at the prior's mean, is not


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
    n, size = cutouts.flux.shape[:2]
    mean, spread = np.zeros((2, n, size, size), "f4")
    flux = np.empty((n, settings.n_draws, len(cutouts.bands)))
    rng = np.random.default_rng(settings.seed)
    for start in range(0, n, BATCH):
        rows = slice(start, start + BATCH)
        weighted = cutouts.flux[rows] * aperture(rows)[..., None]
        found = _draw_open(network, inputs(cutouts[rows]), weighted, settings.n_draws, rng)
        mean[rows], spread[rows], flux[rows] = found
    footprint = np.maximum((mean * (mean > 0.5)).sum((1, 2)), 1)
    uncertainty = (spread * (mean > 0.5)).sum((1, 2)) / footprint
    table = Table({"id": cutouts.id, "mask_uncertainty": uncertainty, "flux_draws": flux})
    return {"TARGET": mean, "TARGET_STD": spread}, table


def _draw_open(network, stamps, weighted, n_draws, rng):
    """Mean and spread of TARGET (n, y, x), and the flux of every draw (n, draw, band).

    The head sees every pixel on its own, so it is run on those alone that are open: likely enough
    to be the source's at the prior's mean, or inside the aperture.  Elsewhere the spread is 0.
    """
    features, prior = network("features", stamps)
    centre, log_sigma = np.split(prior, 2, axis=1)
    mean = network("head", features + network("shift", centre)[:, None, None, :])[..., 0]
    spread = np.zeros_like(mean)
    is_open = (mean > DECIDED) | weighted.any(-1)
    source, n = np.nonzero(is_open)[0], len(stamps)
    features, light = features[is_open], weighted[is_open]
    total, squares = np.zeros((2, len(source)))
    flux = np.empty((n, n_draws, light.shape[1]))
    for k in range(n_draws):
        z = centre + np.exp(log_sigma) * rng.standard_normal(centre.shape)
        bias = network("shift", z.astype("f4"))
        maps = _of_pixels(network, features + bias[source], stamps.shape[1])
        total += maps[:, 0]
        squares += maps[:, 0] ** 2
        for band, own in enumerate(light.T):
            flux[:, k, band] = np.bincount(source, maps[:, 2] * own, n)
    mean[is_open] = total / n_draws
    spread[is_open] = np.sqrt(np.maximum(squares / n_draws - (total / n_draws) ** 2, 0))
    return mean, spread, flux


def _of_pixels(network, features, side):
    """Maps (m, 3) of the head for pixels (m, WIDTH), laid out as stamps for the engine."""
    stamps = np.zeros((-(-len(features) // side**2), side, side, WIDTH), "f4")
    stamps.reshape(-1, WIDTH)[: len(features)] = features
    return network("head", stamps).reshape(-1, 3)[: len(features)]


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
    pairs = [
        metrics.iou(a > 0.5, b > 0.5).mean() for a, b in zip(draws[::2], draws[1::2], strict=True)
    ]
    best = np.max([metrics.iou(d > 0.5, wanted) for d in draws], axis=0)
    return {
        "iou_target": float(metrics.iou(mean > 0.5, wanted).mean()),
        "iou_best_of_16": float(best.mean()),
        "diversity": float(1 - np.mean(pairs)),
        "calibration_error_on_union": metrics.calibration_error(mean[union], wanted[union]),
        "auroc_of_spread_against_error": metrics.roc_auc(spread[union], wrong[union]),
    }
