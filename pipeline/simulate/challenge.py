"""A test set in the manner of the space-based Strong Gravitational Lens Finding Challenge."""

from functools import partial
from typing import NamedTuple

import galsim
import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.detection.psf import effective_pixels
from pipeline.simulate import company
from pipeline.simulate.arcs import Body, paint_arcs
from pipeline.simulate.company import Part
from pipeline.simulate.galaxies import draw_disc, draw_galaxy
from pipeline.simulate.population import draw_deflector
from pipeline.simulate.render import Renderer

SIZES = 0.1, 3.0  # half-light radii of galaxies [arcsec]
GAIN = 30.0  # electrons a unit of sky noise: 900 e of sky a pixel; ours
SIGNALS = 0.5, 2.6  # decades of the arcs' S/N; ours
LEAST_PIXELS, LEAST_SNR = 20, 8.0  # of a lens: pixels above 1 sigma, and S/N; ours


class Telescope(NamedTuple):
    """Pixel scale, and full width at half maximum of a Gaussian PSF [arcsec]."""

    pixel_scale: float
    seeing: float

    @property
    def fwhm(self):
        """The latter in pixels."""
        return self.seeing / self.pixel_scale


EUCLID, HUBBLE = Telescope(0.1, 0.18), Telescope(0.05, 0.07)


def draw_challenge(n, size, rng, telescope=EUCLID):
    """Draw stamps after the one-band set of Metcalf et al. (2019, A&A 625, A119).

    Theirs: one band, 0.1" a pixel, a PSF of about 0.18", about as many lenses as others, and a
    galaxy in each stamp.  Ours, for the paper does not fix them or we did not find that it does:
    a Gaussian PSF, white noise and its gain, the S/N of galaxies and arcs, which images count as a
    lens (`LEAST_PIXELS`, `LEAST_SNR`), and the share of others that hold images too faint or too
    few to count.  Halos, galaxies and sources are of our own population, not of the Millennium
    simulation and the Ultra Deep Field: scores resemble the published ones but are not of the
    same stamps.

    Parameters
    ----------
    n, size : int
        Number of stamps, and their side [pixel].
    rng : numpy.random.Generator
    telescope : Telescope
        Another than the challenge's sees the same in other pixels.

    Returns
    -------
    cutouts : Cutouts
    truth : Table
        One row a stamp: ``id``, ``is_lens``, ``kind``, ``theta_e`` [arcsec], ``arc_snr`` (of the
        arcs alone, over the noise of the sky and of the galaxies), ``contrast`` (the arcs' share
        of the light), ``snr``, ``re`` and ``fwhm`` [pixel], ``pixel_scale`` [arcsec].
    """
    renderer = Renderer(galsim.Gaussian(fwhm=telescope.fwhm), 2 * (size * 5 // 8))
    draw = partial(_draw_stamp, telescope, renderer, size)
    stamps = [draw(bool(rng.random() < 0.5), rng) for _ in range(n)]
    flux, ivar, rows = zip(*stamps, strict=True)
    ids = np.arange(n)
    truth = Table(list(rows))
    truth.add_column(ids, name="id", index=0)
    planes = (np.array(part, "f4")[..., None] for part in (flux, ivar))
    return Cutouts(*planes, ids, np.zeros((n, 2), int), ("sim",), "ct"), truth


def _draw_stamp(telescope, renderer, size, is_lens, rng):
    """One stamp: flux, ivar and its row of the truth."""
    (scale, _), fwhm, middle = telescope, telescope.fwhm, renderer.side / 2
    deflector = draw_deflector(rng)
    theta_e = deflector.einstein_radius / scale
    re = float(np.clip(deflector.re, *SIZES)) / scale
    snr = 10 ** rng.uniform(1.5, 3)
    flux = snr * np.sqrt(effective_pixels(re, fwhm))
    body = Body(re, rng.uniform(0.5, 1), rng.uniform(0, np.pi), *rng.normal(middle, 0.5, 2))
    light = renderer.draw(
        company.join(_galaxies(body, flux, renderer.side, (theta_e, fwhm), rng)), 0, 0
    )
    arcs, arc_snr, seen = np.float32(0), 0.0, False
    if is_lens or rng.random() < 0.5:
        arcs, arc_snr, seen = _arcs(renderer, body, theta_e, light, rng)
        if seen != is_lens:
            return _draw_stamp(telescope, renderer, size, is_lens, rng)
    noise = rng.standard_normal(light.shape) * np.sqrt(1 + np.clip(light + arcs, 0, None) / GAIN)
    margin, total = (renderer.side - size) // 2, float(np.sum(arcs))
    window = np.s_[margin : margin + size, margin : margin + size]
    row = {"is_lens": is_lens, "kind": "lens" if is_lens else "other"}
    row |= {"theta_e": deflector.einstein_radius if is_lens else np.nan, "arc_snr": arc_snr}
    row |= {"contrast": total / (total + flux), "snr": snr, "re": re, "fwhm": fwhm}
    row["pixel_scale"] = scale
    return (light + arcs + noise)[window], np.ones((size, size), "f4"), row


def _galaxies(body, flux, side, clear_and_fwhm, rng):
    """The central galaxy, of any type, its satellites and the field."""
    if rng.random() < 0.6:
        own = company.draw_elliptical(body, flux, rng)
    elif rng.random() < 0.5:
        own = [Part(draw_disc(body.re, body.axis_ratio, body.angle, rng), flux, body.x, body.y)]
    else:
        own = [Part(draw_galaxy(body.re, rng), flux, body.x, body.y)]
    around = company.draw_satellites(body, flux, rng, 1.5)
    field = company.draw_field(side, body, *clear_and_fwhm, rng)
    return [*own, *around, *field]


def _arcs(renderer, body, theta_e, light, rng):
    """Arcs of any S/N, that S/N, and whether they count as a lens."""
    arcs = paint_arcs(renderer, body, theta_e, 1.0, rng)
    noise = np.sqrt(1 + np.clip(light, 0, None) / GAIN)
    wanted = 10 ** rng.uniform(*SIGNALS)
    arcs *= np.float32(wanted / np.sqrt(((arcs / noise) ** 2).sum()))
    return arcs, wanted, bool((arcs > 1).sum() >= LEAST_PIXELS and wanted >= LEAST_SNR)
