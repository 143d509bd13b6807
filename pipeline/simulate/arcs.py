"""Images of a background galaxy seen through a gravitational lens, by lenstronomy."""

from typing import NamedTuple

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from scipy.special import gamma, gammaincinv

from pipeline.simulate.galaxies import NO_KNOTS, STAR, Galaxy

TERMS = 9  # of the series of the deflection; 1e-4 of the Einstein radius at axis ratio 0.5
SOURCE_SIZES = -0.8, 0.27  # decades of half-light over Einstein radius: mean, scatter
QUASARS = 0.04  # share of sources that hold a point


class Lens(NamedTuple):
    """An elliptical power law in an external shear, in the convention of lenstronomy's EPL.

    Attributes
    ----------
    einstein_radius : float
        In pixels.
    axis_ratio, angle : float
        Of the mass; the angle counter-clockwise from +x [rad].
    shear, shear_angle : float
    slope : float
        Of the three-dimensional density; 2 is isothermal.
    """

    einstein_radius: float
    axis_ratio: float
    angle: float
    shear: float
    shear_angle: float
    slope: float = 2.0


class Blob(NamedTuple):
    """A Sersic law of the source: total flux, half-light radius, index, shape and place [pixel]."""

    flux: float
    re: float
    index: float
    axis_ratio: float
    angle: float
    x: float
    y: float


class Body(NamedTuple):
    """What lenses: half-light radius [pixel], axis ratio, angle [rad] and centre [pixel]."""

    re: float
    axis_ratio: float
    angle: float
    x: float
    y: float


def paint_arcs(renderer, body, einstein_radius, flux, rng):
    """Draw the arcs that a galaxy would make of a random source.

    Parameters
    ----------
    renderer : Renderer
        Its PSF and the side of its images are those of the stamp.
    body : Body
        The light of the deflector; its mass follows it loosely.
    einstein_radius : float
        In pixels.
    flux : float
        Of all images of the source together, as far as they lie in the stamp.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, (side, side), float32
        Noiseless light, seen through the PSF.
    """
    lens = draw_lens(einstein_radius, body.axis_ratio, body.angle, rng)
    re = einstein_radius * float(np.clip(10 ** rng.normal(*SOURCE_SIZES), 0.03, 0.5))
    source = draw_source(lens, re, rng)
    x, y = renderer.grid()
    samples = draw_arcs(lens, source, x - body.x, y - body.y)
    light = renderer.convolve(samples / max(samples.sum(), 1e-30))
    points = _lensed_point(lens, source[0], rng) if rng.random() < QUASARS else NO_KNOTS
    if len(points):
        share = rng.uniform(0.3, 0.95)
        seen = Galaxy(STAR.smooth * 1e-6, points)
        light = (1 - share) * light + share * renderer.draw(seen, body.x, body.y)
    return np.float32(flux) * np.clip(light, 0, None)


def draw_lens(einstein_radius, axis_ratio, angle, rng):
    """Draw a lens whose mass follows its light loosely.

    Scatter of axis ratio and angle between mass and light after SLACS (Koopmans et al. 2006, ApJ
    649, 599; Bolton et al. 2008, ApJ 682, 964), which find mass and light aligned within about 10
    degrees; slopes about isothermal, as Auger et al. (2010, ApJ 724, 511) find them.  The exact
    widths, and the shear's, are our choice.
    """
    return Lens(
        einstein_radius,
        float(np.clip(axis_ratio + rng.normal(0, 0.1), 0.5, 0.99)),
        angle + rng.normal(0, np.radians(10)),
        min(rng.rayleigh(0.04), 0.2),
        rng.uniform(0, np.pi),
        float(np.clip(rng.normal(2.05, 0.15), 1.7, 2.4)),
    )


def draw_source(lens, re, rng):
    """Draw the background galaxy: a disc, often with a bulge and knots, within the caustics.

    Parameters
    ----------
    lens : Lens
    re : float
        Half-light radius [pixel].
    rng : numpy.random.Generator

    Returns
    -------
    list of Blob
        Of shares of light that add up to one before lensing; positions [pixel] about the lens.
    """
    # Uniform in area, with a share nearer the centre, which magnification favours.
    reach = lens.einstein_radius * (0.35 if rng.random() < 0.35 else 0.8)
    distance, around = reach * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    x, y = distance * np.cos(around), distance * np.sin(around)
    axis_ratio, angle = rng.uniform(0.35, 1), rng.uniform(0, np.pi)
    bulge = rng.uniform(0.05, 0.6) if rng.random() < 0.4 else 0
    n_knots = int(rng.integers(1, 7)) if rng.random() < 0.55 else 0
    knots = rng.uniform(0.1, 0.6) * (1 - bulge) if n_knots else 0
    index = rng.choice([0.7, 1.0, 1.0, 1.5])
    parts = [Blob(1 - bulge - knots, re, index, axis_ratio, angle, x, y)]
    if bulge:
        parts.append(Blob(bulge, re * rng.uniform(0.15, 0.5), 2.5, 0.8, angle, x, y))
    for light in knots * rng.dirichlet(np.ones(n_knots)) if n_knots else ():
        at = rng.normal([x, y], 0.8 * re)
        parts.append(Blob(light, re * rng.uniform(0.1, 0.3), 0.7, 0.9, angle, *at))
    return parts


def draw_arcs(lens, source, x, y):
    """Light of the lensed source.

    Parameters
    ----------
    lens : Lens
    source : list of Blob
    x, y : ndarray
        Positions about the lens [pixel], of any shape; far from the lens nothing is computed.

    Returns
    -------
    ndarray
        Surface brightness at each position; lensing leaves it unchanged.
    """
    reach = max(np.hypot(part.x, part.y) + 4 * part.re for part in source)
    near = np.hypot(x, y) < 1.4 * lens.einstein_radius + reach
    light, at = np.zeros(x.shape), _trace(lens, x[near], y[near])
    light[near] = sum(_brightness(part, *at) for part in source)
    return light


def _trace(lens, x, y):
    """Positions in the source plane: Tessore & Metcalf (2015, A&A 580, A79), eq. 13 and 29."""
    q, t = lens.axis_ratio, lens.slope - 1
    turn = np.exp(1j * lens.angle)
    place = (x + 1j * y) * np.conj(turn)
    flat = q * place.real + 1j * place.imag
    radius = np.abs(flat) + 1e-6
    phase = flat / radius
    term, series, squared = phase, phase.copy(), -(1 - q) / (1 + q) * phase**2
    for n in range(1, TERMS):
        term = term * squared * ((2 * n - 2 + t) / (2 * n + 2 - t))
        series += term
    scale = lens.einstein_radius * np.sqrt(q)
    bent = 2 * scale / (1 + q) * (scale / radius) ** (t - 1) * series * turn
    shear = lens.shear * np.exp(2j * lens.shear_angle) * (x - 1j * y)
    behind = x + 1j * y - bent - shear
    return behind.real, behind.imag


def _brightness(part, x, y):
    """Surface brightness of a Sersic law (Graham & Driver 2005, PASA 22, 118, equation 4)."""
    b, n = gammaincinv(2 * part.index, 0.5), part.index
    total = 2 * np.pi * n * part.re**2 * np.exp(b) * b ** (-2 * n) * gamma(2 * n)
    cos, sin = np.cos(part.angle), np.sin(part.angle)
    along = ((x - part.x) * cos + (y - part.y) * sin) * np.sqrt(part.axis_ratio)
    across = ((y - part.y) * cos - (x - part.x) * sin) / np.sqrt(part.axis_ratio)
    squared = (along**2 + across**2) / part.re**2
    return part.flux / total * np.exp(b - b * squared ** (0.5 / n))


def _lensed_point(lens, part, rng):
    """Images of a point at the middle of `part`: (image, 3), as the knots of a galaxy."""
    mass = LensModel(["EPL", "SHEAR"])
    settings = keywords(lens)
    with np.errstate(invalid="ignore"):  # the solver tries angles at which there is no image
        x, y = LensEquationSolver(mass).image_position_from_source(
            part.x, part.y, settings, solver="analytical"
        )
    if len(x) == 0:
        return NO_KNOTS
    # Microlensing scatters the flux ratios (after Schechter & Wambsganss 2002, ApJ 580, 685).
    light = np.abs(mass.magnification(x, y, settings)) * 10 ** rng.normal(0, 0.12, len(x))
    return np.column_stack([x, y, light / light.sum()])


def keywords(lens):
    """The lens in the words of lenstronomy's EPL and SHEAR."""
    size = (1 - lens.axis_ratio) / (1 + lens.axis_ratio)
    return [
        {
            "theta_E": lens.einstein_radius,
            "gamma": lens.slope,
            "e1": size * np.cos(2 * lens.angle),
            "e2": size * np.sin(2 * lens.angle),
            "center_x": 0.0,
            "center_y": 0.0,
        },
        {
            "gamma1": lens.shear * np.cos(2 * lens.shear_angle),
            "gamma2": lens.shear * np.sin(2 * lens.shear_angle),
            "ra_0": 0.0,
            "dec_0": 0.0,
        },
    ]
