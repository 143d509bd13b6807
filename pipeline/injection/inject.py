"""Paint simulated arcs onto a survey's own galaxies."""

import logging
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from astropy.table import Table, hstack, vstack

from pipeline.catalogs.catalog import detection_band
from pipeline.catalogs.known import name_known
from pipeline.catalogs.overlaps import seen_elsewhere
from pipeline.flags import DEFECT, Flag
from pipeline.injection.tables import described, magnitude
from pipeline.simulate.arcs import Body, paint_arcs
from pipeline.simulate.render import Renderer

UNFIT = int(Flag.POINT_LIKE | DEFECT)
AT_ONCE = 576  # stamps in memory, of one galaxy or more
CANVAS = 1.25  # side on which arcs are drawn, in sides of a stamp, for theirs is no hard edge
HELD = 2 / 3  # of half a stamp, for a canvas holds images at 1.8 Einstein radii from the lens then
COLUMNS = {  # unit ("flux" for the exposure's), UCD, meaning
    "id": ("", "meta.id", "Identifier of the galaxy, as in the catalog"),
    "theta_e": ("arcsec", "phys.angSize", "Einstein radius of the arcs; NaN for none"),
    "arc_flux": ("flux", "phot.flux.density", "Flux of all arcs together, before noise; 0 if none"),
    "arc_mag": ("mag", "phot.mag", "AB magnitude of arc_flux; NaN without a zero point"),
    "arc_snr": (
        "",
        "stat.snr",
        "Arcs' S/N over the noise of the sky and, where the gain is known, galaxy",
    ),
    "deflector_flux": ("flux", "phot.flux.density", "flux_auto of the galaxy, without arcs"),
    "deflector_mag": ("mag", "phot.mag", "AB magnitude of deflector_flux"),
    "deflector_snr": ("", "stat.snr", "S/N of deflector_flux"),
    "p_lens": ("", "stat.probability", "Probability of a strong lens"),
    "p_lens_std": ("", "stat.stdev;stat.probability", "Spread of p_lens in the ensemble"),
}

log = logging.getLogger(__name__)


def deflectors(sources, optics, settings):
    """Choose galaxies that could lens: bright, larger than the PSF, whole.

    Where there are more than `settings.galaxies`, some are chosen by a digest of their ids, so
    that a galaxy's fate depends on no other's properties.

    Parameters
    ----------
    sources : Table
        Of `pipeline.detection.detect.detect`, with ``id``.
    optics : Optics
        Without a pixel scale or a PSF there are none, for an Einstein radius has no size then.
    settings : pipeline.config.Inject

    Returns
    -------
    ndarray, int
        Rows of `sources`.
    """
    if not (np.isfinite(optics.pixel_scale) and optics.fwhm > 0):
        return np.zeros(0, int)
    flux, error = _flux(sources)
    is_bright = flux > settings.min_snr * error
    is_large = np.asarray(sources["r50"], "f8") > settings.min_size * optics.fwhm
    fit = (np.asarray(sources["flags"]) & UNFIT) == 0
    rows = np.flatnonzero(is_bright & is_large & fit & np.isfinite(flux))
    lot = np.argsort(lots(np.asarray(sources["id"])[rows]), kind="stable")
    return np.sort(rows[lot[: settings.galaxies]])


def lots(ids):
    """Draw a number between 0 and 1 for each id, always the same; (n,).

    The mixer is SplitMix64's (Steele, Lea & Flood 2014, OOPSLA 453).
    """
    z = np.asarray(ids, "i8").astype("u8") + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) / 2.0**64


def left_out(tables, lenses, settings):
    """Ids of those that are not to count: seen in another tile too, or known for lenses.

    Parameters
    ----------
    tables : sequence of Table
        Chosen sources of each tile.
    lenses : Table
        As of `pipeline.catalogs.known.known_lenses`.
    settings : pipeline.config.Merge

    Returns
    -------
    ndarray, int64
    """
    names = "id", "ra", "dec"
    ids, ra, dec = (np.concatenate([np.asarray(t[name]) for t in tables]) for name in names)
    named = name_known(ra, dec, lenses, settings.known_radius)
    return np.union1d(seen_elsewhere(tables, settings.radius), ids[named != ""])


def inject(sources, read, find, optics, settings):
    """Paint arcs onto galaxies, and see what the lens finder says with and without them.

    Parameters
    ----------
    sources : Table
        The chosen ones.
    read : callable
        Gives the lens finder's `Cutouts` of ids.
    find : callable
        Gives a Table of ``p_lens`` and ``p_lens_std`` for cutouts, and the S/N of their flux.
    optics : Optics
    settings : pipeline.config.Inject

    Returns
    -------
    Table
        `COLUMNS`; for each galaxy a row without arcs and then `settings.per_galaxy` with.
    """
    parts, at_once = [], max(1, AT_ONCE // (1 + settings.per_galaxy))
    for start in range(0, max(len(sources), 1), at_once):
        some = sources[start : start + at_once]
        stamps, truth = paint(read(some["id"]), some, optics, settings)
        said = find(stamps, snr=_painted_snr(truth))
        parts.append(hstack([truth, Table(said)["p_lens", "p_lens_std"]]))
    return described(COLUMNS, vstack(parts, metadata_conflicts="silent"), stamps.unit)


def _painted_snr(truth):
    """S/N of the galaxies' flux with that of their arcs, as noise of the sky has it; (n,)."""
    flux = np.asarray(truth["deflector_flux"])
    return np.asarray(truth["deflector_snr"]) * (1 + np.asarray(truth["arc_flux"]) / flux)


def paint(cutouts, sources, optics, settings):
    """Paint arcs onto stamps.

    Each galaxy's arcs are drawn from the seed and its id.  A gain, where it is known, gives the
    arcs' photons their noise.  Arcs have the same flux in all bands: the spectrum of a galaxy
    that forms stars is flat in frequency.  The PSF is that of the detection band.  Einstein radii
    end where a stamp no longer holds the arcs.

    Parameters
    ----------
    cutouts : Cutouts
        The lens finder's, of the n `sources`, in any order.
    sources : Table
    optics : Optics
    settings : pipeline.config.Inject

    Returns
    -------
    painted : Cutouts
        For each galaxy its stamp as it was, and then those with arcs; ``id`` is the galaxy's.
    truth : Table
        ``id``, ``theta_e`` to ``deflector_snr`` of `COLUMNS`, ``is_lens``.
    """
    sources, copies = _plain(sources), 1 + settings.per_galaxy
    order = {int(i): row for row, i in enumerate(cutouts.id)}
    stamps = cutouts[np.repeat([order[int(i)] for i in sources["id"]], copies).astype(int)]
    flux, rows = stamps.flux.copy(), []
    for row, source in enumerate(sources):
        rng = np.random.default_rng((settings.seed, int(source["id"])))
        first = row * copies
        scene = _scene(stamps, first, source, optics)
        rows.append(scene.row | {"theta_e": np.nan, "arc_flux": 0.0, "arc_snr": 0.0})
        for i in range(first + 1, first + copies):
            light, said = _draw(scene, settings, rng)
            flux[i] += optics.observed(light, stamps.ivar[i], rng)
            rows.append(scene.row | said)
    if rows and scene.held < settings.einstein_radius[1]:
        log.info("Einstein radii end at %.2f arcsec: stamps hold no larger arcs", scene.held)
    return replace(stamps, flux=flux), _truth(rows, stamps.unit)


class _Scene(NamedTuple):
    """A galaxy to paint arcs onto: where, through what, against how much noise."""

    renderer: Renderer
    body: Body
    pixel: float  # arcsec
    weight: np.ndarray  # (y, x), inverse variance of sky and galaxy
    row: dict

    @property
    def held(self):
        """Largest Einstein radius of arcs that the stamp holds [arcsec]."""
        return HELD * len(self.weight) / 2 * self.pixel


def _scene(stamps, i, source, optics):
    """Gather what is the same for all arcs of a galaxy."""
    size, binning, band = stamps.flux.shape[1], int(stamps.binning[i]), stamps.reference
    side = 2 * round(size * CANVAS / 2)
    margin = (side - size) // 2
    place = np.array([source["x"], source["y"]], "f8") - stamps.corner[i]
    x, y = (place + 0.5) / binning - 0.5 + margin
    axis_ratio = float(np.clip(source["b"] / source["a"], 0.3, 1))
    body = Body(source["r50"] / binning, axis_ratio, np.radians(source["theta"]), x, y)
    light, ivar = stamps.flux[i, ..., band], stamps.ivar[i, ..., band]
    gain = optics.gain[band]
    photons = np.clip(light, 0, None) / gain if gain > 0 else 0.0
    flux = float(source["flux"])
    row = {"id": int(source["id"]), "deflector_flux": flux}
    row["deflector_snr"] = flux / float(source["error"])
    renderer = optics.renderer(side, binning)
    weight = ivar / (optics.correlation**2 + ivar * photons)
    return _Scene(renderer, body, optics.pixel_scale * binning, weight, row)


def _draw(scene, settings, rng):
    """Draw noiseless arcs (y, x), in a stamp, and what they are."""
    limits = np.fmin(settings.einstein_radius, scene.held)
    theta_e = float(np.exp(rng.uniform(*np.log(limits))))
    arcs = paint_arcs(scene.renderer, scene.body, theta_e / scene.pixel, 1.0, rng)
    margin = (len(arcs) - len(scene.weight)) // 2
    inside = slice(margin, margin + len(scene.weight))
    arcs = arcs[inside, inside]
    unit_snr = float(np.sqrt((arcs.astype("f8") ** 2 * scene.weight).sum()))
    # None outshines its galaxy, as a lens search would not take it for arcs then.
    most = scene.row["deflector_flux"]
    low, high = (np.fmin(snr / max(unit_snr, 1e-30), most) for snr in settings.arc_snr)
    flux = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    said = {"theta_e": theta_e, "arc_flux": flux, "arc_snr": flux * unit_snr}
    return np.float32(flux) * arcs, said


def _truth(rows, unit):
    """Table of what was painted; magnitudes where the unit has them."""
    names = "id", "theta_e", "arc_flux", "arc_snr", "deflector_flux", "deflector_snr"
    columns = {
        name: np.array([row[name] for row in rows], "i8" if name == "id" else "f8")
        for name in names
    }
    for kind in ("arc", "deflector"):
        columns[f"{kind}_mag"] = magnitude(columns[f"{kind}_flux"], unit)
    return Table(columns | {"is_lens": np.isfinite(columns["theta_e"])})


def _flux(sources):
    """flux_auto and its error in the detection band, each (n,)."""
    names = "flux_auto", "flux_auto_err"
    return tuple(detection_band(sources, name).astype("f8") for name in names)


def _plain(sources):
    """What is needed of the sources, without units: a structured array (n,)."""
    flux, error = _flux(sources)
    names = "x", "y", "a", "b", "theta", "r50"
    columns = {name: np.asarray(sources[name], "f8") for name in names}
    ids = np.asarray(sources["id"], "i8")
    return Table({"id": ids, **columns, "flux": flux, "error": error}).as_array()
