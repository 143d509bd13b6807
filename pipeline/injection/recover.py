"""Paint galaxies of known flux onto a tile, and tell what was made of each of them."""

from dataclasses import replace

import numpy as np
from astropy.nddata import overlap_slices
from astropy.table import Table
from scipy.ndimage import minimum_filter
from scipy.spatial import cKDTree

from pipeline.astrometry import on_sky
from pipeline.injection.tables import described, magnitude
from pipeline.models.photometry import SHARES
from pipeline.simulate.galaxies import centred, draw_galaxy, sized

SPACING = 24.0  # least side of the cells with one galaxy each, in widths (FWHM) of the PSF
ROOM = 16.0  # the same, in half-light radii of the largest galaxy
CLEAR = 2.0  # least distance from pixels that nobody saw, in such widths
REACH = 1.0  # greatest distance of a galaxy from its detection, in such widths
LEAST_REACH = 2.0  # the same [pixel]
STEP = 32  # of the sides of stamps that galaxies are drawn in [pixel]
WIDE = 10.0, 4.0  # half the side of a stamp, at least, in half-light radii and in PSF widths
COLUMNS = {  # unit ("flux" for the exposure's), UCD, meaning
    "ra": ("deg", "pos.eq.ra", "Right ascension where it was painted (ICRS)"),
    "dec": ("deg", "pos.eq.dec", "Declination where it was painted (ICRS)"),
    "x": ("pix", "pos.cartesian.x", "The same in the tile; the first pixel is 0"),
    "y": ("pix", "pos.cartesian.y", "The same in the tile; the first pixel is 0"),
    "place": ("", "meta.id.part", "Number of the tile's part that it was painted in"),
    "true_flux": ("flux", "phot.flux.density", "Total flux that was painted"),
    "true_mag": ("mag", "phot.mag", "AB magnitude of true_flux; NaN without a zero point"),
    "true_snr": ("", "stat.snr", "S/N of a filter that matches it, in the noise there"),
    "re": ("pix", "phys.angSize", "Half-light radius before the PSF, circularised"),
    "size": ("", "phys.angSize", "re in widths (FWHM) of the PSF"),
    "neighbour": ("", "pos.angDistance", "Distance of the nearest source in such widths"),
    "found": ("", "meta.code", "Whether a detection is this galaxy's"),
    "flux_auto": ("flux", "phot.flux.density", "Its flux_auto; NaN if not found"),
    "flux_p16": ("flux", "phot.flux.density;stat.min", "Its flux_p16"),
    "flux_p50": ("flux", "phot.flux.density;stat.median", "Its flux_p50"),
    "flux_p84": ("flux", "phot.flux.density;stat.max", "Its flux_p84"),
    "before": ("", "meta.code", "Whether it was measured without the light of one behind it"),
    "flags": ("", "meta.code.qual", "Its flags; 0 if not found"),
}


def paint(exposure, sources, optics, settings, key):
    """Paint galaxies onto an exposure, far from one another, wherever it was observed.

    There is one in each cell of a square grid, at a place drawn in the cell's middle half.  Sizes
    and S/N are drawn evenly in logarithm, shapes as `pipeline.simulate.galaxies` draws them.  All
    bands get the same flux, seen through the PSF of the detection band; where a gain is known,
    with the noise of its photons.

    Parameters
    ----------
    exposure : Exposure
    sources : Table
        Those found in it; `meta` has the number of the detection band (``DETBAND``).
    optics : Optics
        Without a PSF no galaxy is painted.
    settings : pipeline.config.Recover
    key : str
        Which with the seed decides all that is drawn.

    Returns
    -------
    painted : Exposure
    truth : Table
        ``x``, ``y``, ``place``, ``true_flux``, ``true_snr``, ``re`` of each galaxy: see `COLUMNS`.
    """
    rng = np.random.default_rng((settings.seed, *key.encode()))
    (photons,) = rng.spawn(1)
    band = sources.meta.get("DETBAND", 0)
    flux, rows = exposure.flux.copy(), []
    cell = max(SPACING, ROOM * settings.size[1]) * optics.fwhm
    places = _places(exposure.seen[..., band], cell, optics.fwhm, rng)[: settings.galaxies]
    for x, y, place in places:
        re, snr = (np.exp(rng.uniform(*np.log(limits))) for limits in (settings.size, settings.snr))
        light, onto, own = _draw(re * optics.fwhm, (x, y), flux.shape[:2], optics, rng)
        noise = optics.correlation * exposure.ivar[round(y), round(x), band] ** -0.5
        total = snr * noise / np.sqrt((light.astype("f8") ** 2).sum())
        light = np.float32(total) * light[own]
        flux[onto] += optics.observed(light, exposure.ivar[onto], photons)
        rows.append((x, y, place, total, snr, re * optics.fwhm))
    names = "x", "y", "place", "true_flux", "true_snr", "re"
    return replace(exposure, flux=flux), Table(np.reshape(rows, (-1, len(names))), names=names)


def _places(seen, cell, fwhm, rng):
    """Places ``(x, y)`` on pixels that were seen, and those around too, and numbers of their cells.

    Returns
    -------
    ndarray, (n, 3)
        In random order.
    """
    if not fwhm > 0 or not seen.size:
        return np.zeros((0, 3))
    n = [max(int(side / cell), 1) for side in seen.shape]
    middle = np.indices(n).reshape(2, -1).T + 0.5
    places = (middle + rng.uniform(-0.25, 0.25, middle.shape)) * np.array(seen.shape) / n - 0.5
    clear = minimum_filter(seen, 2 * round(CLEAR * fwhm) + 1, mode="constant", cval=False)
    row, column = np.rint(places).astype(int).T
    numbered = np.column_stack([places[:, ::-1], np.arange(len(places))])
    return rng.permutation(numbered[clear[row, column]])


def _draw(re, place, shape, optics, rng):
    """Draw a galaxy of unit flux: its stamp, and the slices of image and stamp where they meet."""
    side = 2 * STEP * int(np.ceil((WIDE[0] * re + WIDE[1] * optics.fwhm) / STEP))
    x, y = place
    corner = np.rint([y, x]).astype(int) - side // 2
    galaxy = centred(sized(draw_galaxy(re, rng), re), re)
    light = optics.renderer(side).draw(galaxy, x - corner[1], y - corner[0])
    onto, own = overlap_slices(shape, light.shape, corner + (side - 1) / 2, mode="partial")
    return light, onto, own


def recovered(truth, before, after, exposure):
    """Say which of the galaxies were found, and what was measured of them.

    A detection is of whatever lies nearest to it, a galaxy or a source that was there before; a
    galaxy's is the nearest of those that are its own, if it is near.

    Parameters
    ----------
    truth : Table
        As of `paint`.
    before : Table
        Sources found without the galaxies.
    after : (Table, Table)
        Sources found with them, and the total fluxes of these.
    exposure : Exposure

    Returns
    -------
    Table
        `COLUMNS`, a row a galaxy.
    """
    fwhm, places = float(before.meta["PSFFWHM"]), _places_of(truth)
    sources, totals = after
    rows, neighbour = match(places, _places_of(before), _places_of(sources), _reach(fwhm))
    found, values = rows >= 0, {name: np.asarray(truth[name], "f8") for name in truth.colnames}
    values["ra"], values["dec"], _ = on_sky(exposure.wcs, *places.T, np.zeros(len(truth)))
    values["true_mag"] = magnitude(values["true_flux"], exposure.unit)
    values["size"], values["neighbour"] = values["re"] / fwhm, neighbour / fwhm
    values["found"], values["place"] = found, values["place"].astype("i4")
    for name, kind in (("before", bool), ("flags", "i4")):
        values[name] = np.zeros(len(truth), kind)
        values[name][found] = np.asarray(sources[name])[rows[found]]
    for table, names in ((sources, ("flux_auto",)), (totals, SHARES)):
        for name in names:
            values[name] = np.full(len(truth), np.nan)
            values[name][found] = np.asarray(table[name])[rows[found], sources.meta["DETBAND"]]
    return described(COLUMNS, values, exposure.unit, PSFFWHM=fwhm)


def _reach(fwhm):
    return max(REACH * fwhm, LEAST_REACH)


def _places_of(table):
    return np.column_stack([np.asarray(table[name], "f8") for name in ("x", "y")])


def match(galaxies, before, detections, reach):
    """Find each galaxy's own detection.

    Parameters
    ----------
    galaxies, before, detections : ndarray, (n, 2), (m, 2), (k, 2)
        Positions, the second of what was there before.
    reach : float
        Greatest distance of a galaxy from its detection.

    Returns
    -------
    rows : ndarray, (n,), int
        Row of the detection; -1 where there is none.
    neighbour : ndarray, (n,)
        Distance of the nearest that was there before; inf where there is nothing.
    """
    rows = np.full(len(galaxies), -1)
    neighbour = np.full(len(galaxies), np.inf)
    if len(before):
        neighbour, _ = cKDTree(before).query(galaxies)
    if len(detections) and len(galaxies):
        _, owner = cKDTree(np.concatenate([galaxies, before])).query(detections)
        own = np.flatnonzero(owner < len(galaxies))
        far = np.hypot(*(detections[own] - galaxies[owner[own]]).T)
        order = np.argsort(-far, kind="stable")  # the nearest is written last
        near = order[far[order] <= reach]
        rows[owner[own[near]]] = own[near]
    return rows, neighbour
