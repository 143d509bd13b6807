import numpy as np
import pytest
from astropy.table import Table, hstack
from numpy.testing import assert_allclose, assert_array_equal
from photutils.geometry import elliptical_overlap_grid

from pipeline import config
from pipeline.data import Exposure
from pipeline.deblending import deblend
from pipeline.deblending.footprints import crowding, footprints, label_image
from pipeline.deblending.shares import divide, reconcile
from pipeline.flags import Flag
from pipeline.pixels.apertures import ellipse_weights, weighted_flux
from pipeline.stamps.cutouts import cut
from tests.detected import detect


def exposure_of(flux, ivar=None, gain=(0.0,)):
    flux = np.asarray(flux, "f4")[..., None]
    ivar = np.ones_like(flux) if ivar is None else np.asarray(ivar, "f4")[..., None]
    return Exposure(flux, ivar, None, ("r",), gain=gain)


def sources_at(*positions, a=3.0, kron_radius=3.0):
    x, y = np.array(positions, float).reshape(-1, 2).T
    n = np.arange(len(x))
    ellipse = {"a": a + 0 * x, "b": 0.6 * a + 0 * x, "theta": 20.0 + 0 * x}
    extent = {"kron_radius": kron_radius + 0 * x}
    noise = {"noise_ratio": np.ones((len(x), 1))}
    return Table({"id": n + 50, "label": n + 1, "x": x, "y": y, **ellipse, **extent, **noise})


def discs(sources, cutouts, radius, share=1.0):
    size = cutouts.flux.shape[1]
    grid = np.arange(size)
    first = cutouts.corner + ((cutouts.binning - 1) / 2)[:, None]
    grid = grid * cutouts.binning[:, None]
    dx = grid - (np.asarray(sources["x"]) - first[:, 0])[:, None]
    dy = grid - (np.asarray(sources["y"]) - first[:, 1])[:, None]
    target = (np.hypot(dy[:, :, None], dx[:, None, :]) <= radius).astype("f4")
    return {"TARGET": target, "SHARE": np.full_like(target, share)}


def measure(exposure, sources, radius=4.0, share=1.0, *, size=32, binning=1):
    stamps = cut(exposure, sources, size, binning)
    maps = discs(sources, stamps, radius, share)
    claims = footprints(exposure, sources, stamps, maps)
    label, overlap = label_image(claims, sources, exposure.flux.shape[:2])
    flux = deblend.deblended_flux(exposure, sources, stamps, maps["SHARE"])
    return label, overlap, hstack([flux, crowding(claims, len(sources), overlap)])


def test_aperture_weights_against_exact_geometry(rng):
    n, size = 40, 33
    x, y = rng.uniform(13, 19, (2, n))
    a = rng.uniform(1.5, 12, n)
    axes, theta = np.column_stack([a, a * rng.uniform(0.4, 1, n)]), rng.uniform(-90, 90, n)
    weights = ellipse_weights(x, y, axes, theta, size)
    for i in range(n):
        box = -0.5 - x[i], size - 0.5 - x[i], -0.5 - y[i], size - 0.5 - y[i]
        exact = elliptical_overlap_grid(*box, size, size, *axes[i], np.radians(theta[i]), 1, 1)
        assert_allclose(weights[i], exact, atol=0.06)
        assert_allclose(weights[i].sum(), exact.sum(), rtol=5e-3)


def test_weighted_flux_by_hand():
    flux = np.array([[4.0, 2.0], [7.0, 1.0]])[None, :, :, None]
    ivar = np.array([[1.0, 0.25], [0.0, 1.0]])[None, :, :, None]
    weights = np.array([[1.0, 0.5], [1.0, 0.0]])[None, :, :, None]
    total, error = weighted_flux(flux, ivar, weights, (2.0,))
    assert_allclose(total, [[4 + 1]])
    assert_allclose(error**2, [[1 * (1 + 4 / 2) + 0.25 * (4 + 2 / 2)]])


@pytest.mark.parametrize("binning", [1, 3])
def test_light_is_neither_lost_nor_counted_twice(rng, binning):
    exposure = exposure_of(rng.normal(5, 1, (120, 120)))
    sources = sources_at((60.2, 61.7), (60.2, 61.7), a=3.0 * binning)
    stamps = cut(exposure, sources, 32, binning)
    maps = discs(sources, stamps, 4 * binning)
    maps["SHARE"][:] = rng.random((2, 32, 32))
    parts = deblend.deblended_flux(exposure, sources, stamps, maps["SHARE"])
    alone = measure(exposure, sources[:1], 4 * binning, binning=binning)[2]
    assert_allclose(parts["flux"].value.sum(), alone["flux"].value.sum(), rtol=1e-5)


def test_a_lone_source_has_all_of_its_light_however_little_it_claims(rng):
    exposure, sources = exposure_of(rng.normal(5, 1, (64, 64))), sources_at((30.2, 31.7))
    one, other = (measure(exposure, sources, share=share)[2]["flux"] for share in (1.0, 0.1))
    assert_allclose(one.value, other.value)


def test_light_is_divided_as_the_shares_say(rng):
    exposure = exposure_of(np.ones((64, 64)))
    sources = sources_at((30, 31), (31, 31))
    stamps = cut(exposure, sources, 32)
    share = np.stack([np.full((32, 32), v, "f4") for v in (0.6, 0.2)])
    divided = np.concatenate([part for _, part in divide(share, stamps, exposure.flux.shape)])
    assert_allclose(divided[:, 16, 16], [0.75, 0.25], rtol=1e-6)
    assert_allclose(divided[:, :, [0, -1]][[0, 1], :, [0, -1]], 1)  # where the other's ends


def test_shares_of_two_stamps_agree_where_there_is_light_and_stay_where_there_is_none(rng):
    exposure, sources = exposure_of(np.zeros((64, 64))), sources_at((30, 31), (30, 31))
    stamps = cut(exposure, sources, 32)
    maps = discs(sources, stamps, 6)
    maps["NEIGHBOUR"], maps["SHARE"] = maps["TARGET"], rng.uniform(0.2, 0.9, (2, 32, 32))
    before, light = maps["SHARE"].copy(), maps["TARGET"][0] > 0
    reconcile(maps, stamps, exposure.flux.shape)
    assert_allclose(maps["SHARE"].sum(0)[light], 1, rtol=1e-5)
    assert_allclose(maps["SHARE"][:, ~light], before[:, ~light])


def test_light_of_a_source_that_nobody_found_is_given_to_no_other():
    exposure, sources = exposure_of(np.zeros((64, 64))), sources_at((30, 31), (30, 31))
    stamps = cut(exposure, sources, 32)
    maps = discs(sources, stamps, 6)
    maps["NEIGHBOUR"], maps["SHARE"] = maps["TARGET"], np.full((2, 32, 32), 0.5, "f4")
    maps["SHARE"][1] = 0.01
    reconcile(maps, stamps, exposure.flux.shape)
    assert maps["SHARE"][0].max() < 0.56


def test_a_lone_source_keeps_the_share_that_it_was_given(rng):
    exposure, sources = exposure_of(np.zeros((64, 64))), sources_at((30, 31))
    stamps = cut(exposure, sources, 32)
    maps = discs(sources, stamps, 6)
    maps["NEIGHBOUR"], maps["SHARE"] = maps["TARGET"], rng.random((1, 32, 32)).astype("f4")
    before = maps["SHARE"].copy()
    reconcile(maps, stamps, exposure.flux.shape)
    assert_allclose(maps["SHARE"], before, rtol=1e-6)


def test_an_isolated_source_that_owns_its_light_has_its_kron_flux(rng):
    y, x = np.mgrid[:80, :80]
    light = 900 * np.exp(-((x - 41.3) ** 2 + (y - 38.8) ** 2) / 2 / 2.2**2)
    exposure = exposure_of(light + rng.normal(size=(80, 80)), gain=(3.0,))
    sources = detect(exposure, config.Detect(psf_fwhm=4))
    sources = sources[np.argsort(-sources["snr"])[:1]]
    stamps = cut(exposure, sources, 64)
    maps = discs(sources, stamps, 8)
    found = deblend.deblended_flux(exposure, sources, stamps, maps["SHARE"])
    assert_allclose(found["flux"], sources["flux_auto"], rtol=1e-5)
    assert_allclose(found["flux_err"], sources["flux_auto_err"], rtol=1e-5)
    assert found["flags"][0] == 0


def test_missing_pixels_are_not_counted():
    flux, ivar = np.ones((40, 40)), np.ones((40, 40))
    ivar[20, 20] = 0
    whole = measure(exposure_of(flux), sources_at((20, 20)))[2]
    holed = measure(exposure_of(flux, ivar), sources_at((20, 20)))[2]
    assert_allclose((whole["flux"] - holed["flux"]).value, 1, rtol=1e-5)


def test_order_does_not_matter(rng):
    exposure = exposure_of(rng.normal(size=(90, 90)))
    sources = sources_at(*rng.uniform(5, 85, (30, 2)))
    label, overlap, flux = measure(exposure, sources, radius=6)
    turned = rng.permutation(30)
    label2, overlap2, flux2 = measure(exposure, sources[turned], radius=6)
    assert_array_equal(label, label2)
    assert_array_equal(overlap, overlap2)
    for name in flux.colnames:
        assert_allclose(np.asarray(flux[name])[turned], np.asarray(flux2[name]), err_msg=name)


def test_translation_moves_the_images_along(rng):
    image = np.zeros((100, 100))
    image[20:60, 20:60] = rng.normal(size=(40, 40))
    places = rng.uniform(30, 50, (5, 2))
    there = measure(exposure_of(image), sources_at(*places))
    moved = np.roll(image, (7, 11), (0, 1))
    here = measure(exposure_of(moved), sources_at(*(places + np.array([11, 7]))))
    assert_array_equal(np.roll(there[0], (7, 11), (0, 1)), here[0])
    assert_allclose(there[2]["flux"], here[2]["flux"], atol=1e-3)


def test_a_tile_without_usable_pixels():
    exposure = exposure_of(np.zeros((40, 40)), np.zeros((40, 40)))
    label, _, table = measure(exposure, sources_at((10, 12)))
    assert (label > 0).sum() == 1
    assert np.isnan(table["flux"].value).all()


def test_an_empty_tile_has_the_same_columns():
    empty = Exposure.empty(("r",), "broken")
    label, overlap, table = measure(empty, sources_at())
    full = measure(exposure_of(np.ones((40, 40))), sources_at((20, 20)))[2]
    assert label.shape == overlap.shape == (0, 0)
    assert table.colnames == full.colnames
    assert [table[n].dtype for n in table.colnames] == [full[n].dtype for n in full.colnames]


def test_an_aperture_that_leaves_its_stamp_is_flagged():
    exposure = exposure_of(np.ones((90, 90)))
    sources = sources_at((40, 40), (40, 40))
    sources["a"][1], sources["b"][1] = 6, 5
    assert_array_equal(measure(exposure, sources)[2]["flags"], [0, Flag.STAMP_CLIPPED])


def test_uncertainty_is_the_largest_of_the_stamps():
    exposure = exposure_of(np.zeros((40, 50)))
    stamps = cut(exposure, sources_at((10, 10), (14, 10), (49, 39)), 16)
    spread = np.ones((3, 16, 16), "f4") * np.array([0.3, 0.2, 0.1])[:, None, None]
    image = np.zeros(exposure.flux.shape[:2], "f4")
    deblend.raise_to(image, stamps[2:], spread[2:])
    deblend.raise_to(image, stamps[:2], spread[:2])
    assert_allclose(image[10, [2, 6, 18, 22]], [0.3, 0.3, 0.2, 0])
    assert_allclose(image[39, 49], 0.1)
