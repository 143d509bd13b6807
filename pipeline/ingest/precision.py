"""Fluxes, and noise, whose squares single precision holds."""

import numpy as np

from pipeline.ingest.mishaps import InputError
from pipeline.ingest.weights import typical

ROWS = 100  # that tell how large the values are
SMALL, LARGE = 1e-16, 1e15  # noise that leaves room for pixels 1000 times as noisy, or as bright
HUGE = 1e18  # value whose square it only just holds
HIGHEST = float(np.finfo("f4").max)


def check_size(flux, scale, name):
    """Refuse an image of whose values hardly one has an inverse square in single precision."""
    sample = flux[:: max(1, len(flux) // ROWS)]
    positive = sample[np.isfinite(sample) & (sample > 0)]
    if not positive.size:
        return
    low, high = np.quantile(positive, (0.1, 0.9)) * scale
    if low > LARGE or high < SMALL:
        raise _beyond(name, f"values of {low:.1g} to {high:.1g}")


def check_noise(ivar, name):
    """Refuse an image of which single precision does not hold sums of inverse variance."""
    noise = typical(ivar) ** -0.5
    if not SMALL < noise < LARGE:
        raise _beyond(name, f"a noise of {noise:.1g}")


def _beyond(name, what):
    return InputError(
        f"{name}: {what} a pixel is beyond single precision; set ingest.zero_point, which makes "
        "fluxes nJy"
    )


def drop_huge(flux, scale):
    """Make values NaN, in place, that would have no square: -1e30 marks what was not seen."""
    flux[np.abs(flux) > min(HUGE / scale, HIGHEST)] = np.nan
