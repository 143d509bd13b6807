"""What there is to say of one tile."""

from typing import NamedTuple

import numpy as np
from astropy import units as u

from pipeline.catalogs.coverage import coverage
from pipeline.catalogs.sphere import unit_vectors
from pipeline.data import AB_ZERO_POINT, FLUX_UNIT
from pipeline.detection.psf import DEFAULT_BETA, Moffat


class TileFacts(NamedTuple):
    """One tile in numbers.

    Attributes
    ----------
    name : str
    n_sources : int
    rejected : str
        Why it cannot be used; empty for a good tile.
    notes : tuple of str
        Everything unusual that was decided on the way.
    shape : tuple of int
        ``(y, x)`` [pixel].
    usable : float
        Share of pixels that carry information.
    psf_fwhm, pixel_scale : float
        In arcsec.
    rms : float
        Median noise of a pixel in the detection band [`unit`].
    depth : float
        AB magnitude of a point source of S/N 5; NaN without a zero point.
    unit : str
    known : tuple of str
        Names of the known lenses on usable pixels.
    """

    name: str
    n_sources: int = 0
    rejected: str = ""
    notes: tuple[str, ...] = ()
    shape: tuple[int, int] = (0, 0)
    usable: float = 0.0
    psf_fwhm: float = np.nan
    pixel_scale: float = np.nan
    rms: float = np.nan
    depth: float = np.nan
    unit: str = FLUX_UNIT
    known: tuple[str, ...] = ()


def doubts(notes):
    """Those of an exposure's notes that the user should check."""
    return [note for note in notes if note.endswith("?")]


def left_out(n_sources, unit, wanted):
    """Tell, in a list, that a tile's sources have no fluxes in a catalog in a unit `wanted`."""
    if not n_sources or u.Unit(unit) == u.Unit(wanted):
        return []
    told = f"its {n_sources} sources have no fluxes in the catalog, for its unit is {unit}, not "
    return [f"{told}{wanted}; should ingest.zero_point be set?"]


def tile_facts(name, exposure, frame, sources, lenses):
    """Gather what there is to say of a tile.

    Parameters
    ----------
    name : str
    exposure : Exposure
        Every `pipeline.catalogs.coverage.STEP`-th pixel of the tile's, with the coordinates of the
        whole.
    frame : Frame
        Of the whole.
    sources : Table
        The tile's, with the ``meta`` of `pipeline.detection.detect.detect`.
    lenses : Table
        Known lenses: ``name``, ``ra``, ``dec`` [deg].

    Returns
    -------
    TileFacts
    """
    rejected = exposure.rejected or sources.meta.get("REJECTED", "")
    if rejected or not exposure.ivar.size:
        return TileFacts(name, rejected=rejected, notes=exposure.notes)
    band = int(sources.meta.get("DETBAND", 0))
    covered, scale = coverage(exposure, frame, band), exposure.pixel_scale
    ivar = exposure.ivar[..., band]
    good = ivar > 0
    rms = float(np.median(ivar[good] ** -0.5)) if good.any() else np.nan
    fwhm = float(sources.meta.get("PSFFWHM", np.nan))
    noise = rms * float(sources.meta.get("NOISECOR", 1.0)) * _spread(sources.meta, fwhm)
    is_calibrated = exposure.unit == FLUX_UNIT and noise > 0
    return TileFacts(
        name,
        len(sources),
        notes=(*exposure.notes, *filter(None, [sources.meta.get("DOUBT")])),
        shape=frame.shape,
        usable=covered.share,
        psf_fwhm=fwhm * scale,
        pixel_scale=scale,
        rms=rms,
        depth=AB_ZERO_POINT - 2.5 * np.log10(5 * noise) if is_calibrated else np.nan,
        unit=exposure.unit,
        known=tuple(lenses["name"][_on(covered, lenses)]),
    )


def _spread(meta, fwhm):
    """Noise of a star's flux in that of a pixel, of the best filter: the PSF itself (King 1983)."""
    if not fwhm > 0:
        return np.nan
    psf = Moffat(fwhm, float(meta.get("PSFBETA", DEFAULT_BETA))).kernel()
    return float((psf.astype("f8") ** 2).sum() ** -0.5)


def _on(covered, lenses):
    """Rows of the lenses that fall on usable pixels of a tile."""
    if covered.wcs is None or not len(lenses):
        return np.zeros(0, int)
    centre, radius = covered.circle()
    away = np.linalg.norm(unit_vectors(lenses["ra"], lenses["dec"]) - centre, axis=1)
    near = np.flatnonzero(away < radius)
    return near[covered.at(lenses["ra"][near], lenses["dec"][near]) > 0]
