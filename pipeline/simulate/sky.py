"""What there is on a simulated sky: galaxies, stars and lenses, before anyone looks."""

import numpy as np
from astropy.table import Column, Table

from pipeline.data import AB_ZERO_POINT
from pipeline.detection.psf import effective_pixels
from pipeline.simulate.pointing import extent, sky_wcs

BRIGHTEST, BEYOND_LIMIT, SLOPE = 17.0, 1.5, 0.3  # of the galaxies' counts [mag, mag, dex / mag]
STAR_MAGS = 15.0, 25.0
BLEEDING_STAR = 12.5  # the one bright star near the middle of the first tile [mag]
LENS_MAGS, EINSTEIN_RADII = (18.5, 21.0), (0.7, 2.0)  # [mag], [arcsec]
CLOSE_SHARE, CLOSE_RANGE = 0.12, (0.8, 2.5)  # galaxies put beside another one, so far away [arcsec]
COLUMNS = {
    "ra": ("deg", "Right ascension"),
    "dec": ("deg", "Declination"),
    "kind": (None, "galaxy, star or lens"),
    "mag": ("mag", "AB magnitude, with the arcs of a lens"),
    "flux": ("nJy", "Total flux"),
    "re": ("arcsec", "Half-light radius; of a bulge in a disc, 0.87 to 3.4 times the whole's"),
    "theta_e": ("arcsec", "Einstein radius"),
}


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
    size = np.array(extent(settings))
    area = size.prod() * (settings.pixel_scale / 60) ** 2
    kinds = {
        "galaxy": _draw_galaxies(settings, area, rng),
        "star": _draw_stars(settings, area, rng),
        "lens": _draw_lenses(settings, rng),
    }
    mag, re, theta_e = np.concatenate(list(kinds.values()), axis=1)
    kind = np.repeat(list(kinds), [drawn.shape[1] for drawn in kinds.values()])
    place = rng.random((len(kind), 2)) * size
    place = _bring_close(place, np.flatnonzero(kind == "galaxy"), settings.pixel_scale, rng)
    place[mag == BLEEDING_STAR] = np.array([0.55, 0.4]) * settings.side
    ra, dec = sky_wcs(settings).all_pix2world(place, 0).T
    flux = 10 ** (0.4 * (AB_ZERO_POINT - mag))
    values = dict(zip(COLUMNS, (ra, dec, kind, mag, flux, re, theta_e), strict=True))
    described = [Column(values[n], n, unit=u, description=d) for n, (u, d) in COLUMNS.items()]
    return Table(described, meta={"PIXSCALE": settings.pixel_scale})


def _draw_galaxies(settings, area, rng):
    """Magnitude, half-light radius [arcsec] and NaN (3, n) of the galaxies of `area` [arcmin2]."""
    limit = 24.0
    for _ in range(5):  # the magnitude at which a typical galaxy has an S/N of 10
        size = _typical_re(limit) / settings.pixel_scale
        pixels = effective_pixels(size, settings.psf_fwhm / settings.pixel_scale)
        limit = settings.zero_point - 2.5 * np.log10(10 * settings.sky_rms * np.sqrt(pixels))
    density = settings.galaxies_per_arcmin2 * 10 ** (SLOPE * BEYOND_LIMIT)
    n = rng.poisson(density * area)
    low, high = 10 ** (SLOPE * BRIGHTEST), 10 ** (SLOPE * (limit + BEYOND_LIMIT))
    mag = np.log10(low + rng.random(n) * (high - low)) / SLOPE
    re = np.clip(_typical_re(mag) * 10 ** rng.normal(0, 0.2, n), 0.08, 4.0)
    return np.stack([mag, re, np.full(n, np.nan)])


def _draw_stars(settings, area, rng):
    """Magnitude, NaN and NaN (3, n) of the stars of `area` [arcmin2]."""
    n, (low, high) = rng.poisson(settings.stars_per_arcmin2 * area), STAR_MAGS
    mag = np.append(low + (high - low) * np.sqrt(rng.random(n)), BLEEDING_STAR)
    return np.stack([mag, *np.full((2, n + 1), np.nan)])


def _draw_lenses(settings, rng):
    """Magnitude, half-light and Einstein radius [arcsec] (3, n) of the lenses.

    Deflectors are about as large as their Einstein radius: Bolton et al. (2008), table 4.
    """
    n = settings.lenses_per_tile * settings.tiles
    mag, theta_e = rng.uniform(*LENS_MAGS, n), rng.uniform(*EINSTEIN_RADII, n)
    return np.stack([mag, theta_e * 10 ** rng.normal(0.05, 0.15, n), theta_e])


def _bring_close(place, galaxies, pixel_scale, rng):
    """Positions (n, 2), where some of the galaxies are moved beside another one."""
    moved = galaxies[rng.random(len(galaxies)) < CLOSE_SHARE]
    beside = rng.choice(galaxies, len(moved)) if len(moved) else moved
    apart = rng.uniform(*CLOSE_RANGE, len(moved)) / pixel_scale
    around = rng.uniform(0, 2 * np.pi, len(moved))
    place = place.copy()
    place[moved] = place[beside] + apart[:, None] * np.column_stack(
        [np.cos(around), np.sin(around)]
    )
    return place


def _typical_re(mag):
    return 0.35 * 10 ** (-0.12 * (mag - 23))
