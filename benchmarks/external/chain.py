"""Run the chain's own stages on an exposure: the one place that knows how."""

import time
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from pipeline import config, io
from pipeline.data import Exposure
from pipeline.detection.detect import detect
from pipeline.stamps.cutouts import cut, lens_binning
from pipeline.tiles import STAGES

DEBLENDING = "cut", "segment", "uncertainty", "photometry"
NEAR = 3.0  # a detection is the source at a given position, at least if this close [pixel]
HALF_BOX = 64  # about a position where nothing was detected [pixel]
SIDED = 4.0  # light that is not on both sides of a position, in the sky's standard deviations


class Deblended(NamedTuple):
    """What the chain says of n sources.

    Attributes
    ----------
    x, y : ndarray, (n,)
        [pixel].
    low, middle, high : ndarray, (n,)
        Percentiles 16, 50 and 84 of the total flux.
    maps : dict of Maps
        ``unet`` and ``punet``, the probability that a pixel is the source's, the latter the mean
        over the draws, and ``spread``, their standard deviation.
    seconds : float
        What the stages took, detection included where it ran.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    maps: dict
    seconds: float


class Maps(NamedTuple):
    """Maps of n stamps (n, y, x), and where they lie: first pixel (n, 2), pixels to a block."""

    planes: np.ndarray
    corner: np.ndarray
    binning: np.ndarray


def settings(networks=None, **sections):
    """Settings as a user would write them; `networks` is a folder, None for the shipped ones."""
    return config.read({"networks": networks, **sections})


def deblend(exposure, options, folder, positions=None):
    """Run the stages from detection to photometry, as `snakemake` does.

    Parameters
    ----------
    exposure : Exposure
        Of one band.
    options : config.Config
    folder : Path
        Where the products go; made if it is not there.
    positions : ndarray, (n, 2), optional
        ``(x, y)`` of the sources, where they are to be given; else the detected ones.

    Returns
    -------
    Deblended
    """
    folder.mkdir(parents=True, exist_ok=True)
    io.write_exposure(folder / "exposure.fits", exposure)
    start = time.perf_counter()
    STAGES["detect"].work(options, folder)
    found = io.read_table(folder / "sources.fits")
    if positions is not None:
        found = given_sources(exposure, found, positions, options.detect)
        io.write_table(folder / "sources.fits", found)
        start = time.perf_counter()
    for name in DEBLENDING:
        STAGES[name].work(options, folder)
    seconds = time.perf_counter() - start
    flux = io.read_table(folder / "photometry.fits")
    return Deblended(
        *(np.asarray(found[name], "f8") for name in ("x", "y")),
        *(np.asarray(flux[f"flux_{p}"], "f8")[:, 0] for p in ("p16", "p50", "p84")),
        _read_maps(folder),
        seconds,
    )


def _read_maps(folder):
    """Maps of the U-Net, in blocks of pixels where stamps are; of the probabilistic, in pixels."""
    stamps = io.read_cutouts(folder / "cutouts.fits")
    binning = np.broadcast_to(stamps.binning, len(stamps))
    *_, target = io.read_maps(folder / "shares.fits", "TARGET")
    _, corner, mean, spread = io.read_maps(folder / "masks.fits", "TARGET", "TARGET_STD")
    single = np.ones(len(stamps), int)
    return {
        "unet": Maps(target, stamps.corner, binning),
        "punet": Maps(mean, corner, single),
        "spread": Maps(spread, corner, single),
    }


def given_sources(exposure, found, positions, options):
    """Make the table of detected sources one of the sources at given positions.

    A source keeps the shape of the detection that is its own: the nearest, within `NEAR` or half
    way to the next given position.  Where there is none, a shape is measured with the light that
    is not on both sides of the position taken away.  Nothing of the truth but the positions is
    used.

    Parameters
    ----------
    exposure : Exposure
    found : QTable
        Of `pipeline.detection.detect.detect`.
    positions : ndarray, (n, 2)
    options : config.Detect

    Returns
    -------
    QTable
        Numbered from 1.
    """
    rows = _own_detection(found, positions)
    table = found[np.maximum(rows, 0)] if len(found) else _point(exposure, options, len(rows))
    for i in np.flatnonzero(rows < 0):
        _measure_at(table, i, exposure, positions[i], options)
    table["x"], table["y"] = positions.T * table["x"].unit
    table["id"] = np.arange(1, len(table) + 1)
    table["label"] = np.arange(1, len(table) + 1, dtype="i4")
    return table


def _own_detection(found, positions):
    """Row of the detection that each position is nearest to, and that is near; -1 where none."""
    rows = np.full(len(positions), -1)
    if not len(found):
        return rows
    detected = np.column_stack([np.asarray(found[name], "f8") for name in ("x", "y")])
    far, nearest = cKDTree(detected).query(positions)
    _, back = cKDTree(positions).query(detected)
    apart = cKDTree(positions).query(positions, k=[2])[0][:, 0]
    reach = np.maximum(NEAR, np.where(np.isfinite(apart), apart / 2, 0))
    own = (back[nearest] == np.arange(len(rows))) & (far < reach)
    rows[own] = nearest[own]
    return rows


def _measure_at(table, i, exposure, position, options):
    """Fill row `i` with the shape of what lies on both sides of a position."""
    box = _symmetric_box(exposure, position)
    found, _ = detect(box, options)
    away = np.hypot(*(np.asarray(found[name], "f8") - HALF_BOX for name in ("x", "y")))
    near = away.size and away.min() < NEAR
    nearest = found[np.argmin(away)] if near else _point(exposure, options, 1)[0]
    for name in set(table.colnames) & set(found.colnames) - {"id", "label", "ra", "dec"}:
        table[name][i] = nearest[name]


def _symmetric_box(exposure, position):
    """Cut a box about a position, brighter pixels replaced by those opposite."""
    at = {"id": [0], "x": [position[0]], "y": [position[1]]}
    (flux,), (ivar,) = _stamps(exposure, at, 2 * HALF_BOX + 1)
    opposite, sigma = flux[::-1, ::-1], 1 / np.sqrt(np.maximum(ivar, 1e-30))
    excess = flux - opposite > SIDED * sigma
    good = (ivar > 0) & (ivar[::-1, ::-1] > 0)
    flux = np.where(excess & good, opposite, flux)
    return Exposure(flux, ivar, None, exposure.bands, unit=exposure.unit)


def _stamps(exposure, at, size):
    from astropy.table import Table

    cutouts = cut(exposure, Table(at), size)
    return cutouts.flux, cutouts.ivar


def _point(exposure, options, n):
    """Table of `n` sources as small as the PSF, found on a blank with one star."""
    size = 2 * HALF_BOX + 1
    y, x = np.mgrid[:size, :size] - HALF_BOX
    sigma = (options.psf_fwhm or 2.5) / 2.355
    star = 1e3 * np.exp(-(x**2 + y**2) / (2 * sigma**2))[..., None].astype("f4")
    noise = np.random.default_rng(0).normal(size=star.shape).astype("f4")
    blank = Exposure(star + noise, np.ones_like(star), None, exposure.bands, unit=exposure.unit)
    found, _ = detect(blank, options)
    return found[np.full(n, np.argmax(found["snr"]))]


def lens_scores(exposure, sources, options):
    """Score the sources of an exposure with the lens finder, stamps cut as the chain does.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        ``id``, ``x``, ``y``; its ``meta`` gives ``PSFFWHM`` [pixel].
    options : config.Config
        With ``lens.prevalence`` 0.5, what is given back compares with `lens_threshold`.

    Returns
    -------
    ndarray, (n,)
        ``p_lens``.
    """
    from pipeline.models import lens

    binning = lens_binning(exposure, sources, options.cut)
    cutouts = cut(exposure, sources, options.cut.lens_size, binning)
    network = opened(options.networks, "lens", options.apply)
    return np.asarray(lens.apply(network, cutouts, options.lens)["p_lens"], "f8")


def lens_threshold(options):
    """``p_lens`` at balanced classes above which 1 in 1000 non-lenses of validation lay; or NaN."""
    card = opened(options.networks, "lens", options.apply).card
    return float(card["calibration"].get("threshold", np.nan))


@cache
def opened(folder, name, apply):
    """Open a network once."""
    from pipeline.models.engine import load

    return load(folder, name, apply)
