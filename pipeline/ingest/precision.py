"""Values whose squares single precision holds."""

import numpy as np

from pipeline.ingest.mishaps import InputError

ROWS = 100  # that tell how large the values are
SMALL, LARGE = 1e-17, 1e17  # values whose squares single precision holds, with room
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
        raise InputError(
            f"{name}: values of {low:.1g} to {high:.1g} a pixel are beyond single precision; "
            "set ingest.zero_point, which makes them nJy"
        )


def drop_huge(flux, scale):
    """Make values NaN, in place, that would have no square: -1e30 marks what was not seen."""
    flux[np.abs(flux) > min(HUGE / scale, HIGHEST)] = np.nan
