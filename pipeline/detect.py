"""Find the sources of an exposure and measure each of them."""

import numpy as np
import sep
from astropy import units as u
from astropy.table import QTable

from pipeline import kron
from pipeline.extract import extract
from pipeline.flags import Flag
from pipeline.matched import noise_correlation, snr_at
from pipeline.psf import DEFAULT_FWHM, Moffat, measure_psf

TRAINED_FWHM = 1.5, 5.0  # PSFs of the networks' training scenes [pixel]
TRAINED_R50 = 16.0  # largest half-light radius that a stamp shows whole [pixel]
_MOST_MISSING = 0.05  # of the aperture, before the source is flagged
_FARTHEST_WINDOW = 0.5  # windowed position from the barycentre, in PSF FWHM


def detect(exposure, settings):
    """Find the sources of the detection band, and measure them in every band.

    Parameters
    ----------
    exposure : Exposure
    settings : config.Detect

    Returns
    -------
    QTable
        ``id`` and ``label`` (both from 1), ``x``, ``y`` [pixel] windowed centroid, ``ra``,
        ``dec`` [deg] (ICRS; NaN without WCS), ``flux_auto`` and ``flux_auto_err`` (n, band) in
        one Kron aperture, ``a``, ``b`` [pixel], ``theta`` [deg, from +x to +y], ``r50``
        [pixel], ``kron_radius`` (semi-major axis of the aperture [a]), ``snr`` of the matched
        filter, ``flags`` of `pipeline.flags`.  ``meta`` gives PSFFWHM [pixel] and NOISECOR of
        the detection band, BANDS, DETBAND and, where it is known, PIXSCALE [arcsec].
    """
    band = exposure.bands.index(settings.band or exposure.bands[0])
    flux, ivar = (np.ascontiguousarray(i[..., band]) for i in (exposure.flux, exposure.ivar))
    psf = _psf(flux, ivar, settings.psf_fwhm, exposure.saturation[band])
    correlation = noise_correlation(flux, ivar, psf.kernel())
    objects, segments = extract(flux, ivar, psf, settings, correlation)
    shapes = _shapes(flux, ivar == 0, objects, psf)
    columns = _measure(exposure, band, shapes, segments)
    snr, _ = snr_at(flux, ivar, shapes["x"], shapes["y"], psf)
    columns["snr"] = snr / correlation
    columns["flags"] |= _footprint_flags(objects, segments, flux >= exposure.saturation[band])
    columns["flags"] |= _size_flags(columns["r50"], columns["snr"], psf)
    meta = {"PSFFWHM": psf.fwhm, "NOISECOR": correlation, "DETBAND": band}
    meta["BANDS"] = ",".join(exposure.bands)
    if np.isfinite(exposure.pixel_scale):
        meta["PIXSCALE"] = exposure.pixel_scale
    return _table(exposure, shapes, columns, meta)


def _psf(flux, ivar, fwhm, saturation):
    if fwhm:
        return Moffat(fwhm)
    if not (ivar > 0).any():
        return Moffat(DEFAULT_FWHM)
    return measure_psf(flux, ivar, saturation)


def _shapes(flux, mask, objects, psf):
    """Position and ellipse of each source: x, y, a, b [pixel], theta [deg]; structured, (n,).

    The centroid is windowed (Bertin 2013, SExtractor manual) where that converges close to the
    barycentre, which it does not beside a brighter neighbour.
    """
    shapes = np.zeros(len(objects), [(name, "f8") for name in ("x", "y", "a", "b", "theta")])
    for name in ("x", "y", "a", "b"):
        shapes[name] = objects[name]
    shapes["theta"] = np.degrees(objects["theta"])
    if not len(objects):
        return shapes
    width = np.maximum(objects["a"], psf.fwhm / 2.35)
    x, y, failed = sep.winpos(flux, objects["x"], objects["y"], width, mask=mask, subpix=5)
    far = np.hypot(x - objects["x"], y - objects["y"]) > _FARTHEST_WINDOW * psf.fwhm
    good = (failed == 0) & ~far & np.isfinite(x + y)
    shapes["x"], shapes["y"] = np.where(good, (x, y), (objects["x"], objects["y"]))
    return shapes


def _measure(exposure, band, shapes, segments):
    """Kron aperture, its flux and half-light radius, and what went wrong with them."""
    flux, mask = np.ascontiguousarray(exposure.flux[..., band]), exposure.ivar[..., band] == 0
    radius, failed = kron.kron_radii(flux, mask, shapes, segments)
    total, error, missing = kron.aperture_flux(exposure, shapes, radius, segments)
    reach = np.column_stack([shapes["a"] * radius, total[:, band]])
    flags = np.where(failed, Flag.KRON_FAILED, 0) | np.where(
        missing > _MOST_MISSING, Flag.MASKED, 0
    )
    return {
        "flux_auto": total,
        "flux_auto_err": error,
        "r50": kron.half_light_radii(flux, mask, shapes, reach, segments),
        "kron_radius": radius,
        "flags": flags.astype("i4"),
    }


def _footprint_flags(objects, segments, saturated):
    """EDGE, BLENDED and SATURATED of each source; (n,), int32."""
    height, width = segments.shape
    edge = (objects["xmin"] == 0) | (objects["ymin"] == 0)
    edge |= (objects["xmax"] == width - 1) | (objects["ymax"] == height - 1)
    flags = np.where(edge, Flag.EDGE, 0)
    flags |= np.where(objects["flag"] & sep.OBJ_MERGED, Flag.BLENDED, 0)
    owners = np.unique(segments[saturated])
    flags[owners[owners > 0] - 1] |= Flag.SATURATED
    return flags.astype("i4")


def _size_flags(r50, snr, psf):
    """POINT_LIKE and OFF_RANGE of each source; (n,), int32."""
    widest = psf.half_light_radius() * (1.1 + 2 / np.maximum(snr, 1))
    low, high = TRAINED_FWHM
    off_range = (r50 > TRAINED_R50) | (not low <= psf.fwhm <= high)
    flags = np.where(r50 < widest, Flag.POINT_LIKE, 0) | np.where(off_range, Flag.OFF_RANGE, 0)
    return flags.astype("i4")


def _table(exposure, shapes, columns, meta):
    label = np.arange(1, len(shapes) + 1, dtype="i4")
    ra, dec = _sky(exposure.wcs, shapes["x"], shapes["y"])
    unit = u.Unit(exposure.unit)
    return QTable(
        {
            "id": label.astype("i8"),
            "label": label,
            "x": shapes["x"] * u.pix,
            "y": shapes["y"] * u.pix,
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "flux_auto": columns["flux_auto"] * unit,
            "flux_auto_err": columns["flux_auto_err"] * unit,
            "a": shapes["a"] * u.pix,
            "b": shapes["b"] * u.pix,
            "theta": shapes["theta"] * u.deg,
            "r50": columns["r50"] * u.pix,
            "kron_radius": columns["kron_radius"],
            "snr": columns["snr"],
            "flags": columns["flags"],
        },
        meta=meta,
    )


def _sky(wcs, x, y):
    """ICRS coordinates [deg] of pixels; NaN without WCS; each (n,)."""
    if wcs is None or not len(x):
        return np.full((2, len(x)), np.nan)
    sky = wcs.pixel_to_world(x, y).icrs
    return sky.ra.deg, sky.dec.deg
