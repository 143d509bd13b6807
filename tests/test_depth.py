import numpy as np
from astropy.table import Table
from numpy.testing import assert_array_equal

from pipeline.cutouts import cut
from pipeline.data import Exposure
from pipeline.masks import expand
from pipeline.models import metrics
from pipeline.models.depth import at_tile_depth
from pipeline.models.unet import THRESHOLD

SIDE = 256


def _galaxy(seed=3):
    """Noiseless light of an exponential disc in the middle, and its stamp at each binning."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    light = 40 * np.exp(-np.hypot(x, y / 0.7) / 12)
    noise = np.random.default_rng(seed).standard_normal(light.shape)
    image = (light + noise).astype("f4")[..., None]
    exposure = Exposure(image, np.ones_like(image), None, ("r",), unit="adu")
    middle = np.full(3, SIDE // 2)
    sources = Table({"id": np.arange(3), "x": middle, "y": middle})
    return light, cut(exposure, sources, 64, np.array([1, 2, 4]))


def _whole(cutouts):
    """Maps of a network that sees the source alone, as far as the stamps' own noise allows."""
    shape = cutouts.flux.shape[:3]
    return {"TARGET": np.ones(shape, "f4"), "TARGET_STD": np.full(shape, 0.1, "f4")}


def test_masks_of_binned_stamps_end_at_the_tiles_threshold():
    light, cutouts = _galaxy()
    masks = at_tile_depth(cutouts, np.ones(cutouts.flux.shape[:3], "f4"), _whole(cutouts))
    wanted = light > THRESHOLD
    found = expand(masks["TARGET"][1:], cutouts.binning[1:], SIDE) > 0.5
    assert metrics.iou(found, np.stack([wanted, wanted])).min() > 0.85
    own = light[None, ::2, ::2][:, 32:96, 32:96] > THRESHOLD / 2
    before = expand(own, np.array([2]), SIDE) > 0.5
    assert metrics.iou(before, wanted[None])[0] < 0.8  # what a block's own threshold would give


def test_stamps_that_are_not_binned_stay_as_they_are():
    _, cutouts = _galaxy()
    maps = _whole(cutouts)
    masks = at_tile_depth(cutouts, np.ones(cutouts.flux.shape[:3], "f4"), maps)
    for name, plane in maps.items():
        assert_array_equal(masks[name][0], plane[0])
        assert np.any(masks[name][1] != plane[1]), name
    assert maps["TARGET"].min() == 1  # and what was given is not written to


def test_a_neighbours_light_is_not_the_sources():
    _, cutouts = _galaxy()
    share = np.ones(cutouts.flux.shape[:3], "f4")
    share[:, :, 32:] = 0
    masks = at_tile_depth(cutouts, share, _whole(cutouts))
    assert not (masks["TARGET"][1:, :, 34:] > 0.5).any()


def test_nothing_is_claimed_where_there_is_no_information():
    _, cutouts = _galaxy()
    cutouts.ivar[:] = 0
    masks = at_tile_depth(cutouts, np.ones(cutouts.flux.shape[:3], "f4"), _whole(cutouts))
    assert not (masks["TARGET"][1:] > 0.5).any()
    assert all(np.isfinite(plane).all() for plane in masks.values())
