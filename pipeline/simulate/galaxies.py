"""Galaxies of many kinds, for GalSim: a clumpy disc, a bulge and a disc, or one Sersic law."""

import functools
from typing import NamedTuple

import galsim
import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

LOOSE = galsim.GSParams(folding_threshold=1e-2, kvalue_accuracy=1e-4, maxk_threshold=1e-3)
# GalSim caches a profile per Sersic index, so the indices are on a grid.
SERSIC_INDICES = 0.6, 0.8, 1.0, 1.4, 1.8, 2.4, 3.2, 4.0, 5.0
NO_KNOTS = np.zeros((0, 3))
LARGE = 5.0  # half-light radius of galaxies whose knots would pass for stars [pixel]
THICKNESS = 0.2  # of a disc seen from its edge


class Galaxy(NamedTuple):
    """Light of unit flux before the PSF, centred on the origin, in pixels.

    Attributes
    ----------
    smooth : galsim.GSObject
    knots : ndarray, (knot, 3)
        ``x``, ``y`` [pixel] and flux of the point-like star-forming regions.
    re : float
        Half-light radius without the knots, circularised [pixel]; NaN where nobody asks for it.
    """

    smooth: galsim.GSObject
    knots: np.ndarray = NO_KNOTS
    re: float = np.nan


STAR = Galaxy(galsim.DeltaFunction())


def draw_galaxy(re, rng):
    """Draw a galaxy.

    Discs have the intrinsic thickness of Unterborn & Ryden (2008, ApJ 687, 976) and random
    inclinations; bulges are de Vaucouleurs laws with a tenth to four fifths of the light; knots
    hold up to a third of a disc's light, as in the clumpy discs of Guo et al. (2015, ApJ 800, 39).

    Parameters
    ----------
    re : float
        Half-light radius, circularised [pixel]; of a bulge in a disc, which has 1.2 times this,
        the whole has 0.30 to 1.15 times this, as the galaxy says.
    rng : numpy.random.Generator

    Returns
    -------
    Galaxy
    """
    kind, angle = rng.random(), rng.uniform(0, np.pi)
    if kind < 0.45:
        return draw_disc(re, _disc_axis_ratio(rng), angle, rng)
    if kind < 0.8:
        share = rng.uniform(0.1, 0.8)
        disc = draw_disc(1.2 * re, _disc_axis_ratio(rng), angle, rng)
        bulge_re = re * rng.uniform(0.2, 0.6)
        bulge = _stretch(_sersic(4.0).dilate(bulge_re), rng.uniform(0.6, 1), angle)
        whole = _half_light([(1 - share, 1.0, 1.2 * re), (share, 4.0, bulge_re)])
        smooth = disc.smooth * (1 - share) + bulge * share
        return Galaxy(smooth, disc.knots * [1, 1, 1 - share], whole)
    index = float(rng.choice(SERSIC_INDICES))
    axis_ratio = np.clip(rng.normal(0.75, 0.18), 0.25, 1)
    return Galaxy(_stretch(_sersic(index).dilate(re), axis_ratio, angle), re=re)


def _half_light(parts):
    """Radius that holds half of the light of concentric round parts: share, Sersic index, radius.

    The light within a radius is an incomplete gamma function (Graham & Driver 2005, PASA 22, 118,
    equation 2).
    """

    def beyond_half(radius):
        within = 0.0
        for share, index, re in parts:
            scale = gammaincinv(2 * index, 0.5)
            within += share * gammainc(2 * index, scale * (radius / re) ** (1 / index))
        return within - 0.5

    sizes = [re for *_, re in parts]
    return brentq(beyond_half, min(sizes), max(sizes))


def sized(galaxy, re):
    """Galaxy as large as this half-light radius."""
    by = re / galaxy.re
    return Galaxy(galaxy.smooth.dilate(by), galaxy.knots * [by, by, 1], re)


def centred(galaxy, re):
    """Galaxy whose barycentre is the origin; a large one without knots, which are points."""
    if re >= LARGE or not len(galaxy.knots):
        return Galaxy(galaxy.smooth / galaxy.smooth.flux, re=galaxy.re)
    *at, light = galaxy.knots.T
    return galaxy._replace(
        knots=np.column_stack([*(v - np.average(v, weights=light) for v in at), light])
    )


def draw_disc(re, axis_ratio, angle, rng):
    """Draw an exponential disc of half-light radius `re` [pixel], with knots if it is large."""
    smooth = _stretch(_sersic(1.0).dilate(re), axis_ratio, angle)
    share = rng.uniform(-0.1, 0.35) if re > 2 else 0
    if share < 0.02:
        return Galaxy(smooth, re=re)
    n = int(rng.integers(2, 25) if rng.random() < 0.6 else rng.integers(30, 90))
    radius = rng.gamma(2, re / 1.678, n)  # an exponential disc's light lies at these radii
    around = rng.uniform(0, 2 * np.pi, n) if n < 30 else _along_arms(radius / re, rng)
    u, v = (
        radius * np.cos(around) * np.sqrt(1 / axis_ratio),
        radius * np.sin(around) * np.sqrt(axis_ratio),
    )
    x = u * np.cos(angle) - v * np.sin(angle)
    y = u * np.sin(angle) + v * np.cos(angle)
    light = share * rng.dirichlet(np.ones(n))
    return Galaxy(smooth * (1 - share), np.column_stack([x, y, light]), re)


def draw_early_type(re, axis_ratio, angle, rng):
    """Draw an elliptical: Sersic index 2.4 to 5, in a third of the cases with a faint disc.

    Parameters
    ----------
    re : float
        Half-light radius [pixel], as of the circle of the same area.
    axis_ratio : float
    angle : float
        Position angle of the major axis, counter-clockwise from +x [rad].
    rng : numpy.random.Generator

    Returns
    -------
    Galaxy
    """
    light = _sersic(float(rng.choice([2.4, 3.2, 4.0, 5.0], p=[0.15, 0.3, 0.4, 0.15]))).dilate(re)
    if rng.random() < 0.3:
        share = rng.uniform(0.05, 0.35)
        light = light * (1 - share) + _sersic(1.0).dilate(re * rng.uniform(1, 2.5)) * share
    return Galaxy(_stretch(light, axis_ratio, angle))


def _along_arms(radius, rng):
    """Azimuths of knots at `radius` [half-light radii] on two to four logarithmic arms [rad]."""
    arms, pitch = rng.integers(2, 5), np.radians(rng.uniform(10, 35))
    winding = np.log(np.maximum(radius, 0.1)) / np.tan(pitch) * rng.choice([-1, 1])
    own_arm = 2 * np.pi / arms * rng.integers(arms, size=len(radius))
    return winding + own_arm + rng.normal(0, 0.25, len(radius))


@functools.cache
def _sersic(index):
    return galsim.Sersic(n=index, half_light_radius=1.0, gsparams=LOOSE)


def _disc_axis_ratio(rng):
    """Axis ratio of a disc of `THICKNESS` seen from a random side."""
    return np.sqrt(rng.random() ** 2 * (1 - THICKNESS**2) + THICKNESS**2)


def _stretch(profile, axis_ratio, angle):
    """Flatten a round profile, keeping its area."""
    return profile.shear(q=float(axis_ratio), beta=angle * galsim.radians)
