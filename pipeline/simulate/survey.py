"""Observe a simulated sky in overlapping tiles, and tell the truth about it."""

from typing import NamedTuple

import galsim
import numpy as np
from astropy.table import Column, Table
from astropy.wcs import WCS
from scipy.ndimage import minimum_filter

from pipeline.simulate import camera
from pipeline.simulate.arcs import draw_arcs, draw_lens, draw_source
from pipeline.simulate.galaxies import (
    LOOSE,
    STAR,
    Galaxy,
    centred,
    draw_early_type,
    draw_galaxy,
)
from pipeline.simulate.pointing import tile_wcs, turn_of
from pipeline.simulate.render import Renderer

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
        ``row`` of the truth, ``snr`` and ``snr_auto`` of every object whose light reaches the
        tile, and whether the pixels about its centre are ``good``.
    """

    name: str
    image: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    wcs: WCS
    keywords: dict
    seen: Table


def draw_tiles(settings, sky):
    """Observe the sky, tile after tile: the same objects, with different noise, in the overlaps.

    Parameters
    ----------
    settings : config.Survey
    sky : Table
        As `pipeline.simulate.sky.draw_sky` gives it.

    Yields
    ------
    SurveyTile
        The second one has distorted coordinates (SIP) and is turned by half a degree.
    """
    fwhm = settings.psf_fwhm / settings.pixel_scale
    psf = galsim.Moffat(beta=3.0, fwhm=fwhm, gsparams=LOOSE)
    renderers = {side: Renderer(psf, side) for side in SIDES}
    for i in range(settings.tiles):
        wcs = tile_wcs(settings, i)
        rng = np.random.default_rng((settings.seed, 1, i))
        rms = camera.noise(settings, rng)
        clean, found = _paint(settings, sky, wcs, rms, renderers)
        image, weight, mask, keywords = camera.observe(settings, clean, rms, i, rng)
        good = minimum_filter((mask == 0) & (weight > 0), 5, mode="constant", cval=False)
        column, row = np.rint(found["x"]).astype(int), np.rint(found["y"]).astype(int)
        inside = (column >= 0) & (row >= 0) & (column < settings.side) & (row < settings.side)
        inside[inside] = good[row[inside], column[inside]]
        found["good"] = inside
        seen = found["row", "snr", "snr_auto", "good"]
        yield SurveyTile(f"t{i + 1}", image, weight, mask, wcs, keywords, seen)


def truth(sky, seen):
    """Say of every object how well it is seen, and in which tiles.

    Parameters
    ----------
    sky : Table
        As `pipeline.simulate.sky.draw_sky` gives it.
    seen : dict of Table
        `SurveyTile.seen` of each tile, by its name.

    Returns
    -------
    Table
        `sky` with ``snr`` (the most that a matched filter can reach in the best tile, over the
        sky's noise; 0 for an object on no tile), ``snr_auto`` (of the flux in a Kron aperture) and
        ``tiles`` (names of the tiles with good pixels about its centre, with a space between).
    """
    snr, snr_auto = np.zeros((2, len(sky)))
    tiles = [[] for _ in range(len(sky))]
    for name, found in seen.items():
        np.maximum.at(snr, found["row"], found["snr"])
        np.maximum.at(snr_auto, found["row"], found["snr_auto"])
        for row in found["row"][found["good"]]:
            tiles[row].append(name)
    told = sky.copy()
    told["snr"] = Column(snr, description="Greatest S/N of a matched filter, over the sky's noise")
    told["snr_auto"] = Column(snr_auto, description="S/N of a Kron aperture, over the sky's noise")
    names = np.array([" ".join(names) for names in tiles], dtype="U")
    told["tiles"] = Column(names, description="Tiles with good pixels about its centre")
    return told


def _paint(settings, sky, wcs, rms, renderers):
    """Noiseless light on a tile [count], and the objects on it with ``x``, ``y`` and S/N."""
    turn, clean, found = turn_of(settings, wcs), np.zeros_like(rms), []
    for thing in _on_tile(settings, sky, wcs):
        side = next((s for s in SIDES if s >= 2 * thing["reach"]), SIDES[-1])
        x, y = (int(np.rint(thing[k])) - side // 2 for k in "xy")
        centre = thing["x"] - x, thing["y"] - y
        rng = np.random.default_rng((settings.seed, 2, int(thing["row"])))
        onto, own = _shared(x, y, side, settings.side)
        light = thing["counts"] * _light(thing, renderers[side], centre, turn, rng)[own]
        clean[onto] += light
        found.append((thing["row"], thing["x"], thing["y"], *_snr(light, rms[onto])))
    names, kinds = ("row", "x", "y", "snr", "snr_auto"), ("i8", "f8", "f8", "f8", "f8")
    return clean, Table(rows=found or None, names=names, dtype=kinds)


def _snr(light, rms):
    """S/N of a matched filter, and of a circular aperture of 2.5 first-moment radii (Kron 1980)."""
    total = light.sum()
    if total <= 0:
        return 0.0, 0.0
    y, x = np.indices(light.shape)
    radius = np.hypot(x - (x * light).sum() / total, y - (y * light).sum() / total)
    aperture = radius < 2.5 * (radius * light).sum() / total
    noise = np.sqrt((rms[aperture] ** 2).sum())
    return np.sqrt(((light / rms) ** 2).sum()), light[aperture].sum() / noise


def _on_tile(settings, sky, wcs):
    """Objects whose light reaches a tile, with positions and sizes in its pixels."""
    x, y = wcs.all_world2pix(sky["ra"], sky["dec"], 0, quiet=True)
    things = Table({"row": np.arange(len(sky)), "kind": sky["kind"], "x": x, "y": y})
    things["counts"] = 10 ** (-0.4 * (np.asarray(sky["mag"]) - settings.zero_point))
    for name in ("re", "theta_e"):
        things[name] = np.nan_to_num(np.asarray(sky[name]), nan=0.0) / settings.pixel_scale
    things["reach"] = _reach(settings, things)
    middle = settings.side / 2
    away = np.maximum(np.abs(x - middle), np.abs(y - middle))
    return things[away < middle + things["reach"]]


def _light(thing, renderer, centre, turn, rng):
    """Image of one object of unit flux, turned as the tile is; (side, side)."""
    if thing["kind"] == "star":
        return renderer.draw(STAR, *centre)
    if thing["kind"] == "galaxy":
        galaxy = centred(draw_galaxy(thing["re"], rng), thing["re"])
        return renderer.draw(_turned(galaxy, turn), *centre)
    theta_e, angle = thing["theta_e"], rng.uniform(0, np.pi)
    axis_ratio = float(np.clip(rng.normal(0.78, 0.13), 0.4, 1))
    early = _turned(draw_early_type(thing["re"], axis_ratio, angle, rng), turn)
    lens = draw_lens(theta_e, axis_ratio, angle, rng)
    source = draw_source(lens, theta_e * rng.uniform(0.1, 0.35), rng)
    grid = np.stack([g - c for g, c in zip(renderer.grid(), centre, strict=True)], axis=-1)
    x, y = np.moveaxis(grid @ np.linalg.inv(turn).T, -1, 0)
    arcs = renderer.convolve(draw_arcs(lens, source, x, y))
    share = rng.uniform(0.12, 0.45)
    return (1 - share) * renderer.draw(early, *centre) + share * arcs / arcs.sum()


def _turned(galaxy, turn):
    """Galaxy in a tile whose pixels are `turn` (2, 2) times those of the survey."""
    if np.allclose(turn, np.eye(2)):
        return galaxy
    smooth = galaxy.smooth.transform(*turn.ravel()) / np.linalg.det(turn)
    return Galaxy(smooth, np.column_stack([galaxy.knots[:, :2] @ turn.T, galaxy.knots[:, 2]]))


def _reach(settings, things):
    """Distance [pixel] at which the light of a thing falls below a tenth of the sky's noise."""
    fwhm, re = settings.psf_fwhm / settings.pixel_scale, np.asarray(things["re"])
    wide = np.hypot(re, fwhm / 2)
    level = np.asarray(things["counts"]) / (22.7 * wide**2) / (0.1 * settings.sky_rms)
    level = np.maximum(level, 1)
    law = wide * (1 + np.log(level) / 7.67) ** 4  # de Vaucouleurs (1948)
    star = 1.5 * fwhm * level ** (1 / 6)  # the wings of a Moffat law of beta 3
    extended = np.maximum(law, 3.5 * np.asarray(things["theta_e"]))
    return 2.5 * fwhm + np.where(re > 0, extended, star)


def _shared(x, y, side, tile):
    """Slices of the tile and of the stamp whose first pixel is ``(x, y)``, where they meet."""
    onto = tuple(slice(max(v, 0), max(min(v + side, tile), 0)) for v in (y, x))
    own = tuple(slice(s.start - v, s.stop - v) for s, v in zip(onto, (y, x), strict=True))
    return onto, own
