"""Images of a background galaxy seen through a gravitational lens, by lenstronomy."""

from typing import NamedTuple

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from scipy.special import gamma, gammaincinv

MASS = LensModel(["SIE", "SHEAR"])
SERSIC = LightModel(["SERSIC_ELLIPSE"])


class Lens(NamedTuple):
    """A singular isothermal ellipsoid in an external shear (Kormann+94, A&A 284, 285).

    Attributes
    ----------
    einstein_radius : float
        In pixels.
    axis_ratio, angle : float
        Of the mass; the angle counter-clockwise from +x [rad].
    shear, shear_angle : float
    """

    einstein_radius: float
    axis_ratio: float
    angle: float
    shear: float
    shear_angle: float


def draw_lens(einstein_radius, axis_ratio, angle, rng):
    """Draw a lens whose mass follows its light loosely.

    The scatter of axis ratio and angle between mass and light, and the shear, are those of SLACS:
    Bolton et al. (2008, ApJ 682, 964) and Koopmans et al. (2006, ApJ 649, 599).
    """
    return Lens(
        einstein_radius,
        float(np.clip(axis_ratio + rng.normal(0, 0.1), 0.4, 0.99)),
        angle + rng.normal(0, np.radians(10)),
        rng.rayleigh(0.04),
        rng.uniform(0, np.pi),
    )


def draw_source(lens, re, rng):
    """Draw the background galaxy: a Sersic law with knots, each as keywords of lenstronomy.

    Parameters
    ----------
    lens : Lens
    re : float
        Half-light radius [pixel].
    rng : numpy.random.Generator

    Returns
    -------
    list of dict
        Of shares of light that add up to one before lensing; positions [pixel] about the lens.
    """
    distance = lens.einstein_radius * np.sqrt(rng.uniform(0, 0.8))
    around = rng.uniform(0, 2 * np.pi)
    x, y = distance * np.cos(around), distance * np.sin(around)
    n_knots = rng.choice([0, rng.integers(1, 6)], p=[0.4, 0.6])
    share = rng.uniform(0.1, 0.5) if n_knots else 0
    parts = [_sersic(1 - share, re, rng.choice([0.7, 1.0, 1.5, 2.5]), (x, y), rng)]
    for light in share * rng.dirichlet(np.ones(n_knots)) if n_knots else ():
        at = rng.normal([x, y], 0.8 * re)
        parts.append(_sersic(light, re * rng.uniform(0.1, 0.25), 1.0, at, rng))
    return parts


def draw_arcs(lens, source, x, y):
    """Light of the lensed source.

    Parameters
    ----------
    lens : Lens
    source : list of dict
    x, y : ndarray
        Positions about the lens [pixel], of any shape; far from the lens nothing is computed.

    Returns
    -------
    ndarray
        Surface brightness at each position; lensing leaves it unchanged.
    """
    reach = 2 * lens.einstein_radius + max(5 * part["R_sersic"] for part in source)
    near = np.hypot(x, y) < reach
    light = np.zeros(x.shape)
    e1, e2 = _ellipticity(lens.axis_ratio, lens.angle)
    mass = [
        {"theta_E": lens.einstein_radius, "e1": e1, "e2": e2},
        {
            "gamma1": lens.shear * np.cos(2 * lens.shear_angle),
            "gamma2": lens.shear * np.sin(2 * lens.shear_angle),
        },
    ]
    at = MASS.ray_shooting(x[near], y[near], mass)
    light[near] = sum(SERSIC.surface_brightness(*at, [part]) for part in source)
    return light


def _sersic(flux, re, index, centre, rng):
    """Keywords of lenstronomy for a Sersic law of total `flux` (Graham & Driver 2005, eq. 4)."""
    b = gammaincinv(2 * index, 0.5)
    total = 2 * np.pi * index * re**2 * np.exp(b) * b ** (-2 * index) * gamma(2 * index)
    e1, e2 = _ellipticity(rng.uniform(0.4, 1), rng.uniform(0, np.pi))
    shape = {"R_sersic": re, "n_sersic": index, "e1": e1, "e2": e2}
    return {"amp": flux / total, **shape, "center_x": centre[0], "center_y": centre[1]}


def _ellipticity(axis_ratio, angle):
    size = (1 - axis_ratio) / (1 + axis_ratio)
    return size * np.cos(2 * angle), size * np.sin(2 * angle)
