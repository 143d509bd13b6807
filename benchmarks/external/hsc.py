"""Measure sources of known flux that were put into real blends of Hyper Suprime-Cam's."""

from typing import NamedTuple

import galsim
import numpy as np
from astropy.io import fits
from astropy.table import Table
from scipy.spatial import cKDTree

from benchmarks.external import chain
from benchmarks.external.mosaic import mosaic, owner
from pipeline.comparison import peers
from pipeline.models import metrics
from pipeline.models.binned import bootstrap, share
from pipeline.models.deblending import FAINT

BAND = 2  # i, of grizy
ZERO_POINT, PIXEL_SCALE = 27.0, 0.168
SPOILT = 1 | 2 | 256  # BAD, SAT and NO_DATA of the mask planes
BRIGHT = 24.5  # magnitude up to which sources are told apart from fainter ones
REACH = 3.0  # a detection is the source, at most this far from it [pixel]


class Blends(NamedTuple):
    """Real blends, and what was put into them.

    Attributes
    ----------
    image, ivar : list of ndarray, (y, x)
        [count]; inverse variance 0 on spoilt pixels.
    fwhm : float
        Median width of the PSFs [pixel].
    blend : ndarray, (n,), int
        Which image each source was put into.
    position : ndarray, (n, 2)
        ``(x, y)`` of each source.
    mag : ndarray, (n,)
        True magnitude.
    scarlet : ndarray, (n,)
        True less measured magnitude, as scarlet's authors stored it; NaN where they give none.
    """

    image: list
    ivar: list
    fwhm: float
    blend: np.ndarray
    position: np.ndarray
    mag: np.ndarray
    scarlet: np.ndarray


def read_blends(folder):
    """Read all blends of `folder`."""
    truth = Table.read(folder / "truth.csv")
    names, blend = np.unique(np.asarray(truth["blend"]), return_inverse=True)
    images, ivars, widths = [], [], []
    for name in names:
        with fits.open(folder / f"{name}.fits") as hdus:
            image, variance, mask = (hdus[k].data[BAND] for k in ("SCI", "VAR", "MASK"))
            widths.append(width(hdus["PSF"].data[BAND]))
        good = np.isfinite(image) & (variance > 0) & ((mask & SPOILT) == 0)
        images.append(np.where(good, image, 0).astype("f4"))
        ivars.append(np.divide(1, variance, where=good, out=np.zeros_like(images[-1])))
    scarlet = np.ma.filled(truth["scarlet_true_minus_measured_i"].astype("f8"), np.nan)
    position = np.column_stack([truth["x"], truth["y"]]).astype("f8")
    mag = np.asarray(truth["mag_i"], "f8")
    fwhm = float(np.median(widths))
    return Blends(images, ivars, fwhm, blend, position, mag, np.asarray(scarlet))


def width(psf):
    """Full width at half maximum of a PSF's image [pixel], interpolated between its pixels."""
    image = galsim.Image(np.array(psf, "f8"), scale=1.0)
    return galsim.InterpolatedImage(image).calculateFWHM()


def measure(blends, networks, folder):
    """Measure the sources with the chain and with its peers.

    Returns
    -------
    dict of ndarray, (n,)
        True less measured magnitude of ``given`` (positions given), ``own`` (the chain's own
        detection), ``sep`` and ``scarlet``, NaN where a source was not found; ``given_inside``
        and ``own_inside``, 1 where the 68 % interval holds the truth; ``seconds`` a blend, of
        ``given`` and ``own``.
    """
    exposure, origin = mosaic(blends.image, blends.ivar, PIXEL_SCALE)
    options = chain.settings(networks, detect={"psf_fwhm": blends.fwhm})
    positions = blends.position + origin[blends.blend]
    flux = 10 ** (-0.4 * (blends.mag - ZERO_POINT))
    result = {"scarlet": blends.scarlet, "sep": _sep(blends, flux)}
    for name, known in (("given", positions), ("own", None)):
        chain.deblend(exposure, options, folder, known)  # opens the networks, which is not timed
        said = chain.deblend(exposure, options, folder, known)
        rows = np.arange(len(flux)) if known is not None else _found(said, blends, origin)
        seen = rows >= 0
        fluxes = said.low, said.middle, said.high
        low, middle, high = (np.where(seen, v[rows], np.nan) for v in fluxes)
        result[name] = _too_bright(middle, flux)
        result[f"{name}_inside"] = np.where(seen, (low <= flux) & (flux <= high), np.nan)
        result[f"{name}_seconds"] = said.seconds / len(blends.image)
    return result


def _found(said, blends, origin):
    """Row of the detection that is each source; -1 where there is none."""
    shapes = [image.shape for image in blends.image]
    where = owner(said.x, said.y, origin, shapes)
    rows = np.full(len(blends.mag), -1)
    for i, (k, (x, y)) in enumerate(zip(blends.blend, blends.position, strict=True)):
        inside = np.flatnonzero(where == k)
        at = np.column_stack([said.x[inside], said.y[inside]]) - origin[k]
        rows[i] = _nearest(at, (x, y), inside)
    return rows


def _nearest(at, position, rows):
    """Row of the nearest of positions (m, 2), if it is near; else -1."""
    if not len(at):
        return -1
    far, nearest = cKDTree(at).query(position)
    return rows[nearest] if far <= REACH else -1


def _sep(blends, flux):
    """True less measured magnitude of SEP's Kron photometry; (n,), NaN where it found nothing."""
    measured = np.full(len(flux), np.nan)
    for k, (image, ivar) in enumerate(zip(blends.image, blends.ivar, strict=True)):
        error = 1 / np.sqrt(np.where(ivar > 0, ivar, ivar.max()))
        things = peers.sep_auto(image, error.astype("f8"), ivar > 0)
        at = np.array([(thing.x, thing.y) for thing in things]).reshape(-1, 2)
        for i in np.flatnonzero(blends.blend == k):
            row = _nearest(at, blends.position[i], np.arange(len(things)))
            measured[i] = things[row].flux if row >= 0 else np.nan
    return _too_bright(measured, flux)


def _too_bright(measured, flux):
    """True less measured magnitude: positive where too much light was found."""
    return 2.5 * np.log10(np.maximum(measured / flux, 1e-3))


def summary(measured, mag):
    """Numbers of the table for each method, with errors; `mag` are the true magnitudes (n,)."""
    rows = {}
    for name in ("given", "own", "sep", "scarlet"):
        dm, every = measured[name], len(measured[name])
        seen = np.isfinite(dm)
        is_bright = mag[seen] < BRIGHT
        dm = dm[seen]
        rows[name] = {
            "recall": share(np.arange(every) < len(dm)),
            "median_dm": bootstrap(np.median, dm),
            "median_dm_bright": bootstrap(np.median, dm[is_bright]),
            "median_dm_faint": bootstrap(np.median, dm[~is_bright]),
            "nmad_dm": bootstrap(metrics.nmad, dm),
            "outliers": share(np.abs(dm) > FAINT),
        }
    for name in ("given", "own"):
        inside = measured[f"{name}_inside"]
        rows[name]["coverage_68"] = share(inside[np.isfinite(inside)] > 0)
        rows[name]["seconds"] = {"value": measured[f"{name}_seconds"], "error": None, "n": None}
    return rows
