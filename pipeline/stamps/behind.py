"""Cut stamps of compact sources without the light of large ones behind them."""

from dataclasses import replace

import numpy as np

from pipeline.stamps.cutouts import cut


def without(flux, ivar, light, gain):
    """Take light off pixels; its photons, where they can be counted, stay as noise.

    Parameters
    ----------
    flux, ivar, light : ndarray, (..., band)
    gain : sequence of float
        Electrons per unit of flux, one a band; 0 where that is unknown.

    Returns
    -------
    flux, ivar : ndarray, (..., band)
    """
    if not any(gain):
        return flux - light, ivar
    electrons = np.where(np.asarray(gain) > 0, gain, np.inf).astype("f4")
    return flux - light, ivar / (1 + ivar * np.maximum(light, 0) / electrons)


def cut_without(exposure, behind, sources, size, binning):
    """Cut a stamp about every source, without the light that is behind it.

    Parameters
    ----------
    exposure, sources, size
        As of `pipeline.stamps.cutouts.cut`; of the sources also ``before``.
    behind : ndarray, (y, x, band), or None
        As of `pipeline.detection.detect.detect`.
    binning : ndarray, (n,), int

    Returns
    -------
    Cutouts
    """
    stamps = cut(exposure, sources, size, binning)
    rows = np.flatnonzero(sources["before"])
    if behind is not None and len(rows):
        light = cut(replace(exposure, flux=behind), sources[rows], size, binning[rows]).flux
        seen = stamps.flux[rows], stamps.ivar[rows]
        stamps.flux[rows], stamps.ivar[rows] = without(*seen, light, exposure.gain)
    return stamps
