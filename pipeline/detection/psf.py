"""The PSF of an image, measured on its own stars."""

from itertools import product
from typing import NamedTuple

import numpy as np
import sep
from scipy.optimize import least_squares

from pipeline.detection.sharp import SHARP, excess
from pipeline.stamps.cutouts import boxes

TRAINED_FWHM = 1.5, 5.0  # of the networks' training scenes [pixel]
DEFAULT_FWHM = 2.5  # [pixel], where an image has nothing to measure it on
DEFAULT_BETA = 3.0
_STARS_AT_MOST, _STARS_AT_LEAST = 80, 5
_CLEAR = 10  # in a locus that three smaller sources cast no doubt on
_FEWEST = 3  # smaller than any other sources, that stand in for stars
_STAR_SNR, _LEAST_SNR, _LOOKED_AT = 20.0, 5.0, 2000
_REMEDY = "; should detect.psf_fwhm be set?"
_NARROWEST = 0.9  # of stars [pixel]; what is sharper is a hot pixel or a cosmic ray
_WIDEST_KERNEL = 12.0  # to either side [pixel]
_WIDER = 1.3  # the profile that a source is compared with, in widths of the PSF
_LOCUS = 1.08  # largest over smallest half-light radius of the stellar locus
_LOCUS_PEAK = 2  # how many times more sources it holds than the next such range
_LOCUS_SHARE = 0.25  # of the sources in the densest such range, that are the least for a locus
_TILTS = np.linspace(-0.3, 0.3, 13)  # of the PSF's width, from the middle to an edge
_TILTED_SHARE = 1 / 3  # of the bright sources, for some galaxies align as well
_TURNS, _LONGEST_STEP = 3, 0.3  # of the fit of the profile and of the stars' places [pixel]
_BOUNDS = (0.5, 1.5), (50, 40)  # of FWHM [pixel] and beta; the last is nearly a Gaussian
_NODES = np.array([-np.sqrt(0.15), 0.0, np.sqrt(0.15)])  # Gauss-Legendre, over one pixel
_NODE_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18


def effective_pixels(re, fwhm):
    """Pixels whose noise counts in an optimal measurement: ``4 pi sigma^2`` of a Gaussian.

    King (1983, PASP 95, 163); `re` and `fwhm` in pixels, the source taken as a Gaussian of its
    half-light radius convolved with the PSF.
    """
    return 4 * np.pi * ((fwhm / 2.355) ** 2 + (re / 1.177) ** 2)


class Moffat(NamedTuple):
    """A round PSF, before the detector's pixels smear it.

    Attributes
    ----------
    fwhm : float
        Full width at half maximum [pixel].
    beta : float
        Slope of the wings (Moffat 1969, A&A 3, 455).
    """

    fwhm: float
    beta: float = DEFAULT_BETA

    def stamps(self, dx, dy, size):
        """Draw the PSF, averaged over each pixel.

        Parameters
        ----------
        dx, dy : ndarray, (n,)
            Centre, from the centre of pixel ``size // 2`` [pixel].
        size : int
            Side of a stamp [pixel].

        Returns
        -------
        ndarray, (n, size, size)
            Share of the PSF's light in each pixel; its sum is below 1 by what falls outside.
        """
        scale2 = (self.fwhm / 2) ** 2 / (2 ** (1 / self.beta) - 1)
        nodes = (np.arange(size)[:, None] - size // 2 + _NODES).ravel()
        x2 = (nodes - np.asarray(dx, "f8")[:, None]) ** 2 / scale2
        y2 = (nodes - np.asarray(dy, "f8")[:, None]) ** 2 / scale2
        light = (1 + y2[:, :, None] + x2[:, None, :]) ** -self.beta
        light = light.reshape(len(light), size, 3, size, 3)
        return np.einsum("nyixj,i,j->nyx", light, _NODE_WEIGHTS, _NODE_WEIGHTS, optimize=True) * (
            (self.beta - 1) / (np.pi * scale2)
        )

    def kernel(self):
        """Draw the PSF on the pixels that hold most of its signal; (size, size), float32."""
        size = 2 * int(np.ceil(min(0.9 * self.fwhm, _WIDEST_KERNEL))) + 1
        return self.stamps([0.0], [0.0], size)[0].astype("f4")


def broadening(flux, ivar, owned, shapes, psf):
    """How much wider than the PSF each source is: 0 for a star, 1.3 for a PSF 1.3 times as wide.

    The amplitude of what a PSF of 1.3 times the width has beside the PSF itself, relative to
    that of the PSF, both fitted at once: as SExtractor's SPREAD_MODEL (Desai et al. 2012, ApJ
    757, 83, section 4.3).

    Parameters
    ----------
    flux, ivar : ndarray, (y, x)
        Without halos, or sources before them are wide.
    owned : ndarray, (y, x), int32
        Row of the source of each pixel plus one, 0 where there is none; pixels of other sources
        do not count.
    shapes : Table
        ``x``, ``y`` [pixel] of the n sources.
    psf : Moffat

    Returns
    -------
    broadening, error : ndarray, (n,)
        The error is that of independent noise; inf where too few pixels tell.
    """
    size = len(psf.kernel()) + 4
    x0, y0 = np.rint(shapes["x"]).astype(int), np.rint(shapes["y"]).astype(int)
    corner = np.column_stack([x0, y0]) - size // 2
    light, weight, owner = (boxes(image, corner, size) for image in (flux, ivar, owned))
    own = np.arange(1, len(owner) + 1)[:, None, None]
    weight = np.where((owner == 0) | (owner == own), weight, 0)
    sharp, wide = (
        Moffat(width * psf.fwhm, psf.beta).stamps(shapes["x"] - x0, shapes["y"] - y0, size)
        for width in (1.0, _WIDER)
    )
    power = _product(sharp, sharp, weight)
    known = power > 0
    power = np.where(known, power, 1)
    amplitude = _product(sharp, light, weight) / power
    wide -= (_product(wide, sharp, weight) / power)[:, None, None] * sharp
    left = _product(wide, wide, weight)
    known &= (amplitude > 0) & (left > 0)
    scale = np.where(known, amplitude * left, 1)
    found = np.where(known, _product(wide, light, weight) / scale, 0)
    return found, np.where(known, np.sqrt(np.where(known, left, 0)) / scale, np.inf)


def _product(one, other, weight):
    """Weighted sums of products over stamps; (n,)."""
    return np.einsum("nyx,nyx,nyx->n", one, other, weight, dtype="f8")


def measure_psf(flux, ivar, objects, saturation=np.inf):
    """Measure the PSF on the stars of an image.

    Stars are found as the narrow locus of smallest half-light radii among bright, round,
    isolated sources; one Moffat profile is fitted to all of them.  Without a locus of five or more,
    one whose radii change evenly over the image, else the smallest sources; else `DEFAULT_FWHM`.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x), float32
        Image without the sky and the light of large sources, and its inverse variance.
    objects : structured ndarray, (n,)
        Sources well above the noise, as `sep.extract` gives them.
    saturation : float
        Flux at which a pixel saturates.

    Returns
    -------
    psf : Moffat
    doubt : str
        What the user should check; empty if it was measured on stars.
    """
    compact = _compact(flux, ivar, objects, 0.7 * saturation)
    bright = compact[(compact["snr"] > _STAR_SNR) & compact["isolated"]]
    stars, is_peak = _stellar_locus(bright)
    if not len(compact):
        told = f"no source to measure the PSF on, FWHM {DEFAULT_FWHM} pixel is assumed"
        return Moffat(DEFAULT_FWHM), told + _REMEDY
    if len(stars) < _FEWEST:
        stars, is_peak = compact[np.argsort(compact["r50"])], False
        stars = stars[: max(1, len(compact) // 5)][:_STARS_AT_LEAST]
    told = f"no clear stars, the PSF is measured on {len(stars)} of the smallest sources" + _REMEDY
    if not is_peak:
        tilted, change = _tilted_locus(bright, flux.shape)
        if len(tilted) >= max(_CLEAR, 2 * len(stars), _TILTED_SHARE * len(bright)):
            stars, told = tilted, f"the PSF's width changes by {change:.0%}, its mean is taken"
            told += "; should the tile be split?"
    return _fit(stars[:_STARS_AT_MOST], flux, ivar), "" if is_peak else told


def _compact(flux, ivar, objects, brightest):
    """Round, well-exposed sources on good pixels: x, y, r50, snr, isolated; structured, (m,)."""
    height, width = flux.shape
    good = (objects["xmin"] > 4) & (objects["ymin"] > 4) & (objects["a"] < 1.6 * objects["b"])
    good &= (objects["xmax"] < width - 5) & (objects["ymax"] < height - 5)
    objects = objects[good & (objects["peak"] < brightest)]
    objects = objects[np.argsort(-objects["flux"], kind="stable")[:_LOOKED_AT]]
    names = [("x", "f8"), ("y", "f8"), ("r50", "f8"), ("snr", "f8"), ("isolated", bool)]
    compact = np.zeros(len(objects), names)
    if not len(objects):
        return compact
    mask = ivar == 0
    x, y, reach = objects["x"], objects["y"], 5 * objects["a"] + 2
    total, _, aperture = sep.sum_circle(flux, x, y, reach, mask=mask, subpix=1)
    radius, _ = sep.flux_radius(flux, x, y, reach, 0.5, mask=mask, subpix=5)
    x, y, failed = sep.winpos(flux, x, y, np.maximum(radius, 0.5) * 0.85, mask=mask)
    precision = ivar[objects["ypeak"], objects["xpeak"]]
    compact["x"], compact["y"], compact["r50"] = x, y, radius
    compact["snr"] = total * np.sqrt(precision / (np.pi * reach**2))
    compact["isolated"] = objects["flag"] == 0
    peaks = objects["xpeak"], objects["ypeak"]
    sharp = excess(flux, ivar, *peaks, Moffat(_NARROWEST)) > SHARP
    good = (aperture & sep.APER_HASMASKED == 0) & (failed == 0) & (radius > 0)
    return compact[good & ~sharp & (compact["snr"] > _LEAST_SNR)]


def _stellar_locus(compact):
    """Those in the smallest well-filled range of half-light radii, and whether it is a peak.

    Stars may be fewer than small galaxies, but these spread over wider ranges: the next range
    holds nearly as many.  Where it does, or the locus has few, three that are smaller are better,
    for they may be stars, unless all are fainter, for they may be noise.
    """
    ordered = compact[np.argsort(compact["r50"])]
    if not len(ordered):
        return ordered, False
    radius = ordered["r50"]
    end, next_end = (np.searchsorted(radius, radius * _LOCUS**k, "right") for k in (1, 2))
    count = end - np.arange(len(radius))
    start = np.argmax(count >= max(_STARS_AT_LEAST, _LOCUS_SHARE * count.max()))
    start += np.argmax(count[start : end[start]])
    is_peak = count[start] >= max(_STARS_AT_LEAST, _LOCUS_PEAK * (next_end[start] - end[start]))
    few = np.argmax(count >= _FEWEST)
    of_few, of_locus = (ordered["snr"][first : end[first]] for first in (few, start))
    is_clear = is_peak and len(of_locus) >= _CLEAR
    if not is_clear and end[few] <= start and of_few.max() > np.median(of_locus):
        start, is_peak = few, False
    members = ordered[start : end[start]]
    return members[np.argsort(-members["snr"])], is_peak


def _tilted_locus(compact, shape):
    """The richest locus if the PSF's width changes linearly over the image, and by how much."""
    place = 2 * np.column_stack([compact["x"], compact["y"]]) / shape[::-1] - 1
    found, change = compact[:0], 0.0
    for tilt in product(_TILTS, repeat=2):
        level = compact.copy()
        level["r50"] /= 1 + place @ tilt
        stars, is_peak = _stellar_locus(level)
        if is_peak and len(stars) > len(found):
            found, change = stars, 2 * np.abs(tilt).sum()
    return found, change


def _fit(stars, flux, ivar):
    """Fit one Moffat profile to all stars, each with its own flux and, in turns, its own place."""
    guess = np.clip(1.55 * np.median(stars["r50"]), 1.2, 20)
    half = int(np.ceil(2 * guess)) + 1
    x, y = np.rint(stars["x"]).astype(int), np.rint(stars["y"]).astype(int)
    corner = np.column_stack([x, y]) - half
    pixels, weight = (boxes(image, corner, 2 * half + 1) for image in (flux, ivar))
    error = 0.02 * pixels.max(axis=(1, 2), keepdims=True)  # of the model, as a share of the peak
    weight = np.sqrt(weight / (1 + weight * error**2))
    weight *= np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= half
    psf, offset = Moffat(guess), np.column_stack([stars["x"] - x, stars["y"] - y])
    for _ in range(_TURNS):
        psf = _best(psf, offset, pixels, weight)
        offset = offset + _steps(psf, offset, pixels, weight)
    return psf


def _best(psf, offset, pixels, weight):
    """The profile that fits stars at their `offset` (n, 2) from the middles of stamps best."""
    data = pixels * weight

    def residuals(parameters):
        """Weighted differences between the stars and the profile."""
        scaled = Moffat(*parameters).stamps(*offset.T, pixels.shape[1]) * weight
        brightness = (scaled * data).sum((1, 2)) / (scaled**2).sum((1, 2))
        return (data - brightness[:, None, None] * scaled).ravel()

    best = least_squares(residuals, psf, bounds=_BOUNDS, loss="soft_l1")
    return Moffat(*(float(value) for value in best.x))


def _steps(psf, offset, pixels, weight):
    """How far each star is from where it was taken to be; (n, 2) [pixel]."""
    size, small = pixels.shape[1], 0.05

    def moved(dx, dy):
        """The profile, moved a little."""
        return psf.stamps(offset[:, 0] + dx, offset[:, 1] + dy, size) * weight

    laws = np.stack(
        [
            moved(0, 0),
            (moved(small, 0) - moved(-small, 0)) / (2 * small),
            (moved(0, small) - moved(0, -small)) / (2 * small),
        ]
    )
    square = np.einsum("iayx,jayx->aij", laws, laws)
    square += 1e-9 * np.trace(square, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    light = np.einsum("iayx,ayx->ai", laws, pixels * weight)
    brightness, *step = np.linalg.solve(square, light[..., None])[..., 0].T
    longest = np.where(brightness > 0, _LONGEST_STEP, 0)[:, None]
    return np.clip(np.stack(step, -1) / np.maximum(brightness, 1e-30)[:, None], -longest, longest)
