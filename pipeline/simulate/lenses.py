"""Training scenes for the lens finder: lenses, and the galaxies that pass for them."""

import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.simulate.arcs import draw_arcs, draw_lens, draw_source
from pipeline.simulate.blends import BAND, effective_pixels
from pipeline.simulate.conditions import draw_conditions, observe
from pipeline.simulate.galaxies import STAR, draw_early_type, draw_galaxy
from pipeline.simulate.impostors import draw_ring, draw_spiral
from pipeline.simulate.render import Renderer

KINDS = "elliptical", "tangential", "spiral", "ring", "pair", "galaxy", "star"
KIND_SHARES = 0.27, 0.18, 0.22, 0.06, 0.12, 0.12, 0.03
EINSTEIN_RANGE = 0.3, 3.0
PIXEL_SCALES = 0.1, 0.32
PSF_RANGE = 1.2, 5.0
SEEING = 0.1, 1.3
MIN_ARC_SNR = 10.0
MAX_ARC_SHARE = 0.6  # of the light
RESOLVED = 0.75  # least Einstein radius, in widths of the PSF


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
        arcs alone, over the sky's noise), ``snr``, ``re`` and ``fwhm`` [pixel], ``pixel_scale``.
    """
    scenes = [_draw_scene(size, bool(rng.random() < lens_share), rng) for _ in range(n)]
    flux, ivar, rows = zip(*scenes, strict=True)
    ids = np.arange(n)
    cutouts = Cutouts(
        np.stack(flux)[..., None], np.stack(ivar)[..., None], ids, np.zeros((n, 2), int), BAND, "ct"
    )
    truth = Table(list(rows))
    truth.add_column(ids, name="id", index=0)
    return cutouts, truth


def _draw_scene(size, is_lens, rng):
    """One stamp: flux, ivar and its row of the truth."""
    theta_e = float(np.clip(10 ** rng.normal(0, 0.22), *EINSTEIN_RANGE))
    conditions, scale = _draw_seeing(theta_e, rng)
    renderer = Renderer(conditions.psf, size * 3 // 2)
    # Deflectors are about as large as their Einstein radius: Bolton et al. (2008), table 4.
    re = float(np.clip(theta_e * 10 ** rng.normal(0.05, 0.2), 0.15, 5) / scale)
    snr = 10 ** rng.uniform(1.4, 3.2)
    flux = snr * np.sqrt(effective_pixels(re, conditions.fwhm))
    row = {"is_lens": is_lens, "theta_e": np.nan, "arc_snr": 0.0, "snr": snr, "re": re}
    if is_lens:
        light, arc_snr = draw_lens_system(renderer, theta_e / scale, re, flux, rng)
        row |= {"kind": "lens", "theta_e": theta_e, "arc_snr": arc_snr}
    else:
        row["kind"] = str(rng.choice(KINDS, p=KIND_SHARES))
        light = flux * _draw_impostor(row["kind"], renderer, theta_e / scale, re, rng)
    light = light + _draw_field(renderer, flux, theta_e / scale, conditions, rng)
    seen, ivar = observe(light, conditions, rng)
    margin = size // 4
    window = np.s_[margin : margin + size, margin : margin + size]
    unit = 10 ** rng.uniform(-1, 3)
    row |= {"fwhm": conditions.fwhm, "pixel_scale": scale}
    return unit * seen[window], ivar[window] / unit**2, row


def draw_lens_system(renderer, theta_e, re, flux, rng):
    """Draw a deflector and its arcs at the middle of the canvas.

    Parameters
    ----------
    renderer : Renderer
    theta_e, re : float
        Einstein radius and the deflector's half-light radius [pixel].
    flux : float
        Of the deflector and the arcs together, in units of the sky's noise in a pixel.
    rng : numpy.random.Generator

    Returns
    -------
    light : ndarray, (side, side), float32
    arc_snr : float
        S/N of the arcs over the sky: the root of the sum of their squared pixels.
    """
    axis_ratio, angle = float(np.clip(rng.normal(0.78, 0.13), 0.4, 1)), rng.uniform(0, np.pi)
    centre = _middle(renderer, rng)
    deflector = renderer.draw(draw_early_type(re, axis_ratio, angle, rng), *centre)
    lens = draw_lens(theta_e, axis_ratio, angle, rng)
    source = draw_source(lens, theta_e * rng.uniform(0.08, 0.4), rng)
    x, y = renderer.grid()
    arcs = renderer.convolve(draw_arcs(lens, source, x - centre[0], y - centre[1]))
    arcs = arcs / arcs.sum()
    unit_snr = np.sqrt((arcs**2).sum())  # of arcs whose flux is 1
    faintest = min(MIN_ARC_SNR / unit_snr / flux, MAX_ARC_SHARE)
    share = np.exp(rng.uniform(np.log(faintest), np.log(MAX_ARC_SHARE)))
    return flux * ((1 - share) * deflector + share * arcs), float(share * flux * unit_snr)


def _draw_seeing(theta_e, rng):
    """Conditions and a pixel scale [arcsec] that a telescope could have, and that resolve arcs."""
    while True:
        scale = np.exp(rng.uniform(*np.log(PIXEL_SCALES)))
        fwhm = np.exp(rng.uniform(*np.log(PSF_RANGE)))
        if SEEING[0] < scale * fwhm < min(SEEING[1], theta_e / RESOLVED):
            return draw_conditions(rng, fwhm), float(scale)


def _draw_impostor(kind, renderer, theta_e, re, rng):
    """Light of a non-lens of unit flux at the middle of the canvas."""
    centre = _middle(renderer, rng)
    x, y = renderer.grid()
    if kind in ("spiral", "ring"):
        draw = draw_spiral if kind == "spiral" else draw_ring
        return renderer.convolve(draw(1.2 * re, x - centre[0], y - centre[1], rng))
    if kind == "star":
        return renderer.draw(STAR, *centre)
    if kind == "galaxy":
        return renderer.draw(draw_galaxy(re, rng), *centre)
    early = draw_early_type(re, np.clip(rng.normal(0.78, 0.13), 0.4, 1), rng.uniform(0, np.pi), rng)
    light = renderer.draw(early, *centre)
    if kind == "tangential":
        share = np.exp(rng.uniform(np.log(0.01), np.log(0.4)))
        return (1 - share) * light + share * _tangential(renderer, centre, theta_e, rng)
    if kind == "pair":
        share, apart = rng.uniform(0.1, 0.5), re * rng.uniform(0.7, 3)
        around = rng.uniform(0, 2 * np.pi)
        at = centre[0] + apart * np.cos(around), centre[1] + apart * np.sin(around)
        other = renderer.draw(draw_galaxy(re * rng.uniform(0.4, 1.2), rng), *at)
        return (1 - share) * light + share * other
    return light


def _tangential(renderer, centre, theta_e, rng):
    """One to three small galaxies about the centre, the first stretched along the circle."""
    n = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    light = np.zeros((renderer.side, renderer.side), "f4")
    for i, share in enumerate(rng.dirichlet(np.ones(n))):
        around, apart = rng.uniform(0, 2 * np.pi), theta_e * rng.uniform(0.7, 2)
        along = around + np.pi / 2 + rng.normal(0, 0.2 if i == 0 else 2)
        companion = draw_early_type(
            theta_e * rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.7), along, rng
        )
        at = centre[0] + apart * np.cos(around), centre[1] + apart * np.sin(around)
        light += np.float32(share) * renderer.draw(companion, *at)
    return light


def _draw_field(renderer, flux, theta_e, conditions, rng):
    """Light of the other galaxies and stars of the field, the same about lenses and non-lenses."""
    light = np.zeros((renderer.side, renderer.side), "f4")
    for _ in range(rng.poisson(2.5)):
        at = rng.uniform(0, renderer.side, 2)
        if np.hypot(*(at - renderer.side / 2)) < 1.2 * theta_e:
            continue
        re = float(np.clip(theta_e * 10 ** rng.normal(-0.3, 0.3), 0.3, 12))
        other = STAR if rng.random() < 0.2 else draw_galaxy(re, rng)
        noise = np.sqrt(effective_pixels(0 if other is STAR else re, conditions.fwhm))
        light += np.float32(noise * 10 ** rng.uniform(0.5, 2.2)) * renderer.draw(other, *at)
    return light


def _middle(renderer, rng):
    return renderer.side / 2 + rng.uniform(-0.8, 0.8, 2)
