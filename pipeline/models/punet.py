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
