"""How deep masks reach: from the threshold of a binned stamp's pixel to that of the tile's."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from pipeline.models.unet import THRESHOLD

BLUR = 0.7  # of the light that is compared with the threshold, a Gaussian's sigma [block]
NOISE = 1 / (2 * np.sqrt(np.pi) * BLUR)  # that is left of white noise of 1 by that
ROWS_AT_ONCE = 256
CHANGED = "TARGET", "TARGET_STD"


def at_tile_depth(cutouts, share, maps):
    """Cut masks of binned stamps off where a source is below the tile's own threshold.

    The networks' masks reach down to `THRESHOLD` times the sky's noise in the pixels that they
    see.  The sum of ``b * b`` pixels has only ``b`` times the noise of one: as surface brightness,
    that is ``b`` times fainter than `THRESHOLD` times the noise of the tile's pixels, where the
    masks of all other sources end.  How probable it is that a block's own light is above that, its
    share of the smoothed light and its noise say.

    Parameters
    ----------
    cutouts : Cutouts
    share : ndarray, (n, y, x)
        The source's fraction of each pixel's light.
    maps : dict of ndarray, (n, y, x)
        ``TARGET``, the probability that a pixel is the source's, and perhaps ``TARGET_STD``, the
        spread of that; others are left as they are.

    Returns
    -------
    dict of ndarray, (n, y, x), float32
        As `maps`; those of stamps that are not binned are unchanged.
    """
    changed = maps | {name: maps[name].copy() for name in CHANGED if name in maps}
    binned = np.flatnonzero(cutouts.binning > 1)
    for start in range(0, len(binned), ROWS_AT_ONCE):
        rows = binned[start : start + ROWS_AT_ONCE]
        above = _above(cutouts[rows], share[rows])
        if "TARGET_STD" in changed:
            doubt = maps["TARGET"][rows] * np.sqrt(above * (1 - above))
            changed["TARGET_STD"][rows] = np.hypot(maps["TARGET_STD"][rows] * above, doubt)
        changed["TARGET"][rows] = maps["TARGET"][rows] * above
    return changed


def _above(cutouts, share):
    """Probability that a pixel's own light exceeds the threshold of the tile's pixels."""
    flux, ivar = (image[..., cutouts.reference] for image in (cutouts.flux, cutouts.ivar))
    own = gaussian_filter(share * flux * np.sqrt(ivar), (0, BLUR, BLUR))
    return ndtr((own - THRESHOLD * cutouts.binning[:, None, None]) / NOISE).astype("f4")
