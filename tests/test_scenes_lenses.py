from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.models.metrics import roc_auc
from pipeline.scenes import lenses, patterns
from pipeline.scenes.artefacts import draw_artefact
from pipeline.scenes.dice import Dice
from pipeline.scenes.impostors import KINDS, OWN, SKY, draw_own, typical_share
from pipeline.scenes.lensing import Body, Mass, brightness, draw_source, paint_arcs, trace
from pipeline.scenes.light import Parts
from pipeline.scenes.optics import MIRRORS, N_PROFILES
from pipeline.simulate.population import EINSTEIN_RANGE

GRID = tuple(jnp.asarray(v, "f4") for v in np.mgrid[-40:40:0.5, -40:40:0.5][::-1])
BODY = Body(*(jnp.float32(v) for v in (5.0, 0.8, 0.3, 0.0, 0.0)))


@pytest.fixture(scope="module")
def draw():
    return jax.jit(partial(lenses.draw_batch, n=64, size=96))


@pytest.fixture(scope="module")
def batches(draw):
    return [jax.device_get(draw(jax.random.key(i))) for i in range(10)]


@pytest.fixture(scope="module")
def truth(batches):
    rows = [batch["truth"] for batch in batches]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def test_a_key_says_it_all(draw, batches):
    again = jax.device_get(draw(jax.random.key(0)))
    assert_array_equal(again["flux"], batches[0]["flux"])
    assert not np.array_equal(batches[1]["flux"], batches[0]["flux"])


def test_stamps_are_finite_and_lost_pixels_hold_nothing(batches):
    for batch in batches:
        assert batch["accepted"].all()
        assert np.isfinite(batch["flux"]).all()
        assert np.isfinite(batch["ivar"]).all()
        assert (batch["ivar"] >= 0).all()
        assert (batch["flux"][batch["ivar"] == 0] == 0).all()


def test_half_are_lenses_and_every_kind_is_there(truth):
    assert truth["is_lens"].mean() == 0.5
    assert set(truth["kind"]) == set(range(len(lenses.EVERY)))
    assert_array_equal(truth["kind"] == 0, truth["is_lens"])


def test_only_lenses_have_arcs_and_they_can_be_seen(truth):
    is_lens = truth["is_lens"]
    assert (truth["arc_snr"][is_lens] >= lenses.MIN_ARC_SNR * (1 - 1e-4)).all()
    low, high = lenses.CONTRASTS
    assert ((truth["contrast"][is_lens] >= low * 0.99) & (truth["contrast"][is_lens] <= high)).all()
    assert (truth["arc_snr"][~is_lens] == 0).all()
    assert np.isnan(truth["theta_e"][~is_lens]).all()
    radius = truth["theta_e"][is_lens]
    assert radius.min() >= EINSTEIN_RANGE[0] * 0.999
    assert radius.max() <= EINSTEIN_RANGE[1] * 1.001


def test_brightness_and_size_alone_tell_little(truth):
    for column in ("snr", "re", "fwhm", "pixel_scale"):
        assert 0.4 < roc_auc(truth[column], truth["is_lens"]) < 0.62


def test_lenses_and_others_are_seen_through_rings_alike(truth):
    wanted = len(MIRRORS) / N_PROFILES
    for rows in (truth["is_lens"], ~truth["is_lens"]):
        assert_allclose(truth["rings"][rows].mean(), wanted, atol=3 * np.sqrt(0.2 / rows.sum()))


def test_what_is_typical_has_the_shares_of_the_sky():
    kept = typical_share(list(KINDS)) * list(KINDS.values())
    assert_allclose(kept / kept.sum(), list(SKY.values()), rtol=1e-5)
    assert_allclose(typical_share(["lens"]), kept.sum(), rtol=1e-5)


@pytest.mark.parametrize("kind", lenses.EVERY)
def test_a_bodys_light_is_one(kind):
    parts, points = jax.jit(lambda key: draw_own(kind, BODY, 0.2, Dice(key)))(jax.random.key(2))
    assert len(parts.flux) == OWN
    light = float(parts.flux.sum() + points.flux.sum())
    wanted = 0.0 if kind in ("spiral", "ring") else 1.0
    # Galaxies without their knots hold a little less.
    assert wanted - 0.36 <= light <= wanted + 1e-5


def test_deflections_are_those_of_lenstronomy(rng):
    x, y = rng.normal(0, 10, (2, 400))
    for _ in range(10):
        q, angle, shear, turn = rng.uniform(0.5, 0.99), *rng.uniform(0, 3, 2), rng.uniform(0, 3)
        mass = Mass(9.0, q, angle, shear / 20, turn, rng.uniform(1.8, 2.3))
        size = (1 - q) / (1 + q)
        lens = {"theta_E": 9.0, "gamma": mass.slope, "center_x": 0.0, "center_y": 0.0}
        lens |= {"e1": size * np.cos(2 * angle), "e2": size * np.sin(2 * angle)}
        outer = {"ra_0": 0.0, "dec_0": 0.0, "gamma1": mass.shear * np.cos(2 * turn)}
        outer |= {"gamma2": mass.shear * np.sin(2 * turn)}
        expected = LensModel(["EPL", "SHEAR"]).ray_shooting(x, y, [lens, outer])
        assert_allclose(trace(mass, x, y), expected, atol=4e-3)


def test_a_source_behind_the_centre_makes_a_ring():
    """An isothermal sphere images what is right behind it at the Einstein radius (any textbook)."""
    behind = trace(Mass(10.0, 0.9999, 0.0, 0.0, 0.0), *GRID)
    light = brightness(Parts(1.0, 0.7, 1.0, 1.0, 0.0, 0.0, 0.0), *behind)
    radius = jnp.hypot(*GRID)
    assert_allclose((light * radius).sum() / light.sum(), 10, atol=0.2)


def test_a_sources_brightness_adds_up_to_its_flux():
    for index in (0.5, 1.0, 1.5):
        light = brightness(Parts(3.0, 3.0, index, 0.6, 0.4, 2.25, -0.75), *GRID)
        assert_allclose(light.sum() / 4, 3, rtol=0.03)


def test_a_source_holds_all_of_its_light():
    for i in range(5):
        assert_allclose(draw_source(9.0, Dice(jax.random.key(i))).flux.sum(), 1, rtol=1e-5)


def test_painted_arcs_lie_about_the_einstein_radius():
    paint = jax.jit(lambda key: paint_arcs(BODY, 8.0, *GRID, Dice(key)))
    for i in range(6):
        light = np.asarray(paint(jax.random.key(i)))
        assert light.min() >= 0
        assert_allclose(light.sum(), 1, rtol=1e-4)
        assert 4 < (light * np.hypot(*GRID)).sum() < 16


@pytest.mark.parametrize("shape", ["spiral", "ring", "shells", "tail", "lone_arc"])
def test_patterns_are_light_of_unit_flux(shape):
    draw = getattr(patterns, f"draw_{shape}")
    paint = jax.jit(lambda key: draw(5.0, *GRID, Dice(key)))
    for i in range(10):
        light = np.asarray(paint(jax.random.key(i)))
        assert light.min() >= 0
        assert_allclose(light.sum(), 1, rtol=1e-4)


def test_artefacts_are_finite():
    paint = jax.jit(lambda key: draw_artefact((32, 32), Dice(key)))
    for i in range(40):
        assert np.isfinite(paint(jax.random.key(i))).all()
