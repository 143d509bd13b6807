"""Total fluxes in bands in which a source is too faint for the flux network."""

import numpy as np
from astropy.table import Table

from pipeline.models.photometry import SHARES

FAINT, BRIGHT = 10.0, 30.0  # S/N: below, the detection band tells; above, the network does
LEAST_SNR = 3.0  # in the detection band
PERCENTILES = tuple(SHARES)


def complete(totals, measured, reference):
    """Take the total fluxes of faint bands from the detection band's, and the colour.

    The flux network learnt from sources in the band in which they were detected; of those that
    a band hardly shows it says too little, or what it expects.  There the total is the flux in the
    aperture, which all bands share, times total over aperture's flux in the detection band; it has
    the error of both, and may be negative.  Between `FAINT` and `BRIGHT` the two are mixed.

    Parameters
    ----------
    totals : Table
        ``id`` and `PERCENTILES` (n, band), as `pipeline.models.photometry.apply` gives them.
    measured : Table
        ``flux`` and ``flux_err`` (n, band) of `pipeline.deblending.deblend.deblended_flux`, of the
        same sources and in the same unit.
    reference : int
        The detection band, which is left as it is.

    Returns
    -------
    Table
        As `totals`.
    """
    low, middle, high = (np.asarray(totals[name], "f8") for name in PERCENTILES)
    flux, error = (np.asarray(measured[name], "f8") for name in ("flux", "flux_err"))
    snr = np.divide(flux, error, out=np.zeros_like(flux), where=error > 0)
    found_in = snr[:, [reference]] > LEAST_SNR
    total, aperture = middle[:, [reference]], np.where(found_in, flux[:, [reference]], 1)
    beyond, width = total / aperture, ((high - low) / 2 / middle)[:, [reference]]
    noise = 1 / np.where(found_in, snr[:, [reference]], 1)
    half = np.hypot(beyond * error, beyond * flux * np.sqrt(np.maximum(width**2 - noise**2, 0)))
    faint = 1 - np.clip(np.log(np.maximum(snr, FAINT) / FAINT) / np.log(BRIGHT / FAINT), 0, 1)
    faint[:, reference] = 0
    faint = np.where(found_in, faint, 0)
    found = Table({"id": totals["id"]})
    for name, side in zip(PERCENTILES, (-1, 0, 1), strict=True):
        mixed = (1 - faint) * totals[name] + faint * (beyond * flux + side * half)
        found[name] = np.where(faint > 0, mixed, totals[name])
        found[name].unit = totals[name].unit
    return found
