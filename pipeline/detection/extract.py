"""Group the pixels above a threshold into sources."""

from typing import NamedTuple

import numpy as np
import sep

from pipeline.detection.matched import snr_at

_PIXEL_STACKS = 300_000, 3_000_000, 30_000_000
_SUB_OBJECTS = 4096
_CLEAN = 3.0  # steepness of the wings assumed; sep's 1 drops faint galaxies round bright ones
_LEAST_SEEN = 0.4  # of the PSF's signal at a source, on usable pixels
_LEAST_SNR = 0.95  # of the threshold: what falls below rose on the noise of worse pixels
_CORE_SIGMA, _CORE_MESH, _SKIRT = 5.0, 64, 2.0
_MIN_PIXELS, _OF_A_STAR = 3, 0.48  # the latter in squared widths of the PSF


class TooMuch(ValueError):
    """More stands out of an image than can be told apart: the message says what to do."""


class Detections(NamedTuple):
    """What stands out of an image.

    Attributes
    ----------
    objects : structured ndarray, (n,)
        What `sep.extract` says of each.
    segments : ndarray, (y, x), int32
        Row of the source of each pixel plus one, 0 where there is none.
    """

    objects: np.ndarray
    segments: np.ndarray

    def only(self, kept):
        """Keep some of the sources; `kept` (n,) is true of those."""
        number = np.zeros(len(kept) + 1, "i4")
        number[1:][kept] = np.arange(1, kept.sum() + 1)
        return Detections(
            self.objects[kept], self.segments if kept.all() else number[self.segments]
        )


class Sight(NamedTuple):
    """How the detection band is looked at.

    Attributes
    ----------
    flux, sharp, ivar : ndarray, (y, x), float32
        With and without halos, see `without_halos`.  Pixels of ivar 0 are not looked at; holes in
        bright light are bridged, see `pipeline.pixels.holes`.
    holes : ndarray, (y, x), bool
        Pixels of holes, bridged or not.
    psf : pipeline.detection.psf.Moffat
    doubt : str
        Of the PSF, see `pipeline.detection.psf.measure_psf`.
    settings : config.Detect
    correlation : float
        By which the filtered noise exceeds that of independent pixels.
    smooth : ndarray, (y, x), bool
        Pixels of bright light of large sources out of which nothing stands, see
        `pipeline.detection.foreground`.
    """

    flux: np.ndarray
    sharp: np.ndarray
    ivar: np.ndarray
    holes: np.ndarray
    psf: object
    doubt: str
    settings: object
    correlation: float
    smooth: np.ndarray

    @property
    def threshold(self):
        """S/N in the filtered image, if the pixels' noise were independent."""
        return self.settings.n_sigma * self.correlation


def min_pixels(settings, psf):
    """Pixels that must be above the threshold in the filtered image.

    As many as a star of a quarter more than the threshold has there, for more would hide those of
    narrow PSFs; 3 at most.
    """
    return settings.min_pixels or int(np.clip(round(_OF_A_STAR * psf.fwhm**2), 1, _MIN_PIXELS))


def extract(flux, ivar, psf, settings, threshold):
    """Group the pixels above the threshold of the matched filter, and deblend the groups.

    Multi-threshold deblending as in SExtractor (Bertin & Arnouts 1996, A&AS 117, 393) by sep
    (Barbary 2016, JOSS 1, 58).  The image is filtered as it is, which is the matched filter
    where the noise changes little over a PSF; each source's true S/N is then checked.  (With
    ``filter_type="matched"`` sep takes three times as long, and its cleaning drops a quarter of
    the isolated galaxies.)  A source that pixels without information hide is dropped.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x), float32
        Image of the detection band; pixels of ivar 0 are not looked at.
    psf : pipeline.detection.psf.Moffat
    settings : config.Detect
    threshold : float
        S/N in the filtered image, if the pixels' noise were independent.

    Returns
    -------
    Detections

    Raises
    ------
    TooMuch
        If the image has more detected pixels, or blends, than can be held.
    """
    kernel, usable = psf.kernel() / psf.kernel().sum(), ivar > 0
    if not usable.any():
        return _nothing(ivar.shape)
    found = group(
        flux,
        threshold * np.sqrt((kernel**2).sum()),
        err=1 / np.sqrt(np.where(usable, ivar, 1)),
        mask=~usable,
        filter_type="conv",
        minarea=min_pixels(settings, psf),
        filter_kernel=kernel,
        deblend_nthresh=settings.deblend_levels,
        deblend_cont=settings.deblend_contrast,
        clean_param=_CLEAN,
    )
    return drop_doubtful(found, flux, ivar, psf, threshold)


def drop_doubtful(found, flux, ivar, psf, threshold):
    """Drop what noise raised above the threshold, or what is mostly hidden.

    Parameters
    ----------
    found : Detections
    flux, ivar, psf, threshold
        As for `extract`.

    Returns
    -------
    Detections
        Those whose S/N in the matched filter, with the noise of each pixel, is above (about) the
        threshold, with enough of the PSF's signal on usable pixels.
    """
    peaks = found.objects["xcpeak"], found.objects["ycpeak"]
    snr, seen = snr_at(flux, ivar, *peaks, psf)
    return found.only((seen >= _LEAST_SEEN) & (snr >= _LEAST_SNR * threshold))


def without_halos(flux, ivar):
    """Take off the sky on a fine mesh, and with it the light of large sources.

    Parameters
    ----------
    flux, ivar : ndarray, (y, x), float32

    Returns
    -------
    sharp : ndarray, (y, x), float32
    rms : float
        Scatter of the whole image.
    """
    usable = ivar > 0
    if not usable.any():  # also an exposure without pixels
        return flux, 1.0
    sky = sep.Background(flux, mask=~usable, bw=_CORE_MESH, bh=_CORE_MESH)
    return flux - sky.back(dtype="f4"), sky.globalrms or 1.0


def extract_cores(sharp, rms, ivar):
    """Group the pixels far above the sky and the light of large sources around.

    Five pixels above 5 sigma each, sigma being the scatter of the whole image, or the noise where
    that is far above it, as in a mosaic's skirts; of an image `without_halos`: the "hot" half of a
    hot and cold detection (Rix et al. 2004, ApJS 152, 163).

    Parameters
    ----------
    sharp : ndarray, (y, x), float32
    rms : float
    ivar : ndarray, (y, x), float32

    Returns
    -------
    Detections
    """
    usable = ivar > 0
    if not usable.any():
        return _nothing(ivar.shape)
    noise = 1 / np.sqrt(np.where(usable, ivar, 1))
    even = sharp * np.where(noise > _SKIRT * rms, np.float32(rms) / noise, np.float32(1))
    return group(even, _CORE_SIGMA, err=rms, mask=~usable)


def add_cores(found, cores):
    """Add the cores that a detection missed, on or off the light of its sources.

    Parameters
    ----------
    found, cores : Detections
        Of `extract` and of `extract_cores`.

    Returns
    -------
    Detections
        Those of `found`, then those of `cores` that are not the brightest of their source.
    centre : ndarray, (n, 2)
        Barycentre ``(x, y)`` of each source's core [pixel]; NaN where it has none of its own.
    """
    y, x = np.nonzero(cores.segments)
    core = cores.segments[y, x] - 1
    host = found.segments[cores.objects["ycpeak"], cores.objects["xcpeak"]]
    often = _most_frequent(core, found.segments[y, x], len(host))
    host = np.where(host > 0, host, often)  # a peak, smoothed, may be on a lost pixel
    own = _brightest_of(host, cores.objects["cflux"])
    position = np.column_stack([cores.objects["x"], cores.objects["y"]])
    peaks = cores.segments[found.objects["ycpeak"], found.objects["xcpeak"]]
    shared = np.bincount(peaks, minlength=len(host) + 1)[1:] > 1
    centre = np.full((len(found.objects), 2), np.nan)
    centre[host[own & ~shared] - 1] = position[own & ~shared]
    joined = join(found, cores.only(~own), host[~own])
    return joined, np.concatenate([centre, position[~own]])


def join(found, more, host):
    """Add detections to others, each on the pixels of its host alone.

    Parameters
    ----------
    found, more : Detections
        The segments of `found` are changed in place.
    host : ndarray, (m,), int
        Source of `found` in whose light each of `more` is, from 1; 0 where it is in none's.

    Returns
    -------
    Detections
        Those of `found`, then those of `more`.
    """
    y, x = np.nonzero(more.segments)
    one, before = more.segments[y, x] - 1, len(found.objects)
    own = found.segments[y, x] == host[one]  # not of a third source
    found.segments[y[own], x[own]] = before + 1 + one[own]
    objects = np.concatenate([found.objects, more.objects])
    parted = np.flatnonzero(host > 0)
    objects["flag"][np.concatenate([host[parted] - 1, before + parted])] |= sep.OBJ_MERGED
    return Detections(objects, found.segments)


def _most_frequent(core, owner, n):
    """Source on most of the pixels of each of `n` cores; 0 where they lie on none; (n,)."""
    on_source = owner > 0
    pairs = np.stack([core[on_source], owner[on_source]])
    (core, owner), count = np.unique(pairs, axis=1, return_counts=True)
    order = np.argsort(count, kind="stable")
    host = np.zeros(n, int)
    host[core[order]] = owner[order]  # the last one written, of the most pixels, stays
    return host


def _brightest_of(host, flux):
    """Whether a core is the brightest of its host; never where it has none (0); (n,)."""
    order = np.lexsort((-flux, host))
    _, first = np.unique(host[order], return_index=True)
    brightest = np.zeros(len(host), bool)
    brightest[order[first]] = True
    return brightest & (host > 0)


def _nothing(shape):
    return Detections(sep.extract(np.zeros((1, 1)), 1.0)[:0], np.zeros(shape, "i4"))


def group(flux, threshold, **options):
    """Call `sep.extract` with as large buffers as it takes; an image without blends needs few."""
    sep.set_sub_object_limit(_SUB_OBJECTS)
    for size in _PIXEL_STACKS:
        sep.set_extract_pixstack(size)
        try:
            return Detections(*sep.extract(flux, threshold, segmentation_map=True, **options))
        except MemoryError:
            raise
        except Exception as error:  # sep raises no finer class
            if "buffer" not in str(error):
                raise TooMuch(
                    f"sources cannot be told apart at {threshold:.2f} sigma: {error}; "
                    "raise detect.n_sigma or detect.deblend_contrast"
                ) from error
    raise TooMuch(
        f"more than {size} pixels are above {threshold:.2f} sigma at once: is the sky "
        "subtracted, is the weight right? Else raise detect.n_sigma"
    )
