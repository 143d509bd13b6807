"""What the flags of detected sources say, and the broadening that tells points."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from pipeline import config
from pipeline.detection.detect import TRAINED_R50, _size_flags
from pipeline.detection.psf import Moffat, broadening
from pipeline.flags import Flag
from tests.detected import detect
from tests.test_detect import FWHM, SETTINGS, distances, exposure_of, paint


def test_flags_say_what_is_wrong(rng):
    places = {"edge": (0, 60), "masked": (60, 30), "saturated": (60, 90), "fine": (110, 60)}
    image = paint((120, 150), places.values(), [2000, 2000, 9000, 2000])
    image += rng.normal(size=image.shape)
    ivar = np.ones_like(image)
    ivar[:, 62:64] = np.where(np.arange(120) < 50, 0, 1)[:, None]
    found = detect(exposure_of(image, ivar=ivar, saturation=(400.0,)), SETTINGS)
    _, rows = distances(found, list(places.values()))
    flags = dict(zip(places, found["flags"][rows], strict=True))
    assert flags["edge"] & Flag.EDGE
    assert flags["masked"] & Flag.MASKED
    assert flags["saturated"] & Flag.SATURATED
    assert flags["fine"] == Flag.POINT_LIKE


@pytest.mark.parametrize("flag", [Flag.MASKED, Flag.SATURATED])
def test_flags_tell_of_every_band(flag, rng):
    image = paint((80, 120), [(30, 40), (90, 40)], [2000, 2000]) + rng.normal(size=(80, 120))
    exposure = exposure_of(image, image, saturation=(np.inf, 299.9))
    core = np.s_[39:42, 29:32, 1]
    exposure.flux[..., 1] = np.minimum(exposure.flux[..., 1], 299)
    if flag == Flag.MASKED:
        exposure.ivar[core] = exposure.flux[core] = 0
    else:
        exposure.flux[core] = 299.9  # less, as a float32, than as a float64
    found = detect(exposure, SETTINGS)
    flags = np.asarray(found["flags"])[np.argsort(found["x"])]
    assert flags[0] & flag
    assert not flags[1] & flag


@pytest.mark.parametrize("fwhm", [1.2, 7.0])
def test_an_image_unlike_the_training_set_is_flagged(fwhm, rng):
    image = paint((80, 80), [(40, 40)], [3000], fwhm) + rng.normal(size=(80, 80))
    found = detect(exposure_of(image), config.Detect(psf_fwhm=fwhm))
    assert (found["flags"] & Flag.OFF_RANGE).all()


def test_a_galaxy_larger_than_any_binned_stamp_shows_is_flagged():
    flags = _size_flags(TRAINED_R50 * np.array([0.99, 1.01]), Moffat(FWHM))
    assert list(flags) == [0, Flag.OFF_RANGE]


def test_the_broadening_of_stars_scatters_about_zero_as_it_says(rng):
    places = 30 + 40 * np.indices((12, 12)).reshape(2, -1).T + rng.uniform(-0.5, 0.5, (144, 2))
    image = paint((500, 500), places[:72], np.full(72, 900))
    image += paint((500, 500), places[72:], np.full(72, 900), 1.3 * FWHM)
    found = detect(exposure_of(image + rng.normal(size=image.shape)), SETTINGS)
    apart, rows = distances(found, places)
    assert (apart < 1).all()
    wider, error = (np.asarray(found[name])[rows] for name in ("broadening", "broadening_err"))
    for some, value in ((slice(72), 0), (slice(72, None), 1.3)):
        pull = (wider[some] - value) / error[some]
        assert abs(pull.mean()) < 0.5
        assert 0.7 < pull.std() < 1.4


def test_broadening_of_a_star_and_of_the_two_profiles_together():
    sharp, wide = (paint((80, 80), [(40.3, 39.6)], [500], w * FWHM) for w in (1.0, 1.3))
    owned, place = np.ones(sharp.shape, "i4"), Table({"x": [40.3], "y": [39.6]})
    for share in (0.0, 0.5, 2.0):
        found, error = broadening(
            sharp + share * wide, np.ones_like(sharp), owned, place, Moffat(FWHM)
        )
        assert_allclose(found, share / (1 + share * _overlap(sharp, wide)), rtol=0.03, atol=1e-3)
        assert 0 < error[0] < 0.2


def _overlap(sharp, wide):
    """Amplitude of the sharp profile in the wide one, by least squares."""
    return (sharp * wide).sum() / (sharp**2).sum()


def test_a_source_that_others_cover_has_no_broadening():
    light, place = np.ones((30, 30)), Table({"x": [15.0], "y": [15.0]})
    owned = np.full(light.shape, 2, "i4")
    found, error = broadening(light, np.ones_like(light), owned, place, Moffat(FWHM))
    assert found == 0 and np.isinf(error)


def test_faint_sources_are_not_called_points(rng):
    grid = np.stack(np.mgrid[30:600:40, 30:600:40], -1).reshape(-1, 2) + 0.3
    snr = np.where(np.arange(len(grid)) % 2, 15, 60)
    flux = snr / np.sqrt((Moffat(FWHM).stamps([0], [0], 41) ** 2).sum())
    image = paint((610, 610), grid, flux) + rng.normal(size=(610, 610))
    found = detect(exposure_of(image), SETTINGS)
    away, rows = distances(found, grid)
    is_point = (found["flags"][rows] & Flag.POINT_LIKE) > 0
    assert is_point[(snr == 60) & (away < 1)].mean() > 0.9
    assert not is_point[snr == 15].any()
