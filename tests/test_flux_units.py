"""Sources are the same in any unit of flux, or the image is refused in words."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from pipeline.config import Ingest, Tile
from pipeline.ingest import ingest
from pipeline.ingest.mishaps import InputError
from tests.detected import detect
from tests.test_detect import SETTINGS, paint

SIDE = 256
TAKEN = 2e-16, 1e-15, 1e-8, 1e8, 1e13, 5e14
REFUSED = 1e-18, 1e-17, 5e-17, 1e16, 1e17


@pytest.fixture(scope="module")
def sky():
    """Stars, their brightest pixels 300 times as bright as the noise, and that noise."""
    rng = np.random.default_rng(8)
    places, flux = rng.uniform(10, SIDE - 10, (40, 2)), 10 ** rng.uniform(1.5, 3.5, 40)
    return paint((SIDE, SIDE), places, flux) + rng.normal(size=(SIDE, SIDE))


def seen(folder, sky, unit, is_weighed, level=0.0):
    """The exposure of a sky in counts of a `unit`, above a `level` of counts."""
    fits.writeto(folder / "a.fits", np.float32((sky + level) * unit))
    fits.writeto(folder / "w.fits", np.full(sky.shape, unit))
    weight = {"r": str(folder / "w.fits")} if is_weighed else {}
    return ingest(Tile(image={"r": str(folder / "a.fits")}, weight=weight), Ingest(weight_is="rms"))


@pytest.mark.parametrize("is_weighed", [True, False])
@pytest.mark.parametrize("unit", TAKEN)
def test_sources_are_the_same_in_any_unit(tmp_path, sky, unit, is_weighed):
    for name in "plain", "scaled":
        (tmp_path / name).mkdir()
    plain = detect(seen(tmp_path / "plain", sky, 1.0, is_weighed), SETTINGS)
    found = detect(seen(tmp_path / "scaled", sky, unit, is_weighed), SETTINGS)
    assert len(found) == len(plain) > 20
    for name in "x", "y", "snr", "r50", "flags", "noise_ratio", "kron_radius", "broadening":
        assert_allclose(np.asarray(found[name]), np.asarray(plain[name]), rtol=1e-3, atol=1e-3)
    for name in "flux_auto", "flux_auto_err":
        assert_allclose(found[name].value / unit, plain[name].value, rtol=1e-3)


@pytest.mark.parametrize("level", [0, 1000])
@pytest.mark.parametrize("is_weighed", [True, False])
@pytest.mark.parametrize("unit", REFUSED)
def test_a_unit_beyond_single_precision_is_refused(tmp_path, sky, unit, is_weighed, level):
    with pytest.raises(InputError, match=r"(beyond single|noise above).*ingest\.zero_point"):
        seen(tmp_path, sky, unit, is_weighed, level)
