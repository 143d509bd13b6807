"""Find the sources of an exposure and measure each of them."""

from functools import partial

import numpy as np
import sep
from astropy import units as u
from astropy.table import QTable

from pipeline.astrometry import on_sky, position_error
from pipeline.detection import kron
from pipeline.detection.extract import (
    Sight,
    add_cores,
    drop_doubtful,
    extract,
    extract_cores,
    without_halos,
)
from pipeline.detection.foreground import foreground
from pipeline.detection.giants import before_giants, relief_of
from pipeline.detection.hidden import reveal
from pipeline.detection.matched import noise_correlation, snr_at
from pipeline.detection.psf import TRAINED_FWHM, Moffat, broadening, measure_psf
from pipeline.detection.sharp import SHARP, excess
from pipeline.flags import Flag
from pipeline.pixels.gaps import spanned
from pipeline.pixels.holes import bridge
from pipeline.stamps.cutouts import LARGEST_BINNING

TRAINED_R50 = 16.0 * LARGEST_BINNING  # what a binned stamp shows whole [pixel]
_WIDEST_POINT, _TELLING = 0.4, 0.21  # `broadening` of a point, and its error at an S/N of 28
_MOST_MISSING = 0.05  # of the aperture, or of the PSF's signal, before the source is flagged
_FARTHEST_FROM_CORE, _FARTHEST_FROM_BARYCENTRE = 0.18, 1.5  # a windowed centroid [pixel]


def detect(exposure, settings, network=None, psf=None):
    """Find the sources of the detection band, and measure them in every band.

    Parameters
    ----------
    exposure : Exposure
    settings : config.Detect
    network : pipeline.models.engine.Network, optional
        The U-Net, to look for what hides in the light of others, see `pipeline.detection.hidden`.
    psf : pipeline.detection.psf.Moffat, optional
        Measured, or of ``settings.psf_fwhm``, if left out.

    Returns
    -------
    sources : QTable
        ``id`` and ``label`` (both from 1), ``x``, ``y`` [pixel] windowed centroid, ``ra``,
        ``dec`` [deg] (ICRS; NaN without WCS), ``pos_err`` [arcsec] along one axis, ``flux_auto``
        and ``flux_auto_err`` (n, band) in one Kron aperture, ``noise_ratio`` (n, band) by which
        the error exceeds that of independent pixels, for noise is correlated, ``a``, ``b``
        [pixel], ``theta`` [deg, from +x to +y], ``pa`` [deg, from north to east], ``r50``
        [pixel], ``pixel_scale`` [arcsec], ``kron_radius`` (semi-major axis of the aperture [a]),
        ``extent`` (how far the footprint reaches from the centroid along an axis [pixel]),
        ``snr`` of the matched filter, ``broadening`` and ``broadening_err`` (0 as a star, see
        `pipeline.detection.psf.broadening`), ``before`` (whether it stands before the light of
        large sources, and is measured without it), ``flags`` of `pipeline.flags`.
        ``meta`` gives PSFFWHM [pixel], PSFBETA (slope of its wings) and NOISECOR of the detection
        band, BANDS, DETBAND and, where there are such, PIXSCALE [arcsec] and DOUBT, what to check
        of the PSF.
    behind : ndarray, (y, x, band), float32, or None
        That light; None if no source stands before it.
    """
    exposure = spanned(exposure)
    sight, correlations, detected = _first_look(exposure, settings, psf)
    front, sight, detected = _before_giants(exposure, sight, detected)
    measured = partial(_measured, exposure, sight, correlations)
    table = measured(*detected)
    if network is not None and len(table):
        more = reveal(exposure, detected, table, sight, network)
        if more is not detected:
            detected, table = more, measured(*more)
    if front:
        _measure_again(table, detected[0].objects, front, sight, correlations)
    return table, front.behind if table["before"].any() else None


def _first_look(exposure, settings, psf):
    """How the detection band is looked at, each band's `noise_correlation`, and what is seen."""
    band = _band(exposure, settings)
    planes = [np.ascontiguousarray(i[..., band]) for i in (exposure.flux, exposure.ivar)]
    flux, ivar = bridge(*planes, exposure.saturation[band])
    sharp, rms = without_halos(flux, ivar)
    cores = extract_cores(sharp, rms, ivar)
    doubt = ""
    if settings.psf_fwhm and not psf:
        psf = Moffat(settings.psf_fwhm)
    elif not psf:
        psf, doubt = measure_psf(sharp, ivar, cores.objects, exposure.saturation[band])
    correlations = _correlations(exposure, psf.kernel())
    holes, smooth = planes[1] == 0, np.zeros(flux.shape, bool)
    sight = Sight(flux, sharp, ivar, holes, psf, doubt, settings, correlations[band], smooth)
    found = extract(flux, ivar, psf, settings, sight.threshold)
    cores = drop_doubtful(cores, flux, ivar, psf, sight.threshold)
    return sight, correlations, add_cores(found, cores)


def _band(exposure, settings):
    """Number of the detection band."""
    return exposure.bands.index(settings.band or exposure.bands[0])


def _before_giants(exposure, sight, detected):
    """The `Foreground`, None without light of large sources; what that makes of the other two."""
    relief = relief_of(sight)
    if relief is None:
        return None, sight, detected
    detected = before_giants(*detected, sight, relief)
    front = foreground(exposure, _band(exposure, sight.settings), sight, relief)
    return front, sight._replace(smooth=front.smooth), detected


def _measure_again(table, objects, front, sight, correlations):
    """Measure what is before the light of large sources, of a `Foreground`, without that light."""
    rows, those = front.rows_of(objects)
    if not len(rows):
        return
    centre = np.full((len(front.found.objects), 2), np.nan)
    sight = sight._replace(flux=front.flux)
    again = _measured(front.bare(), sight, correlations, front.found, centre)[those]
    again["flags"] |= table["flags"][rows] & (Flag.BLENDED | Flag.SATURATED)
    for name in set(table.colnames) - {"id", "label", "x", "y", "ra", "dec"}:
        table[name][rows] = again[name]
    table["before"][rows] = True


def _measured(exposure, sight, correlations, found, centre):
    """The table of what was found, as of `detect`."""
    (objects, segments), flux, ivar, psf = found, sight.flux, sight.ivar, sight.psf
    band = _band(exposure, sight.settings)
    shapes = _shapes(flux, ivar == 0, objects, centre)
    columns = _measure(exposure, band, shapes, segments)
    area = np.pi * shapes["a"] * shapes["b"] * columns["kron_radius"] ** 2
    ratios = [kron.correlated(factor, psf.kernel(), area) for factor in correlations]
    columns["noise_ratio"] = np.stack(ratios, axis=-1)
    columns["flux_auto_err"] *= columns["noise_ratio"]
    columns["extent"] = _extents(objects, shapes)
    weight = np.where(exposure.seen[..., band], ivar, 0)
    columns["snr"] = snr_at(flux, weight, shapes["x"], shapes["y"], psf)[0] / sight.correlation
    saturated = (exposure.flux >= np.asarray(exposure.saturation, "f4")).any(axis=-1)
    columns["flags"] |= _footprint_flags(objects, segments, saturated)
    columns["flags"] |= _core_flag(exposure.seen, shapes, psf)
    columns["flags"] |= _size_flags(columns["r50"], psf)
    wider, error = broadening(sight.sharp, ivar, segments, shapes, psf)
    columns |= {"broadening": wider, "broadening_err": error * sight.correlation}
    columns["flags"] |= _point_flag(wider, columns["broadening_err"])
    columns["flags"] |= _sharp_flag(sight, np.where(saturated, 0, weight), objects)
    meta = {"PSFFWHM": psf.fwhm, "PSFBETA": psf.beta}
    meta |= {"NOISECOR": sight.correlation, "DETBAND": band}
    meta["BANDS"] = ",".join(exposure.bands)
    if sight.doubt and not exposure.rejected:
        meta["DOUBT"] = sight.doubt
    if np.isfinite(exposure.pixel_scale):
        meta["PIXSCALE"] = exposure.pixel_scale
    return _table(exposure, shapes, columns, meta)


def _shapes(flux, mask, objects, centre):
    """Position and ellipse of each source: x, y, a, b [pixel], theta [deg]; structured, (n,).

    The centroid is windowed (as SExtractor's XWIN_IMAGE), which is the least noisy, where it
    agrees with the barycentre of the source's core; else it is that barycentre.  A source
    without a core of its own needs only to be near its own barycentre: beside a brighter
    neighbour the window moves there.
    """
    shapes = np.zeros(len(objects), [(name, "f8") for name in ("x", "y", "a", "b", "theta")])
    for name in ("a", "b"):
        shapes[name] = objects[name]
    shapes["theta"] = np.degrees(objects["theta"])
    start = np.where(np.isnan(centre), np.column_stack([objects["x"], objects["y"]]), centre)
    window = _windowed(flux, mask, start, np.sqrt(objects["a"] * objects["b"]))
    farthest = np.where(np.isnan(centre[:, 0]), _FARTHEST_FROM_BARYCENTRE, _FARTHEST_FROM_CORE)
    good = np.hypot(*(window - start).T) < farthest  # not where it is NaN
    shapes["x"], shapes["y"] = np.where(good[:, None], window, start).T
    return shapes


def _windowed(flux, mask, start, sigma):
    """Windowed centroids (n, 2) [pixel]; NaN where the iteration fails."""
    if not len(start):
        return start
    x, y, failed = sep.winpos(flux, *start.T.copy(), sigma, mask=mask, subpix=5)
    return np.where((failed == 0)[:, None], np.column_stack([x, y]), np.nan)


def _measure(exposure, band, shapes, segments):
    """Kron aperture, its flux and half-light radius, and what went wrong with them."""
    flux, mask = np.ascontiguousarray(exposure.flux[..., band]), exposure.ivar[..., band] == 0
    radius, failed = kron.kron_radii(flux, mask, shapes, segments)
    total, error, missing = kron.aperture_flux(exposure, shapes, radius, segments)
    reach = np.column_stack([shapes["a"] * radius, total[:, band]])
    flags = np.where(failed, Flag.KRON_FAILED, 0)
    flags |= np.where(missing > _MOST_MISSING, Flag.MASKED, 0)
    return {
        "flux_auto": total,
        "flux_auto_err": error,
        "r50": kron.half_light_radii(flux, mask, shapes, reach, segments),
        "kron_radius": radius,
        "flags": flags.astype("i4"),
    }


def _correlations(exposure, kernel):
    """`noise_correlation` of each band."""
    planes = zip(*(np.moveaxis(p, -1, 0) for p in (exposure.flux, exposure.ivar)), strict=True)
    return [noise_correlation(*plane, kernel) for plane in planes]


def _extents(objects, shapes):
    """How far the box about each footprint reaches from its source; (n,) [pixel]."""
    away = [objects["xmax"] - shapes["x"], shapes["x"] - objects["xmin"]]
    away += [objects["ymax"] - shapes["y"], shapes["y"] - objects["ymin"]]
    return np.max(away, axis=0) + 0.5


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


def _core_flag(seen, shapes, psf):
    """MASKED of each source whose core some band has not seen; (n,), int32."""
    cores = (
        snr_at(plane, plane, shapes["x"], shapes["y"], psf)[1] for plane in np.moveaxis(seen, -1, 0)
    )
    return np.where(np.min(list(cores), axis=0) < 1 - _MOST_MISSING, Flag.MASKED, 0).astype("i4")


def _size_flags(r50, psf):
    """OFF_RANGE of each source; (n,), int32."""
    low, high = TRAINED_FWHM
    off_range = (r50 > TRAINED_R50) | (not low <= psf.fwhm <= high)
    return np.where(off_range, Flag.OFF_RANGE, 0).astype("i4")


def _point_flag(wider, error):
    """POINT_LIKE of each source that is no wider than the PSF, where the noise lets one tell."""
    is_point = (wider < _WIDEST_POINT) & (error < _TELLING)
    return np.where(is_point, Flag.POINT_LIKE, 0).astype("i4")


def _sharp_flag(sight, ivar, objects):
    """SHARP of each source whose brightest pixel no light of the sky explains; (n,), int32."""
    above = excess(sight.flux, ivar, objects["xpeak"], objects["ypeak"], sight.psf)
    return np.where(above > SHARP * sight.correlation, Flag.SHARP, 0).astype("i4")


def _table(exposure, shapes, columns, meta):
    label = np.arange(1, len(shapes) + 1, dtype="i4")
    ra, dec, angle = on_sky(exposure.wcs, shapes["x"], shapes["y"], shapes["theta"])
    electrons = (columns["flux_auto"] * exposure.gain)[:, meta["DETBAND"]]
    error = position_error(columns["r50"], columns["snr"], meta["PSFFWHM"], electrons)
    unit = u.Unit(exposure.unit)
    return QTable(
        {
            "id": label.astype("i8"),
            "label": label,
            "x": shapes["x"] * u.pix,
            "y": shapes["y"] * u.pix,
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "pos_err": error * exposure.pixel_scale * u.arcsec,
            "flux_auto": columns["flux_auto"] * unit,
            "flux_auto_err": columns["flux_auto_err"] * unit,
            "noise_ratio": columns["noise_ratio"],
            "a": shapes["a"] * u.pix,
            "b": shapes["b"] * u.pix,
            "theta": shapes["theta"] * u.deg,
            "pa": angle * u.deg,
            "r50": columns["r50"] * u.pix,
            "pixel_scale": np.full(len(label), exposure.pixel_scale) * u.arcsec,
            "kron_radius": columns["kron_radius"],
            "extent": columns["extent"] * u.pix,
            "snr": columns["snr"],
            "broadening": columns["broadening"],
            "broadening_err": columns["broadening_err"],
            "before": np.zeros(len(label), bool),
            "flags": columns["flags"],
        },
        meta=meta,
    )
