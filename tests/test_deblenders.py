from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from pipeline.config import Punet
from pipeline.data import Exposure
from pipeline.deblending.shares import reconcile
from pipeline.models import companions as companions_of
from pipeline.models import metrics, photometry, punet, unet
from pipeline.models.companions import Companions
from pipeline.scenes.neighbours import MOST
from pipeline.stamps.cutouts import cut
from pipeline.stamps.masks import enlarge


def test_targets_may_overlap_and_shares_add_up(blends):
    _, light, truth, _ = blends
    maps = unet.target(None, truth, light).astype("f4")
    swapped = unet.target(None, truth, light[..., ::-1]).astype("f4")
    assert_allclose(maps[..., 0], swapped[..., 1])
    bright = light.sum(-1) > 0.01 * np.asarray(truth["sky_rms"])[:, None, None]
    assert_allclose((maps[..., 2] + swapped[..., 2])[bright], 1, atol=2e-3)


@pytest.mark.parametrize("binning", [2, 4])
def test_masks_of_binned_stamps_end_at_the_threshold_of_the_tiles_pixels(binning):
    y, x = np.mgrid[:128, :128] - 63.5
    light = 40 * np.exp(-np.hypot(x, y / 0.7) / 10)[None, ..., None] * [1.0, 0.0]
    wanted = unet.above({"sky_rms": [1.0], "binning": [1]}, light)[..., 0]
    n = 128 // binning
    blocks = light.reshape(1, n, binning, n, binning, 2).sum((2, 4))
    found = unet.above({"sky_rms": [float(binning)], "binning": [binning]}, blocks)[..., 0]
    assert metrics.iou(enlarge(found, binning) > 0.5, wanted)[0] > 0.9
    shallow = unet.above({"sky_rms": [float(binning)], "binning": [1]}, blocks)[..., 0]
    assert metrics.iou(enlarge(shallow, binning) > 0.5, wanted)[0] < 0.8


def test_the_network_is_told_how_a_stamp_is_binned(networks, blends):
    stamps = unet.inputs(blends[0])
    assert_allclose(2 ** stamps[:, 0, 0, 2], blends[0].binning)
    other = replace(blends[0], binning=blends[0].binning * 4)
    apart = [unet.apply(networks["unet"], some)["TARGET"] for some in (blends[0], other)]
    assert np.abs(apart[0] - apart[1]).max() > 1e-3


def test_draws_repeat_and_differ(networks, blends):
    maps, settings = unet.apply(networks["unet"], blends[0]), Punet(n_draws=4, seed=1)
    one, other = (punet.apply(networks["punet"], blends[0], maps, settings) for _ in range(2))
    assert_allclose(one[1]["flux_draws"], other[1]["flux_draws"])
    assert np.ptp(one[1]["flux_draws"], axis=1).max() > 0
    assert (one[0]["TARGET_STD"] >= 0).all()
    unsure = one[1]["mask_uncertainty"]
    assert_array_equal(np.isfinite(unsure), (one[0]["TARGET"] > 0.5).any((1, 2)))
    assert 0 < np.nanmax(unsure) < 1 and np.nanmin(unsure) >= 0


def test_a_source_without_a_footprint_has_no_spread_of_it(networks, blends):
    whole = networks["punet"]

    def unlikely(graph, *arrays):
        found = whole(graph, *arrays)
        return [np.minimum(part, 0.5) for part in found] if graph == "draws" else found

    network = create_autospec(whole, side_effect=unlikely, card=whole.card, settings=whole.settings)
    maps = unet.apply(networks["unet"], blends[0])
    assert np.isnan(punet.apply(network, blends[0], maps, Punet())[1]["mask_uncertainty"]).all()


def test_draws_of_a_source_do_not_depend_on_the_others(networks, blends):
    cutouts = blends[0][:6]
    backwards = cutouts[np.arange(6)[::-1]]
    one, other = (
        punet.apply(networks["punet"], some, unet.apply(networks["unet"], some), Punet())
        for some in (cutouts, backwards)
    )
    assert_allclose(one[0]["TARGET_STD"], other[0]["TARGET_STD"][::-1], atol=1e-4)
    assert_allclose(one[1]["flux_draws"], other[1]["flux_draws"][::-1], rtol=1e-3)


def test_drawing_all_at_once_is_drawing_one_by_one(networks, blends):
    maps = unet.apply(networks["unet"], blends[0][:8])
    found, _ = punet.apply(networks["punet"], blends[0][:8], maps, Punet(n_draws=3))
    sigma = networks["punet"].card["calibration"]["sigma"]
    drawn = punet.draw(networks["punet"], unet.inputs(blends[0][:8]), 3, sigma)
    assert_allclose(found["TARGET"], drawn.mean(1, dtype="f4"), atol=5e-3)
    assert_allclose(found["TARGET_STD"], drawn.std(1, dtype="f4"), atol=5e-3)


def test_the_sigma_of_the_draws_makes_intervals_of_areas_hold(rng):
    side, (n, n_draws), sigma = 32, (400, 32), 1.3
    x = np.hypot(*(np.mgrid[:side, :side] - side / 2))
    logits = 8 - x + rng.normal(0, sigma, n)[:, None, None]
    offset = rng.normal(size=(n, n_draws))
    drawn = np.broadcast_to(expit(8 - x), (n, n_draws, side, side)).astype("f2")
    found = punet._sigma_that_holds(drawn, offset, (logits > 0).sum((1, 2)))
    assert found == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("n_draws", [7, 16])
def test_intervals_of_few_draws_hold_as_often_as_they_say(rng, n_draws):
    areas, true = rng.normal(size=(n_draws, 20_000)), rng.normal(size=20_000)
    assert punet._held(areas, true, 0.5).mean() == pytest.approx(0.5, abs=0.02)


def test_draws_share_out_the_light_of_the_footprint_alone(networks, blends):
    cutouts, maps = blends[0], unet.apply(networks["unet"], blends[0])
    _, table = punet.apply(networks["punet"], cutouts, maps, Punet(n_draws=3))
    inside = (maps["TARGET"] > unet.COLLECT_ABOVE)[..., None]
    brighter = replace(cutouts, flux=np.where(inside, cutouts.flux, 7.0).astype("f4"))
    _, same = punet.apply(networks["punet"], brighter, maps, Punet(n_draws=3))
    assert_allclose(same["flux_draws"], table["flux_draws"])


def test_collected_flux_of_a_lone_bright_source_is_its_light():
    y, x = np.mgrid[-16:16, -16:16]
    light = 1e4 * np.exp(-0.5 * (x**2 + y**2) / 4)
    mask = (light > 1e-3).astype("f4")
    stamps = np.stack([light, np.ones_like(light), mask, mask, 1 - mask], -1)[None]
    assert_allclose(photometry.collect(stamps), light.sum(), rtol=1e-6)


def _of_scenes(companions, n):
    """Companions of a set as scenes have them: a row for each target."""
    shape = n, MOST
    which = np.concatenate([np.arange(k) for k in np.bincount(companions.id, minlength=n)])
    values = {"flux": companions.flux[..., 0], "ivar": companions.ivar[..., 0]}
    values |= {"shift": companions.corner, "there": np.ones(len(companions), bool)}
    found = {k: np.zeros((*shape, *v.shape[1:]), v.dtype) for k, v in values.items()}
    for name, value in values.items():
        found[name][companions.id, which] = value
    return found


def test_shares_agree_in_training_as_on_a_tile(networks, rng):
    flux = rng.normal(size=(80, 80, 1)).astype("f4")
    flux[34:38, 30:44] += 30
    exposure = Exposure(flux, np.ones_like(flux), None, ("r",))
    places = {"x": [33.0, 41.0, 48.0], "y": [36.0, 36.0, 30.0]}
    stamps = cut(exposure, Table({"id": [0, 1, 2], **places}), 32)
    maps = unet.apply(networks["unet"], stamps)
    others, planes = stamps[1:], (v[..., 0] for v in (stamps.flux[1:], stamps.ivar[1:]))
    shift = others.corner - stamps.corner[0]
    companions = Companions(*planes, np.zeros(2, int), shift, np.ones(2, bool))
    own = {name: maps[name][:1].copy() for name in unet.MAPS}
    reconcile(maps, stamps, flux.shape)
    agreed = companions_of.reconcile(networks["unet"], companions, own, stamps.binning[:1])
    assert np.abs(agreed - own["SHARE"]).max() > 0.05
    assert_allclose(agreed[0], maps["SHARE"][0], atol=1e-5)


def test_the_flux_network_sees_in_training_what_it_sees_in_use(networks, blends):
    cutouts, normal = blends[0], np.random.default_rng(0).standard_normal
    used, known = photometry.inputs(cutouts, networks, blends.companions)
    scenes = {"flux": cutouts.flux[..., 0], "ivar": cutouts.ivar[..., 0]}
    scenes |= {"truth": {"binning": cutouts.binning}}
    scenes |= {"companions": _of_scenes(blends.companions, len(cutouts))}
    trained, also_known = photometry.see(scenes, networks, normal)
    assert_allclose(trained, used, rtol=1e-5, atol=1e-5)
    assert_allclose(also_known[:, [0, 3]], known[:, [0, 3]], rtol=1e-5, atol=1e-5)
    assert_allclose(also_known[:, 1], known[:, 1], atol=0.5)  # of other draws
