"""What others find in an image: SEP, photutils, and an oracle that may not share pixels.

The networks are measured against them; the chain asks none.
"""

import warnings
from typing import NamedTuple

import numpy as np
import sep
from astropy.convolution import convolve
from astropy.utils.exceptions import AstropyUserWarning
from photutils.segmentation import (
    SegmentationImage,
    SourceCatalog,
    deblend_sources,
    detect_sources,
    make_2dgaussian_kernel,
)
from photutils.utils.exceptions import NoDetectionsWarning

THRESHOLD, LEAST_PIXELS = 1.5, 5  # of a detection, in the sky's standard deviations; its area
LEVELS, CONTRAST = 32, 0.005
PIXEL_STACK = 300_000  # as sep has it
SMALLEST = 0.5  # semi-axis of an object, for some are a line of pixels [pixel]


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
    found, label = _extract(image, sky)
    return [
        Thing(o["xpeak"], o["ypeak"], label == i, image[label == i].sum())
        for i, o in enumerate(found, start=1)
    ]


def sep_auto(image, error, usable):
    """List what SEP finds, with Kron fluxes.

    As SExtractor's AUTO: 2.5 Kron radii, at least 3.5 a, other sources' pixels masked.
    """
    image = image.astype("f8")
    found, label = _extract(image, error, ~usable)
    ids = np.arange(1, len(found) + 1)
    a = np.maximum(found["a"], SMALLEST)
    b, theta = np.clip(found["b"], SMALLEST, a), np.clip(found["theta"], -np.pi / 2, np.pi / 2)
    shape = found["x"], found["y"], a, b, theta
    options = {"mask": ~usable, "seg_id": ids, "segmap": label}
    radius, _ = sep.kron_radius(image, *shape, 6.0, **options)
    radius = np.clip(2.5 * np.nan_to_num(radius), 3.5, 15)
    flux, _, _ = sep.sum_ellipse(image, *shape, radius, **options)
    return [Thing(o["x"], o["y"], label == i, flux[i - 1]) for i, o in enumerate(found, start=1)]


def _extract(image, error, mask=None):
    sep.set_extract_pixstack(PIXEL_STACK)  # whatever was looked at before
    options = {"deblend_nthresh": LEVELS, "deblend_cont": CONTRAST, "segmentation_map": True}
    options["filter_type"] = "conv"  # sep's matched filter takes the threshold of a map otherwise
    return sep.extract(image, THRESHOLD, err=error, mask=mask, minarea=LEAST_PIXELS, **options)


def photutils_smoothed(image, sky, fwhm, *, kron=False):
    """List what photutils finds in the image smoothed with a Gaussian as wide as the PSF.

    The flux is isophotal, or `kron`'s, in the aperture of photutils' defaults.
    """
    size = 2 * int(np.ceil(fwhm)) + 1
    image = image.astype("f8")
    smooth = convolve(image, make_2dgaussian_kernel(fwhm, size=size))
    label = _deblended(smooth, sky)
    found, kron_flux = [], _kron_flux(image, smooth, label) if kron else {}
    for i in range(1, label.max(initial=0) + 1):
        mask = label == i
        y, x = np.unravel_index(np.argmax(np.where(mask, smooth, -np.inf)), mask.shape)
        found.append(Thing(x, y, mask, kron_flux.get(i, image[mask].sum())))
    return found


def _deblended(smooth, sky):
    """Label (y, x) of each object's pixels."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No sources were found", NoDetectionsWarning)
        warnings.filterwarnings("ignore", "The deblending mode", AstropyUserWarning)
        whole = detect_sources(smooth, THRESHOLD * sky, LEAST_PIXELS)
        if whole is None:
            return np.zeros(smooth.shape, int)
        options = {"n_levels": LEVELS, "contrast": CONTRAST, "progress_bar": False}
        return deblend_sources(smooth, whole, LEAST_PIXELS, **options).data


def _kron_flux(image, smooth, label):
    """Kron flux of each label where there is one."""
    if not label.any():
        return {}
    catalog = SourceCatalog(image, SegmentationImage(label), convolved_data=smooth)
    pairs = zip(catalog.labels, np.atleast_1d(catalog.kron_flux), strict=True)
    return {int(i): float(flux) for i, flux in pairs if np.isfinite(flux)}


def oracle(image, light, sky):
    """List what a judge finds who knows the truth and gives every pixel to the brighter galaxy.

    `light` (2, y, x) is the truth.  No hard partition puts less light into the wrong place.
    """
    seen = light.sum(0) > THRESHOLD * sky
    return _parted(image, light, [seen & (light[i] > light[1 - i]) for i in (0, 1)])


def best_partition(image, light, sky):
    """List what a judge finds who knows the truth and wants the best masks.

    True masks overlap.  The mean intersection over union of the two is linear in what share of the
    overlap either gets, so that no hard partition has a larger one than that which gives all of it
    to the galaxy with the smaller mask.

    Parameters
    ----------
    image : ndarray, (y, x)
    light : ndarray, (2, y, x)
        The truth.
    sky : float
    """
    masks = light > THRESHOLD * sky
    larger = int(np.argmax(masks.sum((1, 2))))
    masks[larger] &= ~masks[1 - larger]
    return _parted(image, light, masks)


def _parted(image, light, masks):
    """List galaxies where they are, with the `masks` (2, y, x), but for those without a pixel."""
    found = []
    for own, mask in zip(light, masks, strict=True):
        if mask.any():
            y, x = np.unravel_index(np.argmax(own), mask.shape)
            found.append(Thing(x, y, mask, image[mask].sum()))
    return found
