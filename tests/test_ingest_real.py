"""Real survey images, through the config files that a user would write."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.stats import mad_std
from astropy.wcs import WCS, FITSFixedWarning
from numpy.testing import assert_allclose

from pipeline import config
from pipeline.ingest import ingest

FOLDER = Path(__file__).parents[1] / "config" / "real"
SHAPES = {
    "vista": (2200, 2200, 1),
    "decals": (256, 256, 3),
    "decam": (251, 245, 1),
    "kids": (602, 602, 1),
    "emmi": (1024, 1024, 1),
    "emmi_crop": (256, 256, 1),
    "viking": (356, 356, 1),
}
SCALES = {"vista": 0.3, "decals": 0.262, "decam": 0.263, "kids": 0.199, "viking": 0.339}
IN_COUNTS = {"vista", "emmi", "emmi_crop"}


@pytest.fixture(scope="module")
def exposures(real_data, tmp_path_factory):
    """Each config's exposure and the settings it was made with."""
    here = tmp_path_factory.mktemp("real")
    (here / "real").symlink_to(real_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        return {name: _ingest(name) for name in SHAPES}


def _ingest(name):
    settings = config.Config.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
    (tile,) = settings.tiles.values()
    return ingest(tile, settings.ingest, settings.detect.band), tile


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_unit(exposures, name):
    exposure, _ = exposures[name]
    assert exposure.flux.shape == SHAPES[name]
    assert exposure.unit == ("ct" if name in IN_COUNTS else "nJy")
    assert not exposure.flux[exposure.ivar == 0].any()


@pytest.mark.parametrize("name", SCALES)
def test_the_sky_is_where_astropy_sees_it(exposures, real_data, name):
    exposure, tile = exposures[name]
    path, _, hdu = next(iter(tile.image.values())).removesuffix("]").partition("[")
    with fits.open(real_data / path.removeprefix("real/")) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        first = next(i for i, image in enumerate(hdus) if image.is_image and image.shape)
        expected = WCS(hdus[int(hdu) if hdu.isdecimal() else hdu or first].header)
    y, x = (np.array([0, 0.3, 0.7, 1.0]) * (n - 1) for n in exposure.flux.shape[:2])
    distance = exposure.wcs.pixel_to_world(x, y).separation(expected.pixel_to_world(x, y))
    assert distance.to_value("mas").max() < 1e-3
    assert_allclose(exposure.pixel_scale, SCALES[name], rtol=5e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_the_noise_is_that_of_the_sky(exposures, name):
    exposure, _ = exposures[name]
    for flux, ivar in zip(
        *(np.moveaxis(p, -1, 0) for p in (exposure.flux, exposure.ivar)), strict=True
    ):
        score = (flux * np.sqrt(ivar))[ivar > 0]
        faint = score[score < 3]
        assert_allclose(mad_std(faint), 1, atol=0.12)
        assert abs(np.median(faint)) < 0.3


def test_the_border_of_zeros_has_no_weight(exposures):
    exposure, _ = exposures["vista"]
    lost = exposure.ivar[..., 0] == 0
    assert_allclose((lost & (exposure.flux[..., 0] == 0)).mean(), 0.088, atol=0.0005)
    assert lost[:, :28].mean() > 0.998  # zeros that fpack dithered, but for whole rows of them
    assert not lost[300:-300, 300:-300].any()


def test_the_data_quality_image_counts(exposures, real_data):
    exposure, _ = exposures["decam"]
    (path,) = real_data.glob("fields/legacypipe_decam_tc4/*_ood_*")
    assert (exposure.ivar[..., 0][fits.getdata(path) > 0] == 0).all()
    assert exposure.saturation[0] < np.inf


def test_without_wcs_there_is_no_sky(exposures):
    for name in ("emmi", "emmi_crop"):
        exposure, _ = exposures[name]
        assert exposure.wcs is None and np.isnan(exposure.pixel_scale)


def test_galaxies_keep_their_light(exposures, real_data):
    """The interacting galaxies fill the field; their survey subtracted the sky already."""
    exposure, _ = exposures["kids"]
    raw = fits.getdata(real_data / "fields/gama_G202627/VST_r.fits") * 10 ** (0.4 * 31.4)
    y, x = np.indices(raw.shape)
    near = np.hypot(x - 300, y - 330) < 150
    assert_allclose(exposure.flux[near, 0].sum() / raw[near].sum(), 1, atol=0.02)
