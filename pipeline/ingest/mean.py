"""The mean of several bands, a band of its own, in which fainter sources stand out."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from pipeline.data import FLUX_UNIT
from pipeline.ingest.mishaps import InputError
from pipeline.ingest.weights import typical

LIGHT = 3.0  # S/N of 3 x 3 pixels that shows a source, whose own noise the weight may hold
LACKING = 0.1  # of the mean's pixels: a band that is missing there makes a PSF of two kinds
WIDE = 33  # pixels: no source of fewer lowers the weights that bands have in the mean


def with_mean(exposure, name, bands):
    """Add the mean of some bands, each weighted by its inverse variance, pixel by pixel.

    The noise of a source of flat spectrum is least in it.  Where a source is seen the weights are
    those of the sky beside it: a weight map that holds the sources' own noise would make light
    count less the brighter it is, and bright stars wider than faint ones.  Where a band has no
    information the others tell alone.  It is saturated where any of them is, and there as bright
    at least as wherever it is not; if that band has no information there, neither has the mean.

    Parameters
    ----------
    exposure : Exposure
    name : str
        Of the mean.
    bands : sequence of str
        Of which it is the mean, to the last digit whatever their order; if there are none,
        nothing is added.

    Returns
    -------
    Exposure
        The mean is its last band.

    Raises
    ------
    InputError
        If fluxes have no common zero point.
    """
    if not bands:
        return exposure
    if exposure.unit != FLUX_UNIT:
        raise InputError(
            f"detect.band: {name} is the mean of images whose counts are not said to mean the "
            "same; set ingest.zero_point, or detect in one band"
        )
    bands = sorted(bands)
    which = [exposure.bands.index(band) for band in bands]
    flux, ivar, level = _mean(exposure, which)
    share = [typical(exposure.ivar[..., i]) for i in which]
    parts = (
        f"{weight / (sum(share) or 1):.0%} {b}" for weight, b in zip(share, bands, strict=True)
    )
    note = f"sources are detected in a mean of bands, typically {', '.join(parts)}"
    return replace(
        exposure,
        flux=np.concatenate([exposure.flux, flux[..., None]], axis=-1),
        ivar=np.concatenate([exposure.ivar, ivar[..., None]], axis=-1),
        bands=(*exposure.bands, name),
        gain=(*exposure.gain, _gain([exposure.gain[i] for i in which], share)),
        saturation=(*exposure.saturation, level),
        notes=(*exposure.notes, note, *_lacking(exposure, which, ivar > 0)),
    )


def _lacking(exposure, which, seen):
    """Notes on bands that say nothing in much of what the mean has `seen` (y, x)."""
    for i in which:
        share = np.mean(exposure.ivar[..., i][seen] == 0) if seen.any() else 0.0
        if share > LACKING:
            yield (
                f"band {exposure.bands[i]} is missing in {share:.0%} of the mean's pixels, where "
                "colours and the PSF weigh otherwise; should detect.band leave it out?"
            )


def _mean(exposure, which):
    """Flux and inverse variance (y, x) of the mean, and where it saturates."""
    shape = exposure.flux.shape[:2]
    total, weights, noise = np.zeros((3, *shape), "f4")
    full, lost = np.zeros((2, *shape), bool)
    for i in which:
        light, ivar = exposure.flux[..., i], exposure.ivar[..., i]
        more = _without_sources(light, ivar)
        total += more * light
        weights += more
        noise += more * np.divide(more, ivar, out=np.zeros_like(more), where=ivar > 0)
        saturated = light >= np.float32(exposure.saturation[i])
        full |= saturated
        lost |= saturated & (ivar == 0)
    seen = weights > 0
    flux, ivar = (
        np.divide(part, whole, out=np.zeros(shape, "f4"), where=seen)
        for part, whole in ((total, weights), (weights, noise))
    )
    ivar *= np.where(lost, 0, weights)
    if not full.any():
        return flux, ivar, np.inf
    level = np.nextafter(flux[~full].max(initial=0), np.float32(np.inf))
    flux[full] = np.maximum(flux[full], level)
    return flux, ivar, float(level)


def _without_sources(light, ivar):
    """Inverse variance (y, x), as if there were no sources where they are seen."""
    snr = 3 * ndimage.uniform_filter(light * np.sqrt(ivar), 3)
    filled = ndimage.grey_closing(ivar, (WIDE, WIDE))
    return np.where((snr > LIGHT) & (ivar > 0), filled, ivar)


def _gain(gains, weights):
    """Electrons per flux unit of a mean of flat spectrum; 0 if one of the bands' is unknown."""
    if not all(gains) or not any(weights):
        return 0.0
    noise = sum(weight**2 / gain for weight, gain in zip(weights, gains, strict=True))
    return float(sum(weights) ** 2 / noise)
