"""What there is to say of one tile."""

from typing import NamedTuple

import numpy as np

from pipeline.catalog import AB_ZERO_POINT
from pipeline.data import FLUX_UNIT

STEP = 16  # pixels from one that is looked at to the next


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
    area : float
        Of the usable pixels [arcmin2]; NaN without a pixel scale.
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
    area: float = np.nan
    usable: float = 0.0
    psf_fwhm: float = np.nan
    pixel_scale: float = np.nan
    rms: float = np.nan
    depth: float = np.nan
    unit: str = FLUX_UNIT
    known: tuple[str, ...] = ()


def tile_facts(name, exposure, sources, lenses, step=STEP):
    """Gather what there is to say of a tile.

    Parameters
    ----------
    name : str
    exposure : Exposure
        Every `step`-th pixel of the tile's, with the coordinates of the whole.
    sources : Table
        The tile's, whose ``meta`` gives PSFFWHM, NOISECOR and DETBAND.
    lenses : Table
        Known lenses: ``name``, ``ra``, ``dec`` [deg].
    step : int

    Returns
    -------
    TileFacts
    """
    if exposure.rejected or not exposure.ivar.size:
        return TileFacts(name, rejected=exposure.rejected, notes=exposure.notes)
    ivar = exposure.ivar[..., int(sources.meta.get("DETBAND", 0))]
    good = ivar > 0
    rms = float(np.median(ivar[good] ** -0.5)) if good.any() else np.nan
    fwhm = float(sources.meta.get("PSFFWHM", np.nan))
    noise = rms * float(sources.meta.get("NOISECOR", 1.0)) * np.sqrt(4 * np.pi) * fwhm / 2.355
    scale = exposure.pixel_scale
    is_calibrated = exposure.unit == FLUX_UNIT and noise > 0
    return TileFacts(
        name,
        len(sources),
        notes=exposure.notes,
        shape=tuple(step * n for n in ivar.shape),
        area=float(good.sum()) * (step * scale / 60) ** 2,
        usable=float(good.mean()),
        psf_fwhm=fwhm * scale,
        pixel_scale=scale,
        rms=rms,
        depth=AB_ZERO_POINT - 2.5 * np.log10(5 * noise) if is_calibrated else np.nan,
        unit=exposure.unit,
        known=tuple(lenses["name"][_on(good, exposure.wcs, lenses, step)]),
    )


def _on(good, wcs, lenses, step):
    """Rows of the lenses that fall on good pixels (y, x) of a tile."""
    if wcs is None or not len(lenses):
        return np.zeros(0, int)
    height, width = (step * n for n in good.shape)
    ra, dec = wcs.all_pix2world(width / 2, height / 2, 0)
    corner_ra, corner_dec = wcs.all_pix2world([0, width, 0, width], [0, 0, height, height], 0)
    reach = 1.05 * _distance(ra, dec, corner_ra, corner_dec).max()
    near = np.flatnonzero(_distance(ra, dec, lenses["ra"], lenses["dec"]) < reach)
    x, y = wcs.all_world2pix(lenses["ra"][near], lenses["dec"][near], 0, quiet=True)
    column, row = np.floor(x / step).astype(int), np.floor(y / step).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < good.shape[1]) & (row < good.shape[0])
    return near[inside][good[row[inside], column[inside]]]


def _distance(ra, dec, other_ra, other_dec):
    """Angle between a position and others [deg], by the haversine."""
    ra, dec, other_ra, other_dec = (
        np.radians(np.asarray(v, "f8")) for v in (ra, dec, other_ra, other_dec)
    )
    half = np.sin((other_dec - dec) / 2) ** 2
    half = half + np.cos(dec) * np.cos(other_dec) * np.sin((other_ra - ra) / 2) ** 2
    return 2 * np.degrees(np.arcsin(np.sqrt(half)))
