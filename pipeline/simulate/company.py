"""The galaxies and stars about a galaxy, gathered so that all are drawn in one transform."""

from typing import NamedTuple

import galsim
import numpy as np

from pipeline.detection.psf import effective_pixels
from pipeline.simulate.galaxies import NO_KNOTS, STAR, Galaxy, draw_early_type, draw_galaxy


class Part(NamedTuple):
    """One galaxy of a scene: its light of unit flux, its flux and its centre [pixel]."""

    galaxy: Galaxy
    flux: float
    x: float
    y: float


def join(parts):
    """Make one Galaxy, about the corner of the canvas, of many parts."""
    smooth = galsim.Add([part.galaxy.smooth.shift(part.x, part.y) * part.flux for part in parts])
    knots = [
        part.galaxy.knots * [1, 1, part.flux] + [part.x, part.y, 0]
        for part in parts
        if len(part.galaxy.knots)
    ]
    return Galaxy(smooth, np.concatenate(knots) if knots else NO_KNOTS)


def draw_elliptical(body, flux, rng):
    """Draw an early type as parts: in half of the cases two that differ in shape and angle.

    Isophotes then twist and round off outwards, as those of real ellipticals do: Kormendy et al.
    (2009, ApJS 182, 216).
    """
    early = draw_early_type(body.re, body.axis_ratio, body.angle, rng)
    if rng.random() < 0.5:
        return [Part(early, flux, body.x, body.y)]
    share, wide = rng.uniform(0.1, 0.5), body.re * rng.uniform(1.2, 3)
    axis_ratio = np.clip(body.axis_ratio + rng.normal(0, 0.15), 0.35, 1)
    outer = draw_early_type(wide, axis_ratio, body.angle + rng.normal(0, 0.4), rng)
    x, y = rng.normal([body.x, body.y], 0.03 * body.re)
    return [
        Part(early, (1 - share) * flux, body.x, body.y),
        Part(outer, share * flux, x, y),
    ]


def draw_satellites(body, flux, rng, mean):
    """Draw companions of a galaxy, so many in the mean, the fainter the more of them."""
    parts = []
    for _ in range(rng.poisson(mean)):
        out, around = body.re * rng.uniform(1, 7), rng.uniform(0, 2 * np.pi)
        at = body.x + out * np.cos(around), body.y + out * np.sin(around)
        light = flux * 10 ** rng.uniform(-2.3, -0.4)
        parts.append(Part(draw_galaxy(_smaller(body, rng), rng), light, *at))
    return parts


def draw_field(side, body, clear, fwhm, rng):
    """Draw unrelated galaxies and stars of a canvas, none within `clear` pixels of the body."""
    parts = []
    for _ in range(rng.poisson(2.5)):
        at = rng.uniform(0, side, 2)
        if np.hypot(at[0] - body.x, at[1] - body.y) < clear:
            continue
        star = rng.random() < 0.2
        re = 0.0 if star else float(np.clip(clear * 10 ** rng.normal(-0.3, 0.3), 0.3, 12))
        bright = rng.uniform(2.2, 3.5) if rng.random() < 0.08 else rng.uniform(0.5, 2.2)
        flux = np.sqrt(effective_pixels(re, fwhm)) * 10**bright
        parts.append(Part(STAR if star else draw_galaxy(re, rng), flux, *at))
    return parts


def _smaller(body, rng):
    return float(np.clip(body.re * 10 ** rng.normal(-0.4, 0.2), 0.2, 12))
