"""Against sep and SExtractor on real images; need the folder that ARCLET_REAL_DATA names."""

import numpy as np
import pytest
import sep
from astropy.coordinates import SkyCoord
from astropy.io import fits
from scipy.spatial import cKDTree

from pipeline import config
from pipeline.ingest import ingest
from tests.detected import detect

DECALS = "fields/decals_dr9_group_psf_ivar/cutout_59.1067_-30.4848.fits"
IMAGES = {
    "vista": ({"H": "fields/vista_xmmlss_H/swarp_med.fits"}, {}),
    "kids": ({"r": "fields/gama_G202627/VST_r.fits"}, {}),
    "decals": (
        {"g": f"{DECALS}[1]", "r": f"{DECALS}[3]"},
        {"g": f"{DECALS}[2]", "r": f"{DECALS}[4]"},
    ),
}


def found_in(folder, image, weight, **how):
    paths = [{band: f"{folder}/{path}" for band, path in of.items()} for of in (image, weight)]
    exposure = ingest(config.Tile(image=paths[0], weight=paths[1]), config.Ingest(**how))
    return exposure, detect(exposure, config.Detect())


def pixels_of(folder, path):
    name, hdu = [*path.rstrip("]").split("["), None][:2]
    with fits.open(folder / name) as hdus:
        images = [hdu for hdu in hdus if hdu.header.get("NAXIS") == 2]
        return np.ascontiguousarray((hdus[int(hdu)] if hdu else images[0]).data, "f4")


@pytest.mark.parametrize("survey", IMAGES)
def test_what_sep_finds_is_there(survey, real_data):
    image, weight = IMAGES[survey]
    exposure, found = found_in(real_data, image, weight)
    pixels = pixels_of(real_data, next(iter(image.values())))
    sky = sep.Background(pixels, mask=pixels == 0)
    pixels = np.where(pixels == 0, 0, pixels - sky.back())
    alone = sep.extract(pixels, 5, err=sky.globalrms)
    ivar = exposure.ivar[..., 0]
    sigma = sky.globalrms * np.sqrt(
        np.median(ivar[ivar > 0]) / ivar[alone["ypeak"], alone["xpeak"]]
    )
    alone = alone[alone["peak"] > 5 * sigma]  # no lumps of the noise of a mosaic's skirts
    tree = cKDTree(np.column_stack([found["x"].value, found["y"].value]))
    away, rows = tree.query(np.column_stack([alone["x"], alone["y"]]))
    there = SkyCoord(found["ra"][rows], found["dec"][rows])
    apart = there.separation(exposure.wcs.pixel_to_world(alone["x"], alone["y"]))
    assert np.mean((away < 0.2) & (apart.arcsec < 0.1)) >= 0.98


def test_fluxes_are_sextractors(real_data):
    folder = real_data / "fields/ntt_emmi_NA36"
    names = {"image": {"R": "image.fits"}, "weight": {"R": "rms.fits"}}
    _, found = found_in(folder, **names, weight_is="rms", pixel_scale=0.27)
    catalog = np.loadtxt(folder / "image.cat")
    x, y, flux, error = catalog[:, [1, 2, 15, 16]].T
    bright = flux > 10 * error
    tree = cKDTree(np.column_stack([found["x"].value, found["y"].value]))
    away, rows = tree.query(np.column_stack([x, y])[bright] - 1)
    ratio = found["flux_auto"].value[rows, 0] / flux[bright]
    assert bright.sum() == 34
    assert (away < 3).all()
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
