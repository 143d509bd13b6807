"""Training scenes for the lens finder: lenses, and the galaxies that pass for them."""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.simulate import company, impostors
from pipeline.simulate.arcs import Body, paint_arcs
from pipeline.simulate.artefacts import draw_artefact, draw_star
from pipeline.simulate.blends import BAND, effective_pixels
from pipeline.simulate.company import Part
from pipeline.simulate.conditions import Conditions, draw_conditions, observe
from pipeline.simulate.galaxies import STAR, draw_disc, draw_galaxy
from pipeline.simulate.population import draw_deflector
from pipeline.simulate.render import Renderer

# Bare ellipticals, of the lenses' own population, are what a lens is most often told from.
KINDS = {
    "elliptical": 0.26,
    "disc": 0.08,
    "spiral": 0.13,
    "ring": 0.06,
    "shells": 0.04,
    "tail": 0.04,
    "pair": 0.07,
    "tangential": 0.09,
    "lone arc": 0.06,
    "group": 0.03,
    "star": 0.03,
    "ordinary": 0.11,
}
ON_GRID = {
    "spiral": impostors.draw_spiral,
    "ring": impostors.draw_ring,
    "shells": impostors.draw_shells,
    "tail": impostors.draw_tail,
    "lone arc": impostors.draw_lone_arc,
}
SPACE = (0.1, 0.13), (0.1, 0.2)  # ranges of the pixel scale and of the PSF's width [arcsec]
GROUND = (0.15, 0.34), (0.5, 1.1)
PSF_RANGE = 1.2, 5.0  # pixel
MIN_ARC_SNR = 5.0
CONTRASTS = 0.004, 0.6  # the arcs' share of the light
RESOLVED = 0.75  # least Einstein radius, in widths of the PSF
ARTEFACTS = 0.06  # share of stamps with a defect that no mask has caught
FINE = 2.0  # PSF width [pixel] below which a pixel is sampled twice


class Setting(NamedTuple):
    """What a scene has whether or not it is a lens.

    Attributes
    ----------
    conditions : Conditions
    pixel_scale : float
        In arcsec.
    body : Body
        The deflector's, or the impostor's, shape [pixel].
    theta_e : float
        Einstein radius that the body would have [pixel].
    snr, flux : float
        Of everything at the centre; flux in units of the sky's noise in a pixel.
    """

    conditions: Conditions
    pixel_scale: float
    body: Body
    theta_e: float
    snr: float
    flux: float


def draw_lenses(n, size, rng, lens_share=0.5):
    """Draw stamps of lenses and non-lenses of the same brightness and size.

    Parameters
    ----------
    n : int
        Number of stamps.
    size : int
        Side of a stamp [pixel].
    rng : numpy.random.Generator
    lens_share : float
        Share of lenses.

    Returns
    -------
    cutouts : Cutouts
        Observed stamps, in arbitrary units of flux that differ from scene to scene.
    truth : Table
        One row a stamp: ``id``, ``is_lens``, ``kind``, ``theta_e`` [arcsec], ``arc_snr`` (of the
        arcs alone, over the noise of the sky and of the deflector), ``contrast`` (the arcs' share
        of the light), ``snr``, ``re`` and ``fwhm`` [pixel], ``pixel_scale`` [arcsec].
    """
    scenes = [_draw_scene(size, bool(rng.random() < lens_share), rng) for _ in range(n)]
    return gather(scenes, size)


def gather(scenes, size):
    """Make cutouts and a table of scenes, each flux, ivar (size, size) and a row of the truth."""
    flux = np.array([scene[0] for scene in scenes], "f4").reshape(-1, size, size, 1)
    ivar = np.array([scene[1] for scene in scenes], "f4").reshape(-1, size, size, 1)
    ids = np.arange(len(scenes))
    cutouts = Cutouts(flux, ivar, ids, np.zeros((len(ids), 2), int), BAND, "ct")
    truth = Table([scene[2] for scene in scenes])
    truth.add_column(ids, name="id", index=0)
    return cutouts, truth


def _draw_scene(size, is_lens, rng):
    """One stamp: flux, ivar and its row of the truth."""
    side = 2 * (size * 5 // 8)
    setting = _draw_setting(side, rng)
    renderer = Renderer(setting.conditions.psf, side, 2 if setting.conditions.fwhm < FINE else 1)
    row = {"is_lens": is_lens, "kind": "lens", "theta_e": np.nan, "arc_snr": 0.0, "contrast": 0.0}
    if is_lens:
        light, arc_snr, contrast = draw_lens_system(renderer, setting, rng)
        if arc_snr < MIN_ARC_SNR:
            return _draw_scene(size, is_lens, rng)
        theta_e = setting.theta_e * setting.pixel_scale
        row |= {"theta_e": theta_e, "arc_snr": arc_snr, "contrast": contrast}
    else:
        row["kind"] = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        light, setting = _draw_other(row["kind"], renderer, setting, rng)
    if rng.random() < ARTEFACTS:
        light = light + draw_artefact(light.shape, rng)
    seen, ivar = observe(light, setting.conditions, rng)
    margin, unit = (side - size) // 2, 10 ** rng.uniform(-1, 3)
    window = np.s_[margin : margin + size, margin : margin + size]
    row |= {"snr": setting.snr, "re": setting.body.re, "fwhm": setting.conditions.fwhm}
    row["pixel_scale"] = setting.pixel_scale
    return unit * seen[window], ivar[window] / unit**2, row


def _draw_setting(side, rng):
    """Draw a deflector, a telescope that resolves it, and how bright it is."""
    while True:
        deflector = draw_deflector(rng)
        scales, widths = SPACE if rng.random() < 0.4 else GROUND
        scale, seeing = (float(np.exp(rng.uniform(*np.log(r)))) for r in (scales, widths))
        resolved = seeing * RESOLVED < deflector.einstein_radius
        if resolved and PSF_RANGE[0] < seeing / scale < PSF_RANGE[1]:
            break
    conditions = draw_conditions(rng, seeing / scale)
    error = 0.7 if rng.random() < 0.9 else 2.5  # of the detection's position
    x, y = side / 2 + rng.normal(0, error, 2).clip(-4, 4)
    re = float(np.clip(deflector.re / scale, 0.8, 25))
    axis_ratio, angle = float(np.clip(rng.normal(0.78, 0.14), 0.35, 1)), rng.uniform(0, np.pi)
    snr = 10 ** (1.2 + 2.6 * rng.beta(1.3, 1.1))
    flux = snr * np.sqrt(effective_pixels(re, conditions.fwhm))
    body = Body(re, axis_ratio, angle, x, y)
    return Setting(conditions, scale, body, deflector.einstein_radius / scale, snr, flux)


def draw_lens_system(renderer, setting, rng):
    """Draw a deflector, its company and its arcs.

    Parameters
    ----------
    renderer : Renderer
    setting : Setting
    rng : numpy.random.Generator

    Returns
    -------
    light : ndarray, (side, side), float32
    arc_snr : float
        S/N of the arcs over the noise of the sky and of the deflector: the root of the sum of
        their squared pixels over their variances.
    contrast : float
        The arcs' share of the flux of arcs and deflector.
    """
    body, flux = setting.body, setting.flux
    others = renderer.draw(company.join(_company(renderer, setting, rng)), 0, 0)
    deflector = _draw_dust(renderer.draw(company.join(_deflector(body, rng)), 0, 0), body, rng)
    arcs = paint_arcs(renderer, body, setting.theta_e, 1.0, rng)
    noise = 1 + np.clip(flux * deflector + others, 0, None) / setting.conditions.gain
    unit_snr = flux * np.sqrt((arcs**2 / noise).sum())  # of arcs that hold all of the flux
    least = max(MIN_ARC_SNR / unit_snr, CONTRASTS[0])
    if least > CONTRASTS[1]:
        return others, 0.0, 0.0
    contrast = float(np.exp(rng.uniform(*np.log([least, CONTRASTS[1]]))))
    light = others + flux * ((1 - contrast) * deflector + contrast * arcs)
    return light, float(contrast * unit_snr) * (1 + 1e-6), contrast


def _deflector(body, rng):
    """Parts of a deflector of unit flux: an early type, one time in ten a disc with a bulge."""
    if rng.random() < 0.9:
        return company.draw_elliptical(body, 1.0, rng)
    return [Part(draw_galaxy(body.re, rng), 1.0, body.x, body.y)]


def _company(renderer, setting, rng):
    """Satellites and the field: the same about lenses and non-lenses."""
    body, fwhm = setting.body, setting.conditions.fwhm
    field = company.draw_field(renderer.side, body, 1.2 * setting.theta_e, fwhm, rng)
    nothing = Part(STAR, 0.0, body.x, body.y)
    return [nothing, *company.draw_satellites(body, setting.flux, rng, 0.5), *field]


def _draw_dust(light, body, rng, share=0.05):
    """Darken a lane across a galaxy, in a few."""
    if rng.random() > share:
        return light
    row, column = np.mgrid[: light.shape[0], : light.shape[1]]
    angle = body.angle + rng.normal(0, 0.3)
    across = (row - body.y) * np.cos(angle) - (column - body.x) * np.sin(angle)
    along = (column - body.x) * np.cos(angle) + (row - body.y) * np.sin(angle)
    across = (across - rng.normal(0, 0.15) * body.re) / (body.re * rng.uniform(0.1, 0.3) + 0.5)
    lane = np.exp(-0.5 * across**2 - 0.5 * (along / (1.5 * body.re)) ** 2)
    return (light * (1 - rng.uniform(0.1, 0.6) * lane)).astype("f4")


def _draw_other(kind, renderer, setting, rng):
    """Light of a non-lens and its company, and the setting it ended in."""
    if kind in ("ordinary", "star"):
        setting = _ordinary(setting, kind == "star", rng)
    body, flux = setting.body, setting.flux
    around = _company(renderer, setting, rng)
    if kind == "star":
        star = draw_star(renderer, body.x, body.y, flux, rng)
        return renderer.draw(company.join(around), 0, 0) + star, setting
    share = np.exp(rng.uniform(*np.log([0.01, 0.5])))
    parts = _parts(kind, body, share, rng)
    own = [part._replace(flux=part.flux * flux) for part in parts]
    if kind == "elliptical":
        light = flux * _draw_dust(renderer.draw(company.join(parts), 0, 0), body, rng)
        return light + renderer.draw(company.join(around), 0, 0), setting
    light = renderer.draw(company.join(own + around), 0, 0)
    if kind in ON_GRID:
        x, y = renderer.grid()
        shape = ON_GRID[kind](
            (1.2 if kind == "spiral" else 1) * body.re, x - body.x, y - body.y, rng
        )
        light = light + flux * (share if own else 1) * renderer.convolve(shape)
    return light, setting


def _ordinary(setting, star, rng):
    """Make of the setting that of a small source, mostly faint, or of a star, often bright."""
    fwhm, body = setting.conditions.fwhm, setting.body
    snr = 10 ** (rng.uniform(1, 3.5) if star else 0.7 + 2.6 * rng.beta(1, 1.3))
    re = (
        0.0
        if star
        else float(np.clip(fwhm * 0.4 * (snr / 10) ** 0.2 * 10 ** rng.normal(0, 0.3), 0.2, 12))
    )
    flux = snr * np.sqrt(effective_pixels(re, fwhm))
    return setting._replace(snr=snr, flux=flux, body=body._replace(re=re))


def _parts(kind, body, share, rng):
    """Parts of a non-lens of unit flux; what is drawn on the grid holds `share` of it."""
    if kind in ("spiral", "ring"):
        return []
    if kind == "ordinary":
        return [Part(draw_galaxy(body.re, rng), 1.0, body.x, body.y)]
    if kind == "disc":
        flat = rng.uniform(0.15, 0.4) if rng.random() < 0.5 else rng.uniform(0.6, 1)
        disc = draw_disc(body.re, flat, body.angle, rng)
        bulge = company.draw_elliptical(body._replace(re=0.3 * body.re), share, rng)
        return [Part(disc, 1 - share, body.x, body.y), *bulge]
    if kind in ("group", "elliptical"):
        return company.draw_group(body, 1.0, rng) if kind == "group" else _deflector(body, rng)
    parts = company.draw_elliptical(body, 1 - share, rng)
    if kind == "tangential":
        parts += company.draw_tangential(body, share, rng)
    elif kind == "pair":
        parts.append(_neighbour(body, share, rng))
    return parts


def _neighbour(body, share, rng):
    """Draw a galaxy that overlaps another."""
    apart, around = body.re * rng.uniform(0.6, 2.5), rng.uniform(0, 2 * np.pi)
    at = body.x + apart * np.cos(around), body.y + apart * np.sin(around)
    return Part(draw_galaxy(body.re * rng.uniform(0.4, 1.2), rng), share, *at)
