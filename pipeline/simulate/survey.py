"""A small survey of known truth: overlapping tiles of one sky of galaxies, stars and lenses."""

from typing import NamedTuple

import galsim
import numpy as np
from astropy.table import Column, Table
from astropy.wcs import WCS, Sip
from scipy.ndimage import minimum_filter

from pipeline.simulate import camera
from pipeline.simulate.arcs import draw_arcs, draw_lens, draw_source
from pipeline.simulate.blends import effective_pixels
from pipeline.simulate.galaxies import LOOSE, STAR, Galaxy, draw_early_type, draw_galaxy
from pipeline.simulate.render import Renderer

CENTRE = 150.1, 2.2  # ra, dec [deg]
BRIGHTEST, BEYOND_LIMIT, SLOPE = 17.0, 1.5, 0.3  # of the galaxies' counts [mag, mag, dex / mag]
STAR_MAGS = 15.0, 25.0
BLEEDING_STAR = 12.5  # the one bright star near the middle of the first tile [mag]
CLOSE_SHARE, CLOSE_RANGE = 0.12, (0.8, 2.5)  # galaxies put beside another one, so far away [arcsec]
SIDES = 32, 48, 64, 96, 128, 192, 256, 384, 512


class SurveyTile(NamedTuple):
    """One tile as an observatory delivers it, and what it shows.

    Attributes
    ----------
    name : str
    image : ndarray, (y, x), float32
        Counts, with the sky.
    weight : ndarray, (y, x), float32
        Inverse variance of the sky's noise [count**-2]; 0 on the dead border.
    mask : ndarray, (y, x), int16
        Bits of `camera.Bit`.
    wcs : WCS
    keywords : dict
        What the header says beside the WCS.
    seen : Table
        ``row`` of the truth, and ``snr``, of every object on good pixels of this tile.
    """

    name: str
    image: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    wcs: WCS
    keywords: dict
    seen: Table


def draw_sky(settings):
    """Draw what there is: the truth, before anyone looks.

    Galaxies follow N(<m) ~ 10**(0.3 m), `settings.galaxies_per_arcmin2` of them with an S/N
    above 10, and on to 1.5 mag fainter; one in eight lies close to another.  Their sizes shrink
    with magnitude as those of the Hubble deep fields' do, with a scatter of 0.2 dex.

    Parameters
    ----------
    settings : config.Survey

    Returns
    -------
    Table
        One row an object: ``ra``, ``dec`` [deg], ``kind`` ("galaxy", "star" or "lens"), ``mag``
        (AB), ``flux`` [nJy], ``re`` (half-light radius) and ``theta_e`` (Einstein radius), both
        [arcsec] and NaN where there is none.  A lens's arcs count as part of it.
    """
    rng = np.random.default_rng((settings.seed, 0))
    width, height = _extent(settings)
    area = width * height * (settings.pixel_scale / 60) ** 2
    mag, re = _draw_galaxies(settings, area, rng)
    n_stars, n_lenses = rng.poisson(settings.stars_per_arcmin2 * area), settings.lenses_per_tile
    n_lenses *= settings.tiles
    low, high = STAR_MAGS
    star_mag = np.append(low + (high - low) * np.sqrt(rng.random(n_stars)), BLEEDING_STAR)
    lens_mag, theta_e = rng.uniform(18.5, 21, n_lenses), rng.uniform(0.7, 2.0, n_lenses)
    lens_re = theta_e * 10 ** rng.normal(0.05, 0.15, n_lenses)  # Bolton et al. (2008), table 4
    kind = np.repeat(["galaxy", "star", "lens"], [len(mag), n_stars + 1, n_lenses])
    x, y = rng.random((2, len(kind))) * [[width], [height]]
    _bring_close(x, y, np.flatnonzero(kind == "galaxy"), settings.pixel_scale, rng)
    x[len(mag) + n_stars], y[len(mag) + n_stars] = 0.55 * settings.side, 0.4 * settings.side
    ra, dec = _sky_wcs(settings).all_pix2world(x, y, 0)
    mag = np.concatenate([mag, star_mag, lens_mag])
    nothing = np.full(n_stars + 1, np.nan)
    columns = {
        "ra": (ra, "deg", "Right ascension"),
        "dec": (dec, "deg", "Declination"),
        "kind": (kind, None, "galaxy, star or lens"),
        "mag": (mag, "mag", "AB magnitude, with the arcs of a lens"),
        "flux": (10 ** (0.4 * (31.4 - mag)), "nJy", "Total flux"),
        "re": (np.concatenate([re, nothing, lens_re]), "arcsec", "Half-light radius"),
        "theta_e": (_pad(theta_e, len(kind)), "arcsec", "Einstein radius"),
    }
    return Table([Column(v, n, unit=u, description=d) for n, (v, u, d) in columns.items()])


def draw_tiles(settings, sky):
    """Observe the sky, tile after tile: the same objects, with different noise, in the overlaps.

    Parameters
    ----------
    settings : config.Survey
    sky : Table
        As `draw_sky` gives it.

    Yields
    ------
    SurveyTile
        The second one has distorted coordinates (SIP) and is turned by half a degree.
    """
    psf_fwhm = settings.psf_fwhm / settings.pixel_scale
    psf = galsim.Moffat(beta=3.0, fwhm=psf_fwhm, gsparams=LOOSE)
    oversampling = 1 if psf_fwhm > 2.5 else 2
    renderers = {side: Renderer(psf, side, oversampling) for side in SIDES}
    for i in range(settings.tiles):
        wcs = _tile_wcs(settings, i)
        rng = np.random.default_rng((settings.seed, 1, i))
        rms = camera.noise(settings, rng)
        clean, found = _paint(settings, sky, wcs, rms, renderers)
        image, weight, mask, keywords = camera.observe(settings, clean, rms, i, rng)
        good = minimum_filter((mask == 0) & (weight > 0), 5, mode="constant", cval=False)
        column, row = np.rint(found["x"]).astype(int), np.rint(found["y"]).astype(int)
        inside = (column >= 0) & (row >= 0) & (column < settings.side) & (row < settings.side)
        inside[inside] = good[row[inside], column[inside]]
        seen = found["row", "snr"][inside]
        yield SurveyTile(f"t{i + 1}", image, weight, mask, wcs, keywords, seen)


def truth(sky, seen):
    """Say of every object how well it is seen, and in which tiles.

    Parameters
    ----------
    sky : Table
        As `draw_sky` gives it.
    seen : dict of Table
        `SurveyTile.seen` of each tile, by its name.

    Returns
    -------
    Table
        `sky` with ``snr`` (the most that a matched filter can reach in the best tile, over the
        sky's noise; 0 for an object on no good pixels) and ``tiles`` (names of the tiles with
        good pixels about its centre, with a space between).
    """
    snr, tiles = np.zeros(len(sky)), [[] for _ in range(len(sky))]
    for name, found in seen.items():
        np.maximum.at(snr, found["row"], found["snr"])
        for row in found["row"]:
            tiles[row].append(name)
    told = sky.copy()
    told["snr"] = Column(snr, description="Greatest S/N of a matched filter, over the sky's noise")
    names = np.array([" ".join(names) for names in tiles], dtype="U")
    told["tiles"] = Column(names, description="Tiles with good pixels about its centre")
    return told


def _draw_galaxies(settings, area, rng):
    """Magnitudes, and half-light radii [arcsec], of the galaxies of `area` [arcmin2]."""
    limit = 24.0
    for _ in range(5):  # the magnitude at which a typical galaxy has an S/N of 10
        size = _typical_re(limit) / settings.pixel_scale
        pixels = effective_pixels(size, settings.psf_fwhm / settings.pixel_scale)
        limit = settings.zero_point - 2.5 * np.log10(10 * settings.sky_rms * np.sqrt(pixels))
    density = settings.galaxies_per_arcmin2 * 10 ** (SLOPE * BEYOND_LIMIT)
    n = rng.poisson(density * area)
    low, high = 10 ** (SLOPE * BRIGHTEST), 10 ** (SLOPE * (limit + BEYOND_LIMIT))
    mag = np.log10(low + rng.random(n) * (high - low)) / SLOPE
    return mag, np.clip(_typical_re(mag) * 10 ** rng.normal(0, 0.2, n), 0.08, 4.0)


def _typical_re(mag):
    return 0.35 * 10 ** (-0.12 * (mag - 23))


def _bring_close(x, y, galaxies, pixel_scale, rng):
    """Move some of the galaxies beside another one, in place."""
    moved = galaxies[rng.random(len(galaxies)) < CLOSE_SHARE]
    beside = rng.choice(galaxies, len(moved)) if len(moved) else moved
    apart = rng.uniform(*CLOSE_RANGE, len(moved)) / pixel_scale
    around = rng.uniform(0, 2 * np.pi, len(moved))
    x[moved], y[moved] = x[beside] + apart * np.cos(around), y[beside] + apart * np.sin(around)


def _paint(settings, sky, wcs, rms, renderers):
    """Noiseless light on a tile [count], and the objects on it: ``row``, ``x``, ``y``, ``snr``."""
    turn = _turn(settings, wcs)
    clean, found = np.zeros((settings.side, settings.side), "f4"), []
    px, py = wcs.all_world2pix(sky["ra"], sky["dec"], 0, quiet=True)
    counts = 10 ** (-0.4 * (np.asarray(sky["mag"]) - settings.zero_point))
    size = np.nan_to_num(np.asarray(sky["re"]), nan=0.0) / settings.pixel_scale
    reach = _reach(settings, counts, size, np.asarray(sky["theta_e"]) / settings.pixel_scale)
    near = (np.abs(px - settings.side / 2) < settings.side / 2 + reach) & (
        np.abs(py - settings.side / 2) < settings.side / 2 + reach
    )
    for row in np.flatnonzero(near):
        side = next((s for s in SIDES if s >= 2 * reach[row]), SIDES[-1])
        x, y = (int(np.rint(p[row])) - side // 2 for p in (px, py))
        centre = px[row] - x, py[row] - y
        rng = np.random.default_rng((settings.seed, 2, int(row)))
        light = _light(sky[row], size[row], renderers[side], centre, turn, rng, settings)
        onto, own = _shared(x, y, side, settings.side)
        light = counts[row] * light[own]
        clean[onto] += light
        found.append((row, px[row], py[row], np.sqrt(((light / rms[onto]) ** 2).sum())))
    names, kinds = ("row", "x", "y", "snr"), ("i8", "f8", "f8", "f8")
    return clean, Table(rows=found or None, names=names, dtype=kinds)


def _light(thing, re, renderer, centre, turn, rng, settings):
    """Image of one object of unit flux, turned as the tile is; (side, side)."""
    if thing["kind"] == "star":
        return renderer.draw(STAR, *centre)
    if thing["kind"] == "galaxy":
        return renderer.draw(_turned(draw_galaxy(re, rng), turn), *centre)
    theta_e = float(thing["theta_e"]) / settings.pixel_scale
    axis_ratio, angle = float(np.clip(rng.normal(0.78, 0.13), 0.4, 1)), rng.uniform(0, np.pi)
    early = _turned(draw_early_type(re, axis_ratio, angle, rng), turn)
    lens = draw_lens(theta_e, axis_ratio, angle, rng)
    source = draw_source(lens, theta_e * rng.uniform(0.1, 0.35), rng)
    grid = np.stack([g - c for g, c in zip(renderer.grid(), centre, strict=True)], axis=-1)
    x, y = np.moveaxis(grid @ np.linalg.inv(turn).T, -1, 0)
    arcs = renderer.convolve(draw_arcs(lens, source, x, y))
    share = rng.uniform(0.12, 0.45)
    return (1 - share) * renderer.draw(early, *centre) + share * arcs / arcs.sum()


def _turned(galaxy, turn):
    """Galaxy in a tile whose pixels are `turn` (2, 2) times those of the survey."""
    smooth = galaxy.smooth.transform(*turn.ravel()) / np.linalg.det(turn)
    return Galaxy(smooth, np.column_stack([galaxy.knots[:, :2] @ turn.T, galaxy.knots[:, 2]]))


def _reach(settings, counts, re, theta_e):
    """Distance [pixel] at which a de Vaucouleurs law falls below a tenth of the sky's noise."""
    fwhm = settings.psf_fwhm / settings.pixel_scale
    wide = np.hypot(re, fwhm / 2)
    level = np.maximum(counts / (22.7 * wide**2) / (0.1 * settings.sky_rms), 1)
    law = wide * (1 + np.log(level) / 7.67) ** 4
    star = fwhm * np.maximum(level, 1) ** (1 / 6) * 1.5  # the wings of a Moffat law of beta 3
    arcs = np.nan_to_num(3.5 * theta_e, nan=0.0)
    return np.maximum(2.5 * fwhm + np.where(re > 0, law, star), arcs)


def _shared(x, y, side, tile):
    """Slices of the tile and of the stamp whose first pixel is ``(x, y)``, where they meet."""
    onto = tuple(slice(max(v, 0), max(min(v + side, tile), 0)) for v in (y, x))
    own = tuple(slice(s.start - v, s.stop - v) for s, v in zip(onto, (y, x), strict=True))
    return onto, own


def _extent(settings):
    """Width and height of the survey [pixel]."""
    columns = int(np.ceil(np.sqrt(settings.tiles)))
    rows = -(-settings.tiles // columns)
    step = settings.side - settings.overlap
    return columns * step + settings.overlap, rows * step + settings.overlap


def _sky_wcs(settings):
    """Coordinates of the survey's own pixels."""
    width, height = _extent(settings)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], CENTRE
    wcs.wcs.crpix = [(width + 1) / 2, (height + 1) / 2]
    wcs.wcs.cd = np.diag([-1, 1]) * settings.pixel_scale / 3600
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def _tile_wcs(settings, i):
    """Coordinates of a tile: a part of the survey's grid, but for the second tile."""
    columns = int(np.ceil(np.sqrt(settings.tiles)))
    step = settings.side - settings.overlap
    corner = np.array([i % columns, i // columns]) * step
    wcs = _sky_wcs(settings)
    if i != 1:
        wcs.wcs.crpix -= corner
        return wcs
    middle = (settings.side - 1) / 2
    wcs.wcs.crval = wcs.all_pix2world([corner + middle], 0)[0]
    wcs.wcs.crpix = [middle + 1, middle + 1]
    c, s = np.cos(np.radians(0.5)), np.sin(np.radians(0.5))
    wcs.wcs.cd = wcs.wcs.cd @ [[c, -s], [s, c]]
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b = np.zeros((2, 4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = 1.0 / middle**3  # a pixel at the edge's middle
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def _turn(settings, wcs):
    """Matrix (2, 2) that brings the survey's pixels to those of a tile, at the tile's middle."""
    middle = np.full(2, (settings.side - 1) / 2)
    sky = _sky_wcs(settings)
    start = sky.all_world2pix(wcs.all_pix2world([middle], 0), 0)
    there = wcs.all_world2pix(sky.all_pix2world(start + np.eye(2), 0), 0)
    return (there - middle).T


def _pad(values, n):
    """`values` at the end of `n` rows, NaN before."""
    return np.concatenate([np.full(n - len(values), np.nan), values])
