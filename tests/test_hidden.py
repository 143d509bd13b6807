from types import SimpleNamespace

import galsim
import numpy as np
import pytest
import sep
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import cKDTree

from pipeline import config
from pipeline.data import Exposure
from pipeline.detection import hidden
from pipeline.detection.extract import Sight
from pipeline.detection.psf import Moffat
from pipeline.flags import Flag
from pipeline.models.engine import load
from tests.detected import detect

FWHM, SIDE = 3.0, 120
SETTINGS = config.Detect(psf_fwhm=FWHM)
BLENDS = [((6.0, 3.0), 1.3), ((8.0, 4.0), 1.35), ((9.0, 3.0), 1.2)]  # half-light radii, separation


@pytest.fixture(scope="module")
def network():
    return load(None, "unet", config.Apply(precision="f32"))


def galaxy(re, q=0.8):
    return galsim.Exponential(half_light_radius=re).shear(q=q, beta=0.6 * galsim.radians)


def sky_of(galaxies, shape, rng):
    """Exposure of galaxies ``(re, x, y, flux)``, with noise of 1."""
    image = galsim.ImageF(*shape[::-1], xmin=0, ymin=0, scale=1.0)
    for re, x, y, flux in galaxies:
        seen = galsim.Convolve(galaxy(re), galsim.Moffat(beta=3, fwhm=FWHM)).withFlux(flux)
        image += seen.drawImage(image=image.copy(), center=galsim.PositionD(x, y))
    flux = (image.array + rng.normal(size=shape)).astype("f4")[..., None]
    return Exposure(flux, np.ones_like(flux), None, ("r",))


def places(found):
    return np.column_stack([found["x"].value, found["y"].value])


def test_most_galaxies_without_a_peak_of_their_own_are_found(network, rng):
    galaxies = []
    for i, ((large, small), apart) in enumerate(4 * BLENDS):
        x, y, angle = SIDE * (i // 3 + 0.5), SIDE * (i % 3 + 0.5), rng.uniform(0, 2 * np.pi)
        away = apart * large * np.array([np.cos(angle), np.sin(angle)])
        galaxies += [(large, x, y, 2e4), (small, x + away[0], y + away[1], 1e4)]
    exposure = sky_of(galaxies, (3 * SIDE, 4 * SIDE), rng)
    alone, both = detect(exposure, SETTINGS), detect(exposure, SETTINGS, network)
    true = np.array([galaxy[1:3] for galaxy in galaxies])
    found, found_alone = (cKDTree(places(t)).query(true)[0] < 2.5 for t in (both, alone))
    assert found.mean() > found_alone.mean() + 0.3
    assert len(both) <= len(galaxies)
    assert_array_equal(both["label"], np.arange(1, len(both) + 1))
    assert (both["flags"][len(alone) :] & Flag.BLENDED > 0).all()


def test_nothing_hides_in_lone_galaxies(network, rng):
    grid = np.stack(np.mgrid[:4, :4], -1).reshape(-1, 2) * 80 + 40
    galaxies = [
        (re, x, y, flux)
        for (x, y), re, flux in zip(
            grid, rng.uniform(1, 9, 16), 10 ** rng.uniform(3, 5, 16), strict=True
        )
    ]
    exposure = sky_of(galaxies, (320, 320), rng)
    assert_allclose(places(detect(exposure, SETTINGS, network)), places(detect(exposure, SETTINGS)))


def test_images_without_sources_or_information_are_no_trouble(network, rng):
    flux = rng.normal(size=(64, 64, 1)).astype("f4")
    for ivar in (np.ones_like(flux), np.zeros_like(flux)):
        seen = Exposure(np.where(ivar > 0, flux, 0), ivar, None, ("r",))
        assert len(detect(seen, SETTINGS, network)) == 0
    none = Exposure(np.zeros((0, 0, 1), "f4"), np.zeros((0, 0, 1), "f4"), None, ("r",))
    assert len(detect(none, SETTINGS, network)) == 0


def test_a_saturated_stars_neighbourhood_is_left_alone(network, rng):
    star, other = (3.0, 60, 60, 3e5), (5.0, 72, 60, 2e4)
    exposure = sky_of([star, other], (120, 120), rng)
    exposure.ivar[50:70, 58:63] = 0
    exposure.flux[50:70, 58:63] = 0
    assert_allclose(places(detect(exposure, SETTINGS, network)), places(detect(exposure, SETTINGS)))


def test_the_network_sees_stamps_of_its_own_size(monkeypatch, rng):
    small, seen = SimpleNamespace(card={"scenes": {"size": 32}}), []

    def apply(network, stamps):
        seen.append(stamps.flux.shape[1:3])
        nothing = np.zeros(stamps.flux.shape[:3], "f4")
        return {"SHARE": nothing, "TARGET": nothing}

    monkeypatch.setattr(hidden.unet, "apply", apply)
    detect(sky_of([(3.0, 60, 60, 3e4)], (120, 120), rng), SETTINGS, small)
    assert set(seen) == {(32, 32)}


def test_what_is_known_does_not_hide(rng):
    flux = sky_of([(3.0, 40, 60, 3e4), (3.0, 80, 60, 3e4)], (120, 120), rng).flux[..., 0]
    ivar, none = np.ones_like(flux), np.zeros(flux.shape, bool)
    sight = Sight(flux, flux, ivar, none, Moffat(FWHM), "", SETTINGS, 1.0, none)
    for known, n in (([39.0, 80.0], 0), ([39.0, 76.0], 1)):
        found = hidden._hidden(flux, Table({"x": known, "y": [60.0, 60.0]}), sight)
        assert len(found.objects) == n


def test_a_core_is_where_the_peak_is_whatever_is_beside_it():
    y, x = np.mgrid[:40, :40]
    image = np.exp(-((x - 12) ** 2 + (y - 21) ** 2) / 8) + 0.5 * (x > 25)
    core = hidden._core(image, np.s_[100:140, 200:240], Moffat(FWHM))
    assert_allclose(core, (212, 121), atol=0.05)


def plane(x, share):
    return hidden.Plane(np.s_[0:1, x : x + len(share)], np.array([share], "f4"))


def claims(*planes):
    total = np.zeros((1, 12), "f4")
    for one in planes:
        total[one.window] += one.share
    return total


def test_of_two_that_claim_the_same_light_one_goes():
    same = plane(2, [0.5, 1.0, 0.5]), plane(2, [0.4, 0.9, 0.4])
    host, light = np.array([7]), np.ones((1, 12))
    unneeded, needed = hidden._redundant({7: same[0]}, [same[1]], host, claims(*same), light)
    assert len(unneeded) + (~needed).sum() == 1


def test_sources_that_share_little_light_stay():
    apart = plane(0, [0.2, 1.0, 0.3]), plane(2, [0.3, 1.0, 0.2])
    host, light = np.array([0]), np.ones((1, 12))
    unneeded, needed = hidden._redundant({0: apart[0]}, [apart[1]], host, claims(*apart), light)
    assert not unneeded
    assert needed.all()


def test_a_detection_between_two_galaxies_gives_way_to_both():
    ends, middle = (plane(0, [1.0, 1.0]), plane(2, [1.0, 1.0])), plane(1, [0.8, 0.8])
    host, light = np.array([3, 3]), np.ones((1, 12))
    total = claims(*ends, middle)
    unneeded, needed = hidden._redundant({3: middle}, list(ends), host, total, light)
    assert unneeded == [3]
    assert needed.all()
    assert_allclose(total, claims(*ends), atol=1e-6)


def test_a_host_keeps_pixels_though_what_hid_in_it_stands_out_in_all_of_them():
    segments = np.zeros((9, 12), "i4")
    segments[3:6, 2:10] = 1
    image = segments * np.float32(10)
    host, hid = (sep.extract(image, 1.0) for _ in range(2))
    host["x"], hid["x"] = 4, 8
    found, hidden_one = (hidden.Detections(one, segments.copy()) for one in (host, hid))
    joined, _ = hidden._joined(found, hidden_one, np.array([0]), [], np.array([True]))
    assert_array_equal(joined.segments[4], [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0])
