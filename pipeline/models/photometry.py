"""How bright is the central galaxy without its neighbours?  A whole distribution.

A mixture density network, after blend2flux of Boucaud et al. (2020, MNRAS 491, 2481), says what to
add to the light that the U-Net's maps collect: the logarithm of true flux over collected flux.
"""

import numpy as np
from astropy.table import Table

from pipeline.config import Punet
from pipeline.models import binned, deblending, metrics, punet, unet
from pipeline.models.companions import agreed, of_cutouts, of_scenes, reconcile
from pipeline.models.mixture import quantile
from pipeline.models.stamps import one_band
from pipeline.models.unet import KIND  # noqa: F401

WITH_COMPANIONS = True
LEAST_SNR = 2.0
MAPS = "TARGET", "SHARE", "NEIGHBOUR"
N_KNOWN = 4
SHARES = {"flux_p16": 0.16, "flux_p50": 0.5, "flux_p84": 0.84}
WIDEN_BINS = 12
BINS = "snr", "separation_re", "separation_fwhm"  # in which intervals are to hold
DIFFUSE = 30.0, 4.0  # S/N, at most, and half-light radius [pixel], at least, of stamps not binned


def inputs(cutouts, networks, companions=None):
    """Stamps with the trained networks' maps behind them, and what is known of each.

    Gives (n, y, x, 5) and (n, N_KNOWN), of the band that the sources were found in.  Shares agree
    with what is said of `companions`, Cutouts as those of `pipeline.scenes.sets.Drawn`.
    """
    maps = unet.apply(networks["unet"], cutouts)
    if companions is not None:
        others = of_cutouts(companions)
        maps["SHARE"] = reconcile(networks["unet"], others, maps, cutouts.binning)
    _, draws = punet.apply(networks["punet"], cutouts, maps, Punet())
    return _see(cutouts, cutouts.reference, maps, draws["flux_draws"])


def _see(cutouts, band, maps, draws):
    """As `inputs`, of one band, with the maps and the draws at hand."""
    stamps = np.empty((*cutouts.flux.shape[:3], 5), "f4")
    stamps[..., :2] = one_band(cutouts, band)
    for i, name in enumerate(MAPS):
        stamps[..., 2 + i] = maps[name][band] if isinstance(maps[name], list) else maps[name]
    known = np.empty((len(stamps), N_KNOWN), "f4")
    for rows in _batches(len(stamps)):
        known[rows] = _known(stamps[rows], np.asarray(draws)[rows, :, band])
    return stamps, known


def see(scenes, networks, normal):
    """As `inputs`, in training.

    Parameters
    ----------
    scenes : dict of array
        As `pipeline.scenes.blends` draws them, with companions.
    networks : dict of callable
        The trained networks, which are called as `pipeline.models.engine.Network` is.
    normal : callable
        Gives standard normal numbers of a shape.
    """
    flux, ivar, binning = scenes["flux"], scenes["ivar"], scenes["truth"]["binning"]
    xp = flux.__array_namespace__()
    maps, *context = networks["unet"]("main", unet.see(scenes))
    found = {name: maps[..., i] for i, name in enumerate(unet.MAPS)}
    seen = found["TARGET"], *context
    draws = punet.drawn_flux(networks["punet"], seen, flux[..., None], normal)
    companions = of_scenes(scenes["companions"])
    found["SHARE"] = agreed(networks["unet"], companions, maps, binning)
    stamps = xp.stack([flux, ivar, *(found[name] for name in MAPS)], axis=-1)
    return stamps, _known(stamps, draws[..., 0])


def _batches(n):
    """Slices of `n` rows, as many at once as memory stays flat for."""
    return [slice(start, start + unet.BATCH) for start in range(0, n, unet.BATCH)]


def _known(stamps, draws):
    """What is known of the whole stamp; (n, N_KNOWN), float32.

    Logarithms of the collected flux's S/N, of the draws over it and of their scatter, and of the
    footprint's pixels.
    """
    xp = stamps.__array_namespace__()
    flux, noise = _collect(stamps)
    ratio = xp.log(xp.maximum(draws, noise[:, None]) / flux[:, None])
    scatter = xp.log(ratio.std(1) + 0.01)
    size = xp.log1p((stamps[..., 2] > 0.5).sum((1, 2)))
    return xp.stack([xp.log(flux / noise), ratio.mean(1), scatter, size], axis=1).astype("f4")


def target(stamps, truth, light):
    """Logarithm of true over collected flux; (n, 1)."""
    xp = stamps[0].__array_namespace__()
    return xp.log(xp.asarray(truth["flux"]) / collect(stamps[0]))[:, None].astype("f4")


def collect(stamps):
    """Flux that the maps collect, at least `LEAST_SNR` times its noise; (n,).

    Parameters
    ----------
    stamps : ndarray, (n, y, x, 5)
        Flux, ivar, and `MAPS`.
    """
    xp = stamps.__array_namespace__()
    parts = [_collect(stamps[rows])[0] for rows in _batches(len(stamps))]
    return xp.concatenate(parts) if parts else xp.zeros(0)


def _collect(stamps):
    """The same, and its noise."""
    xp = stamps.__array_namespace__()
    light, ivar, mask, share, _ = xp.moveaxis(stamps, -1, 0)
    weight = share * (mask > unet.COLLECT_ABOVE) * (ivar > 0)
    variance = (weight**2 / xp.where(ivar > 0, ivar, xp.inf)).sum((1, 2))
    noise = xp.sqrt(xp.maximum(variance, 1 / xp.maximum(ivar.max((1, 2)), 1e-30)))
    return xp.maximum((weight * light).sum((1, 2)), LEAST_SNR * noise), noise


def calibrate(network, stamps, truth, light=None):
    """Factors on the intervals that make 68 % of them hold the truth, on validation.

    One factor for each bin of the interval's own width.
    """
    mixture = network("main", *stamps)
    value = np.log(np.asarray(truth["flux"]) / collect(stamps[0]))
    low, middle, high = (quantile(mixture, s) for s in SHARES.values())
    pull = np.abs(metrics.pull(low, middle, high, value))
    width = np.log(high - low)
    bins = np.array_split(np.argsort(width), WIDEN_BINS)
    at = [float(np.median(width[rows])) for rows in bins]
    return {
        "calibration": {"width": at, "widen": [float(np.quantile(pull[r], 0.68)) for r in bins]}
    }


def apply(network, cutouts, maps, draws, before=None):
    """Infer total fluxes.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    maps : dict of ndarray, (n, y, x)
        The U-Net's `MAPS`; of SHARE a list if each band has its own.
    draws : ndarray, (n, draw, band)
        Flux of the target in each draw.
    before : ndarray, (n,), bool, optional
        Sources that were measured without the light of a larger one behind them, whose intervals
        may be calibrated apart (`pipeline.injection.calibrate`).

    Returns
    -------
    Table
        ``id`` and ``flux_p16``, ``flux_p50``, ``flux_p84`` (n, band), in the cutouts' unit; NaN in
        a band that has no usable pixel where the source is.
    """
    table = Table({"id": cutouts.id})
    bands = [
        _percentiles(network, _see(cutouts, band, maps, draws), SHARES.values(), before)
        for band in range(len(cutouts.bands))
    ]
    seen = _is_seen(cutouts.ivar > 0, maps["TARGET"] > unet.COLLECT_ABOVE)
    for i, name in enumerate(SHARES):
        fluxes = np.stack([percentiles[i] for percentiles in bands], axis=-1)
        table[name] = np.where(seen, fluxes, np.nan)
        table[name].unit = cutouts.unit
    return table


def _is_seen(usable, own):
    """Whether a band has a usable pixel of the source's own, or any if it has none; (n, band).

    `usable` is (n, y, x, band), `own` is (n, y, x).
    """
    somewhere = own.any(axis=(1, 2), keepdims=True)
    return (usable & np.where(somewhere, own, True)[..., None]).any(axis=(1, 2))


def _percentiles(network, stamps, shares, before=None):
    """Fluxes below which the posterior holds each of the `shares`; a list of (n,)."""
    mixture, base = network("main", *stamps), collect(stamps[0])
    low, middle, high = (quantile(mixture, s) for s in SHARES.values())
    found, width = network.card["calibration"], np.log(high - low)
    widen = np.interp(width, found["width"], found["widen"])
    if before is not None and "before" in found:
        apart = found["before"]
        widen = np.where(before, np.interp(width, apart["width"], apart["widen"]), widen)
    return [base * np.exp(middle + widen * (quantile(mixture, s) - middle)) for s in shares]


def _intervals(network, stamps):
    """Medians, and of each of `metrics.LEVELS` the two ends of the central interval; each (n,)."""
    ends = [(1 + side * level) / 2 for level in metrics.LEVELS for side in (-1, 1)]
    middle, *found = _percentiles(network, stamps, (0.5, *ends))
    return middle, dict(zip(metrics.LEVELS, zip(found[::2], found[1::2], strict=True), strict=True))


def score(network, stamps, truth, light):
    """Errors of the median in magnitudes, and how often the intervals hold the truth.

    Errors are of stamps of S/N > 10, coverage of all; ``bins`` has both in bins of what makes
    deblending hard, ``coverage_68_of_close`` is of stamps with a neighbour within one width of the
    PSF, which was ``known`` or ``unknown``, and ``diffuse`` has both of `DIFFUSE` galaxies.
    """
    middle, intervals = _intervals(network, stamps)
    flux, bright = np.asarray(truth["flux"]), np.asarray(truth["snr"]) > 10
    fluxes = deblending.of_fluxes(middle / flux)
    unsure = deblending.of_intervals(flux, middle, intervals)
    bins = binned.by_condition(fluxes | unsure, truth)
    close, known = truth["neighbour"] < truth["fwhm"], np.asarray(truth["neighbour_known"], bool)
    inside, which = unsure["coverage_68"][1] > 0, {"known": known, "unknown": ~known}
    diffuse = (truth["snr"] < DIFFUSE[0]) & (truth["re"] > DIFFUSE[1]) & (truth["binning"] == 1)
    number, errors = fluxes["median_dm"]
    return {
        **{name: binned.bootstrap(number, v[bright]) for name, (number, v) in fluxes.items()},
        **{name: bins[name]["all"] for name in unsure},
        "coverage_68_in_bins": binned.extremes(bins["coverage_68"], *BINS),
        "coverage_68_of_close": {k: binned.share(inside[close & v]) for k, v in which.items()},
        "diffuse": {
            "median_dm": binned.bootstrap(number, errors[diffuse]),
            "coverage_68": binned.share(inside[diffuse]),
        },
        "bins": bins,
    }
