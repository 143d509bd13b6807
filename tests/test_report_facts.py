"""What the report says of a tile."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from pipeline.data import Exposure, Frame
from pipeline.detection.matched import snr_at
from pipeline.detection.psf import Moffat
from pipeline.report import tile_facts, write_page
from pipeline.report.facts import AB_ZERO_POINT
from tests.test_report import NO_LENSES, catalog, findings, read


def tan_wcs(side, scale=0.2):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [10.0, 60.0]
    wcs.wcs.crpix = [(side + 1) / 2, (side + 1) / 2]
    wcs.wcs.cd = np.diag([-1, 1]) * scale / 3600
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize("frame", ["icrs", "galactic", "latitude first"])
def test_facts_of_a_tile_by_hand(frame):
    wcs = tan_wcs(320)
    if frame == "galactic":
        centre = SkyCoord(10, 60, unit="deg")
        turn = centre.position_angle(SkyCoord(0, 90, unit="deg", frame="galactic")).rad
        wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
        wcs.wcs.crval = [centre.galactic.l.deg, centre.galactic.b.deg]
        cos, sin = np.cos(turn), np.sin(turn)  # north stays up in the pixels
        wcs.wcs.cd = np.array([[-cos, -sin], [-sin, cos]]) * 0.2 / 3600
    elif frame == "latitude first":
        wcs.wcs.ctype, wcs.wcs.crval = ["DEC--TAN", "RA---TAN"], [60.0, 10.0]
        wcs.wcs.cd = wcs.wcs.cd[::-1]
    wcs.wcs.set()
    ivar = np.full((20, 20, 1), 0.25, "f4")
    ivar[:, 10:] = 0
    exposure = Exposure(0 * ivar, ivar, wcs, ("r",), pixel_scale=0.2, notes=("odd",))
    sources = Table({"id": [1, 2]}, meta={"PSFFWHM": 2.355, "NOISECOR": 1.0, "DETBAND": 0})
    ra = 10 + np.array([-5, 5, 500]) / 3600 / np.cos(np.radians(60))  # east is the left half
    lenses = Table({"name": ["west", "east", "far"], "ra": ra, "dec": [60.0] * 3})
    facts = tile_facts("t", exposure, Frame(None, (318, 316)), sources, lenses)
    assert facts.shape == (318, 316) and facts.n_sources == 2 and facts.notes == ("odd",)
    assert_allclose([facts.usable, facts.rms, facts.psf_fwhm], [0.5, 2.0, 0.471])
    assert facts.known == ("east",)


@pytest.mark.parametrize("fwhm, beta", [(1.2, 3.0), (2.5, 2.2), (4.0, 6.0)])
def test_a_star_of_the_depth_has_a_snr_of_5(fwhm, beta):
    ivar = np.full((101, 101), 0.25, "f4")
    exposure = Exposure(0 * ivar[..., None], ivar[..., None], tan_wcs(101), ("r",), pixel_scale=0.2)
    meta = {"PSFFWHM": fwhm, "PSFBETA": beta, "NOISECOR": 1.5}
    depth = tile_facts("t", exposure, Frame(None, (101, 101)), Table(meta=meta), NO_LENSES).depth
    psf, flux = Moffat(fwhm, beta), 10 ** (-0.4 * (depth - AB_ZERO_POINT))
    star = flux * psf.stamps([0.0], [0.0], 101)[0]
    snr, _ = snr_at(star, ivar, np.array([50.0]), np.array([50.0]), psf)
    assert_allclose(snr / 1.5, 5, rtol=1e-3)


def test_facts_of_a_rejected_tile():
    facts = tile_facts(
        "t", Exposure.empty(("r",), "no HDU"), Frame(None, (0, 0)), Table(), NO_LENSES
    )
    assert facts.rejected == "no HDU" and facts.n_sources == 0


def test_a_tile_without_wcs_or_zero_point_has_no_depth():
    ivar = np.ones((4, 4, 1), "f4")
    exposure = Exposure(0 * ivar, ivar, None, ("r",), unit="adu")
    facts = tile_facts(
        "t", exposure, Frame(None, (64, 64)), Table(meta={"PSFFWHM": 3.0}), NO_LENSES
    )
    assert np.isnan([facts.depth, facts.psf_fwhm]).all() and facts.known == ()
    read(write_page(findings(catalog(5, unit="ct"), [facts])))
