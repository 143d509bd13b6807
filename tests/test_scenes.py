import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.config import Config
from pipeline.simulate.blends import draw_blends
from pipeline.simulate.conditions import draw_conditions, observe
from pipeline.simulate.lenses import draw_lenses
from pipeline.training import scenes


@pytest.fixture(scope="module")
def blends():
    return draw_blends(40, 32, np.random.default_rng(5))


def test_light_is_positive_and_the_stamp_is_light_and_noise(blends):
    cutouts, light, truth = blends
    assert light.min() > -1e-3 * light.max()
    usable = cutouts.ivar[..., 0] > 0
    residual = (cutouts.flux[..., 0] - light.sum(-1)) / np.asarray(truth["sky_rms"])[:, None, None]
    faint = usable & (light.sum(-1) < 0.1 * np.asarray(truth["sky_rms"])[:, None, None])
    assert_allclose(residual[faint].std(), 1, atol=0.25)
    assert abs(residual[faint].mean()) < 0.2


def test_the_target_is_at_the_stamps_centre(blends):
    _, light, truth = blends
    assert np.median(np.hypot(truth["x"] - 16, truth["y"] - 16)) < 1.5
    y, x = np.mgrid[:32, :32]
    own = light[..., 0]
    small = np.asarray(truth["re"]) < 2
    at = [(own * axis).sum((1, 2)) / own.sum((1, 2)) for axis in (x, y)]
    assert_allclose(at[0][small], truth["x"][small], atol=0.7)
    assert_allclose(at[1][small], truth["y"][small], atol=0.7)


def test_the_targets_light_does_not_exceed_its_flux(blends):
    _, light, truth = blends
    assert (light[..., 0].sum((1, 2)) < 1.05 * np.asarray(truth["flux"])).all()


@pytest.mark.parametrize("draw", [draw_blends, draw_lenses])
def test_a_seed_says_it_all(draw):
    one, other, different = (draw(6, 32, np.random.default_rng(s)) for s in (3, 3, 4))
    assert_array_equal(one[0].flux, other[0].flux)
    assert not np.array_equal(one[0].flux, different[0].flux)


def test_the_splits_and_shards_share_no_scene(tmp_path):
    config = Config.model_validate({"scenes": {"blends": 4, "held_out": 1, "shard": 2, "size": 32}})
    seen = []
    for split in ("train", "validation", "test"):
        for shard in (0, 1):
            scenes(config, tmp_path / split / str(shard), kind="blends", split=split, shard=shard)
            seen.append((tmp_path / split / str(shard) / "light.fits").read_bytes())
    assert len(set(seen)) == len(seen)


def test_lost_pixels_hold_nothing(rng):
    for _ in range(30):
        flux, ivar = observe(np.zeros((32, 32)), draw_conditions(rng), rng)
        assert (flux[ivar == 0] == 0).all()
        assert np.isfinite(flux).all()
