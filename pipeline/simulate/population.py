"""Deflectors as the sky has them: mass, distance, size and Einstein radius together."""

import functools
from typing import NamedTuple

import numpy as np
from astropy.cosmology import FlatLambdaCDM

COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3)
EINSTEIN_RANGE = 0.3, 3.0  # arcsec
LIGHT = 299792.458  # km/s
CHOI = 161.0, 2.32, 2.67  # km/s; alpha and beta of the velocity dispersion function, about
CANDIDATES = 60_000
BROAD = 0.5  # share of draws whose Einstein radii are log-uniform
SIZE_SCATTER = 0.13  # dex


class Deflector(NamedTuple):
    """A massive galaxy and the lens it would be.

    Attributes
    ----------
    einstein_radius : float
        In arcsec.
    re : float
        Half-light radius [arcsec].
    redshift, source_redshift, velocity_dispersion : float
        The last in km/s.
    """

    einstein_radius: float
    re: float
    redshift: float
    source_redshift: float
    velocity_dispersion: float


def draw_deflector(rng):
    """Draw a deflector from the population of lenses of isothermal spheres.

    Velocity dispersions after Choi, Park & Vogeley (2007, ApJ 658, 884) in a constant comoving
    density, weighted by volume and by the area of the Einstein radius, before sources at about
    the redshifts of a deep survey: in the manner of Collett (2015, ApJ 811, 20), whose source
    catalogue we do not use.  Half of the draws are weighted anew so that the logarithm of the
    Einstein radius is uniform, for wide lenses are few: that is our choice.
    """
    table, natural, broad = candidates()
    chosen = np.searchsorted(broad if rng.random() < BROAD else natural, rng.random())
    einstein_radius, re, *rest = table[min(chosen, len(table) - 1)]
    return Deflector(einstein_radius, re * 10 ** rng.normal(0, SIZE_SCATTER), *rest)


@functools.cache
def candidates():
    """Candidates (n, 5), and the cumulative weights of the natural and the broad population."""
    rng = np.random.default_rng(2015)
    sigma = rng.uniform(100, 420, CANDIDATES)
    lens, source = rng.uniform(0.05, 1.5, CANDIDATES), rng.gamma(3, 0.55, CANDIDATES) + 0.2
    z = np.linspace(0, 8, 2000)
    comoving = COSMOLOGY.comoving_distance(z).to_value("Mpc")
    near, far = np.interp(lens, z, comoving), np.interp(source, z, comoving)
    strength = np.clip(1 - near / far, 0, None)
    einstein_radius = np.degrees(4 * np.pi * (sigma / LIGHT) ** 2 * strength) * 3600
    star, alpha, beta = CHOI
    density = (sigma / star) ** (alpha - 1) * np.exp(-((sigma / star) ** beta))
    volume = near**2 / COSMOLOGY.efunc(lens)
    weight = density * volume * einstein_radius**2
    weight[(einstein_radius < EINSTEIN_RANGE[0]) | (einstein_radius > EINSTEIN_RANGE[1])] = 0
    # Sizes of early types about the middle of the fundamental plane (after Hyde & Bernardi 2009,
    # MNRAS 396, 1171), shrinking with redshift, though less than van der Wel et al. (2014) find.
    kiloparsec = 4.8 * (sigma / 200) ** 1.4 * (1 + lens) ** -0.5
    re = np.degrees(kiloparsec * 1e-3 * (1 + lens) / near) * 3600
    bins = np.digitize(np.log(einstein_radius + 1e-9), np.linspace(*np.log(EINSTEIN_RANGE), 24))
    broad = weight / np.maximum(np.bincount(bins, weight), 1e-300)[bins]
    table = np.column_stack([einstein_radius, re, lens, source, sigma])
    return table, np.cumsum(weight) / weight.sum(), np.cumsum(broad) / broad.sum()
