"""How bright is the central galaxy without its neighbours?  A whole distribution.

A mixture density network, after blend2flux of Boucaud et al. (2020, MNRAS 491, 2481), says what to
add to the light that the U-Net's maps collect: the logarithm of true flux over collected flux.
"""

import numpy as np
from astropy.table import Table

from pipeline.models import metrics, unet
from pipeline.models.mixture import quantile
from pipeline.models.stamps import one_band
from pipeline.models.unet import KIND  # noqa: F401

COLLECT_ABOVE = 0.05  # of TARGET
LEAST_SNR = 2.0
SHARES = {"flux_p16": 0.16, "flux_p50": 0.5, "flux_p84": 0.84}


def inputs(cutouts, networks):
    """Stamps with the trained U-Net's maps behind them; (n, y, x, 4)."""
    maps = unet.apply(networks["unet"], cutouts)
    return _with_maps(cutouts, cutouts.reference, maps["TARGET"], maps["SHARE"])


def target(stamps, truth, light):
    """Logarithm of true over collected flux; (n, 1)."""
    return np.log(np.asarray(truth["flux"]) / collect(stamps))[:, None].astype("f4")


def collect(stamps):
    """Flux that the maps collect, at least `LEAST_SNR` times its noise; (n,).

    Parameters
    ----------
    stamps : ndarray, (n, y, x, 4)
        Flux, ivar, TARGET and SHARE.
    """
    flux, ivar, mask, share = np.moveaxis(stamps, -1, 0)
    weight = share * (mask > COLLECT_ABOVE) * (ivar > 0)
    variance = (weight**2 / np.where(ivar > 0, ivar, np.inf)).sum((1, 2))
    floor = LEAST_SNR * np.sqrt(np.maximum(variance, 1 / np.maximum(ivar.max((1, 2)), 1e-30)))
    return np.maximum((weight * flux).sum((1, 2)), floor)


def calibrate(network, stamps, truth):
    """Factor on the intervals that makes 68 % of them hold the truth, on validation."""
    mixture = network("main", stamps)
    value = np.log(np.asarray(truth["flux"]) / collect(stamps))
    low, middle, high = (quantile(mixture, s) for s in SHARES.values())
    pull = (value - middle) / np.where(value > middle, high - middle, middle - low)
    return {"calibration": {"widen": float(np.quantile(np.abs(pull), 0.68))}}


def apply(network, cutouts, mask, share):
    """Infer total fluxes.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    mask, share : ndarray, (n, y, x)
        The U-Net's TARGET and SHARE.

    Returns
    -------
    Table
        ``id`` and ``flux_p16``, ``flux_p50``, ``flux_p84`` (n, band), in the cutouts' unit.
    """
    table = Table({"id": cutouts.id})
    bands = [
        _percentiles(network, _with_maps(cutouts, band, mask, share))
        for band in range(len(cutouts.bands))
    ]
    for i, name in enumerate(SHARES):
        table[name] = np.stack([percentiles[i] for percentiles in bands], axis=-1)
        table[name].unit = cutouts.unit
    return table


def _percentiles(network, stamps):
    mixture, base = network("main", stamps), collect(stamps)
    low, middle, high = (quantile(mixture, s) for s in SHARES.values())
    widen = network.card["calibration"]["widen"]
    low, high = middle - widen * (middle - low), middle + widen * (high - middle)
    return [base * np.exp(value) for value in (low, middle, high)]


def _with_maps(cutouts, band, mask, share):
    return np.concatenate([one_band(cutouts, band), mask[..., None], share[..., None]], axis=-1)


def score(network, stamps, truth, light):
    """Errors of the median in magnitudes, and how often the 68 % interval holds the truth."""
    low, middle, high = _percentiles(network, stamps)
    flux, bright = np.asarray(truth["flux"]), np.asarray(truth["snr"]) > 10
    dm = -2.5 * np.log10(middle / flux)[bright]
    return {
        "median_dm": float(np.median(dm)),
        "nmad_dm": metrics.nmad(dm),
        "outliers_0.75": float(np.mean(np.abs(dm) > 0.75)),
        "mape": float(np.mean(np.abs(middle / flux - 1)[bright])),
        "coverage_68": metrics.coverage(low, high, flux),
    }
