"""What others find in an image: SEP, photutils, and an oracle that may not share pixels."""

import warnings
from typing import NamedTuple

import numpy as np
import sep
from astropy.convolution import convolve
from astropy.utils.exceptions import AstropyUserWarning
from photutils.segmentation import deblend_sources, detect_sources, make_2dgaussian_kernel
from photutils.utils.exceptions import NoDetectionsWarning

THRESHOLD, LEAST_PIXELS = 1.5, 5  # of a detection, in the sky's standard deviations; its area
LEVELS, CONTRAST = 32, 0.005


class Thing(NamedTuple):
    """One object that was found: where, its pixels (y, x) as bool, and its flux."""

    x: float
    y: float
    mask: np.ndarray
    flux: float
    low: float = np.nan
    high: float = np.nan


def sep_default(image, sky):
    """List what SEP finds with its default deblending; the flux is isophotal."""
    image = image.astype("f8")
    found, label = sep.extract(
        image,
        THRESHOLD,
        err=sky,
        minarea=LEAST_PIXELS,
        deblend_nthresh=LEVELS,
        deblend_cont=CONTRAST,
        segmentation_map=True,
    )
    return [
        Thing(o["xpeak"], o["ypeak"], label == i, image[label == i].sum())
        for i, o in enumerate(found, start=1)
    ]


def photutils_smoothed(image, sky, fwhm):
    """List what photutils finds in the image smoothed with a Gaussian as wide as the PSF."""
    size = 2 * int(np.ceil(fwhm)) + 1
    smooth = convolve(image.astype("f8"), make_2dgaussian_kernel(fwhm, size=size))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No sources were found", NoDetectionsWarning)
        warnings.filterwarnings("ignore", "The deblending mode", AstropyUserWarning)
        whole = detect_sources(smooth, THRESHOLD * sky, LEAST_PIXELS)
        if whole is None:
            return []
        parts = deblend_sources(
            smooth,
            whole,
            LEAST_PIXELS,
            n_levels=LEVELS,
            contrast=CONTRAST,
            progress_bar=False,
        ).data
    found = []
    for label in range(1, parts.max() + 1):
        mask = parts == label
        y, x = np.unravel_index(np.argmax(np.where(mask, smooth, -np.inf)), mask.shape)
        found.append(Thing(x, y, mask, image[mask].sum()))
    return found


def oracle(image, light, sky):
    """List what a perfect judge finds who gives every pixel to the brighter of two galaxies.

    `light` (2, y, x) is the truth: no hard partition of the pixels can do better.
    """
    seen = light.sum(0) > THRESHOLD * sky
    found = []
    for own, other in (light, light[::-1]):
        mask = seen & (own > other)
        if mask.any():
            y, x = np.unravel_index(np.argmax(np.where(mask, own, -np.inf)), mask.shape)
            found.append(Thing(x, y, mask, image[mask].sum()))
    return found


def sep_auto(image, error, usable):
    """Kron fluxes of all that SEP finds: x, y and flux, each (n,).

    As SExtractor's AUTO: 2.5 Kron radii, at least 3.5 a, other sources' pixels masked.
    """
    image = image.astype("f8")
    options = {"deblend_nthresh": LEVELS, "deblend_cont": CONTRAST, "segmentation_map": True}
    found, label = sep.extract(
        image, THRESHOLD, err=error, mask=~usable, minarea=LEAST_PIXELS, **options
    )
    ids = np.arange(1, len(found) + 1)
    shape = found["x"], found["y"], found["a"], found["b"], found["theta"]
    radius, _ = sep.kron_radius(image, *shape, 6.0, mask=~usable, seg_id=ids, segmap=label)
    radius = np.clip(2.5 * np.nan_to_num(radius), 3.5, 15)
    flux, _, _ = sep.sum_ellipse(image, *shape, radius, mask=~usable, seg_id=ids, segmap=label)
    return found["x"], found["y"], flux
