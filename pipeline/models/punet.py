"""Which pixel is whose, and how sure are we?

The probabilistic U-Net of Kohl et al. (2018, arXiv:1806.05034): a latent ``z`` says which of the
plausible segmentations is meant.  In training ``z`` comes from a network that has seen the truth;
in use, from one that has not, kept close by a KL term.  The features are the U-Net's own, kept as
they are, so that they are the same wherever both networks look.  How far out a mask reaches varies
too little with ``z``; each draw also moves the logits of its whole mask by one normal number, whose
sigma makes the intervals of the masks' areas hold, on validation.
"""

from functools import partial

import numpy as np
from astropy.table import Table
from scipy.special import expit

from pipeline.models import binned, metrics, unet
from pipeline.models.unet import (  # noqa: F401
    KIND,
    WITH_COMPANIONS,
    inputs,
    see,
    target,
)

MAPS = "TARGET", "SHARE"
MASKS = "TARGET", "TARGET_STD"  # that are made of the draws
LATENT = 8
N_DRAWS = 32  # of a flux, where no settings say
DRAWN = 1, 4, 8, 16  # how many draws are compared with the truth
MIGHT_BE = 0.1  # a pixel more likely the target's than this counts for calibration
AREAS = 0.5, 0.68  # of the draws' areas, that are to hold the true one
SIGMAS = np.linspace(0.0, 4.0, 21)  # of the draws' offsets, that are tried
CALIBRATED_ON = 2048  # stamps, at most
SHARE_OF_BATCH = 4  # stamps whose draws are in memory at once: one in so many of a batch


def apply(network, cutouts, maps, settings):
    """Draw many segmentations of every stamp.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    maps : dict of ndarray
        The U-Net's ``TARGET``, ``SHARE``, ``FEATURES`` and ``CONTEXT``; of ``SHARE`` a list if each
        band has its own.
    settings : pipeline.config.Punet

    Returns
    -------
    maps : dict of ndarray, (n, y, x), float32
        ``TARGET`` and ``TARGET_STD``: mean over the draws, and their standard deviation, of the
        probability that a pixel is the source's.
    draws : Table
        ``id``, ``mask_uncertainty`` (spread over the footprint, relative to it; NaN where no pixel
        is more likely the source's than not) and ``flux_draws`` (n, draw, band), the light that
        falls to the source in each draw, of the pixels that could be its own.
    """
    n, size = cutouts.flux.shape[:2]
    mean, spread = np.zeros((2, n, size, size), "f4")
    flux = np.empty((n, settings.n_draws, len(cutouts.bands)))
    noise = _noise(cutouts.id, settings.n_draws, settings.seed)
    shift = _shifts(network, maps["CONTEXT"], noise[0])
    offset = network.card["calibration"]["sigma"] * noise[1]
    step = max(network.settings.batch_size // SHARE_OF_BATCH, 1)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        light = _could_be_own(_as_shared(cutouts, maps["SHARE"], rows), maps["TARGET"][rows])
        given = maps["FEATURES"][rows], shift[rows], offset[rows], light
        *folded, flux[rows] = network("draws", *given)
        mean[rows], spread[rows] = (_unfolded(part, size) for part in folded)
    spread_of, footprint = ((part * (mean > 0.5)).sum((1, 2)) for part in (spread, mean))
    nothing = np.full(n, np.nan)
    uncertainty = np.divide(spread_of, footprint, out=nothing, where=footprint > 0)
    table = Table({"id": cutouts.id, "mask_uncertainty": uncertainty, "flux_draws": flux})
    return dict(zip(MASKS, (mean, spread), strict=True)), table


def _as_shared(cutouts, share, rows):
    """Light of some stamps, as much of it as makes the detection band's share each band's own."""
    light = cutouts.flux[rows]
    if not isinstance(share, list):
        return light
    base = share[cutouts.reference][rows]
    ratios = [np.divide(s[rows], base, out=np.ones_like(base), where=base > 0) for s in share]
    return light * np.stack(ratios, axis=-1)


def _noise(ids, n_draws, seed):
    """Normal numbers of the latent's draws (n, draw, LATENT), and of the masks' (n, draw, 1).

    A source's draws depend on its id and the seed, not on which sources come before it.
    """
    noise = [np.empty((len(ids), n_draws, width), "f4") for width in (LATENT, 1)]
    for row, i in enumerate(ids):
        rng = np.random.default_rng((seed, i))
        for part in noise:
            part[row] = rng.standard_normal(part.shape[1:], "f4")
    return noise


def _shifts(network, context, noise):
    """What draws of the latent add to the features, (n, draw, WIDTH); `noise` is the latent's."""
    xp = noise.__array_namespace__()
    centre, log_sigma = xp.split(network("prior", context), 2, axis=1)
    z = centre[:, None] + xp.exp(log_sigma)[:, None] * noise
    shift = network("shift", z.reshape(-1, LATENT))
    return shift.reshape(*noise.shape[:2], shift.shape[-1])


def drawn_flux(network, seen, light, normal):
    """Light (n, y, x, band) that falls to the target in each of `N_DRAWS` draws; (n, draw, band).

    Parameters
    ----------
    network : callable
    seen : tuple of array
        Probability that a pixel is the target's (n, y, x), features and context, of the U-Net.
    light : array, (n, y, x, band)
    normal : callable
        Gives standard normal numbers of a shape.
    """
    own, features, context = seen
    shift = _shifts(network, context, normal((len(context), N_DRAWS, LATENT)))
    return network("draws", features, shift, 0 * shift[..., :1], _could_be_own(light, own))[2]


def _could_be_own(light, own):
    """Light of the pixels that could be the target's, `_folded`."""
    return _folded(light * (own > unet.COLLECT_ABOVE)[..., None])


def _folded(light):
    """Light (n, y, x, band) as (n, 4, y / 2 * x / 2, band): of each 2x2 pixels, each by itself."""
    n, height, width, bands = light.shape
    blocks = light.reshape(n, height // 2, 2, width // 2, 2, bands).transpose(0, 2, 4, 1, 3, 5)
    return blocks.reshape(n, 4, -1, bands)


def _unfolded(folded, size):
    """Undo `_folded` of a map (n, 4, y / 2 * x / 2); (n, size, size)."""
    half = size // 2
    blocks = folded.reshape(-1, 2, 2, half, half).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(-1, size, size)


def draw(network, stamps, n_draws, sigma, seed=0):
    """Draw TARGET (n, draw, y, x) of the stamps (n, y, x, plane), each hypothesis by itself.

    `sigma` is that of the offsets of the logits.
    """
    size = stamps.shape[1]
    drawn = np.empty((len(stamps), n_draws, size, size), "f2")
    step = max(network.settings.batch_size // SHARE_OF_BATCH, 1)
    for start in range(0, len(stamps), step):
        features, context = _trunk(network, stamps[start : start + step])
        latent, offset = _noise(np.arange(start, start + len(context)), n_draws, seed)
        shift = _shifts(network, context, latent)
        moved = (values.reshape(-1, 1, values.shape[-1]) for values in (shift, sigma * offset))
        features = np.repeat(features, n_draws, axis=0)
        dark = np.zeros((len(features), 4, features[0, ..., 0].size, 1), "f4")
        maps, _, _ = network("draws", features, *moved, dark)
        drawn[start : start + step] = _unfolded(maps, size).reshape(-1, *drawn.shape[1:])
    return drawn


def _trunk(network, stamps):
    """Features and context of stamps by Keras; in the chain the U-Net's graph gives them."""
    return [np.asarray(part, "f4") for part in network.model.trunk(stamps, training=False)]


def calibrate(network, stamps, truth, light):
    """Find the sigma of the draws' offsets with which 68 % of their areas hold the true one's.

    Returns
    -------
    dict
        ``calibration``: ``sigma``, in logits.
    """
    some = slice(0, CALIBRATED_ON)
    drawn = draw(network, stamps[some], N_DRAWS, sigma=0.0)
    _, offset = _noise(np.arange(len(drawn)), N_DRAWS, seed=0)
    areas = unet.above(truth[some], light[some])[..., 0].sum((1, 2))
    return {"calibration": {"sigma": _sigma_that_holds(drawn, offset[..., 0], areas)}}


def _sigma_that_holds(drawn, offset, areas):
    """Sigma of the offsets (n, draw) with which intervals of the `drawn` masks' areas hold."""
    held = []
    for sigma in SIGMAS:
        masks = drawn > expit(-sigma * offset)[..., None, None]
        held.append(_held(masks.sum((2, 3)).T, areas, AREAS[-1]).mean())
    return float(np.interp(AREAS[-1], np.maximum.accumulate(held), SIGMAS))


def _held(areas, true, level):
    """Whether the true area is in the central interval of the draws' (draw, n); (n,).

    Of n draws and a truth that could be one of them, k draws are below it as often as any other
    number: hence quantiles after Weibull (1939), which hold for few draws too.
    """
    shares = (1 - level) / 2, (1 + level) / 2
    low, high = np.quantile(areas, shares, axis=0, method="weibull")
    return (low <= true) & (true <= high)


def _areas(masks, wanted):
    """How often the area of the true mask is within those of the draws, and how wide those are."""
    areas, true = masks.sum((2, 3)), wanted.sum((1, 2))
    said = {f"area_coverage_{100 * k:.0f}": binned.share(_held(areas, true, k)) for k in AREAS}
    low, middle, high = np.quantile(areas, [0.16, 0.5, 0.84], axis=0)
    spread = (high - low) / 2 / np.maximum(middle, 1)
    return said | {"area_spread": binned.bootstrap(np.median, spread)}


def score(network, stamps, truth, light):
    """Intersection over union of the mean map, calibration and use of the spread, diversity.

    Calibration and spread are judged in the union of the true masks, of the target and of its
    neighbours, and of what the network thinks possible.  In the union with the target's alone
    even perfect probabilities would fail, for of the unlikely pixels only the true ones are in it.
    Each number has its error, of resampled stamps.
    """
    above = unet.above(truth, light)
    wanted = above[..., 0]
    draws = draw(network, stamps, DRAWN[-1], network.card["calibration"]["sigma"])
    mean, spread = draws.mean(1, dtype="f4"), draws.std(1, dtype="f4")
    union = above.any(-1) | (mean > MIGHT_BE)
    masks = np.moveaxis(draws > 0.5, 1, 0)
    of_stamps = {
        "iou_target": metrics.iou(mean > 0.5, wanted),
        "iou_best_of_16": np.max([metrics.iou(mask, wanted) for mask in masks], axis=0),
        "diversity": metrics.diversity(masks),
    }
    far = {k: metrics.energy_distance(masks[:k], wanted) for k in DRAWN}
    return {
        **{name: binned.bootstrap(np.mean, values) for name, values in of_stamps.items()},
        **_of_pixels(mean, spread, wanted, union),
        **_areas(masks, wanted),
        "squared_ged": {k: binned.bootstrap(np.mean, values) for k, values in far.items()},
    }


def _of_pixels(mean, spread, wanted, union):
    """Calibration and use of the spread in the pixels of the `union`; all (n, y, x)."""
    of = partial(binned.pooled, member=np.nonzero(union)[0])
    p, spread, true = mean[union], spread[union], wanted[union]
    wrong = (p > 0.5) != true
    return {
        "calibration_error_on_union": of(metrics.calibration_error, p, true),
        "brier_on_union": of(metrics.brier, p, true),
        "reliability": metrics.diagram(p, true),
        "auroc_of_spread_against_error": of(metrics.roc_auc, spread, wrong),
    }
