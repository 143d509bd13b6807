"""Pixels that sources claim: labels, overlaps and neighbours."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.ndimage import binary_dilation

from pipeline.deblending import footprints as module
from pipeline.deblending.footprints import Footprints, crowding, footprints, label_image
from pipeline.stamps.cutouts import cut
from tests.test_deblend import discs, exposure_of, measure, sources_at

TOUCHING = (9, 0), (0, 9), (2, 2), (6, 6), (-6, 6)


def test_the_largest_share_gets_the_label_and_overlap_counts():
    exposure, sources = exposure_of(np.zeros((40, 40))), sources_at((18, 20), (22, 20))
    stamps = cut(exposure, sources, 32)
    maps = discs(sources, stamps, 4)
    maps["SHARE"][0], maps["SHARE"][1] = 0.4, 0.6
    claims = footprints(exposure, sources, stamps, maps)
    label, overlap = label_image(claims, sources, exposure.flux.shape[:2])
    first, second = ((np.mgrid[:40, :40][1] - x) ** 2 + (np.mgrid[:40, :40][0] - 20) ** 2 <= 16
                     for x in (18, 22))  # fmt: skip
    assert_array_equal(label, np.where(second, 2, np.where(first, 1, 0)))
    assert_array_equal(overlap, first.astype(int) + second)
    assert label.dtype == np.int32


@pytest.mark.parametrize("apart", [*TOUCHING, (10, 0), (0, 10), (7, 6), (-7, 6)])
def test_neighbours_overlap_or_touch(apart):
    touches = apart in TOUCHING
    there = 20 + np.array(apart)
    table = measure(exposure_of(np.zeros((60, 60))), sources_at((20, 20), there))[2]
    assert_array_equal(table["n_neighbours"], [touches, touches])
    assert ((table["blend_fraction"] > 0) == (np.hypot(*apart) < 8)).all()


def test_neighbours_do_not_reach_round_the_edge():
    exposure = exposure_of(np.zeros((40, 40)))
    table = measure(exposure, sources_at((39, 20), (0, 21)))[2]
    assert_array_equal(table["n_neighbours"], [0, 0])


def neighbours_of(masks):
    """As `crowding` counts them, of masks (n, y, x)."""
    claims = Footprints(*np.nonzero(masks), np.ones(masks.sum()))
    return crowding(claims, len(masks), masks.sum(0))["n_neighbours"]


@pytest.mark.parametrize("density", [0.01, 0.05, 0.3])
def test_neighbours_are_whose_pixels_meet_once_widened_by_one(rng, density):
    masks = rng.random((9, 12, 15)) < density
    wide = np.array([binary_dilation(mask, np.ones((3, 3))) for mask in masks])
    meet = (wide[:, None] & masks).any((2, 3)) & ~np.eye(9, dtype=bool)
    assert_array_equal(neighbours_of(masks), meet.sum(1))


def test_no_more_is_compared_of_wider_footprints(monkeypatch):
    compared, pairs = [], module._pairs
    monkeypatch.setattr(module, "_pairs", lambda *of: compared.append(sum(of[1])) or pairs(*of))
    for width in (6, 60):
        assert_array_equal(neighbours_of(np.ones((4, 5, width), bool)), 3)
    narrow, wide = np.split(np.array(compared), 2)
    assert_array_equal(narrow, wide)


def test_blend_fraction_by_hand():
    table = measure(exposure_of(np.zeros((40, 40))), sources_at((20, 20), (20, 20)))[2]
    assert_array_equal(table["blend_fraction"], [1, 1])


def test_a_source_that_claims_nothing_has_its_central_pixel():
    exposure = exposure_of(np.zeros((40, 40)))
    label, overlap, table = measure(exposure, sources_at((10.2, 12.9)), radius=-1)
    assert label[13, 10] == 1
    assert overlap.sum() == 1
    assert table["blend_fraction"][0] == 0


def test_a_source_that_is_outbid_everywhere_has_its_central_pixel():
    exposure, sources = exposure_of(np.zeros((40, 40))), sources_at((20, 20), (21, 22))
    stamps = cut(exposure, sources, 32)
    maps = discs(sources, stamps, 6)
    maps["TARGET"][1] = maps["TARGET"][1] * (discs(sources, stamps, 2)["TARGET"][1] > 0)
    maps["SHARE"][0], maps["SHARE"][1] = 0.9, 0.5
    claims = footprints(exposure, sources, stamps, maps)
    label, _ = label_image(claims, sources, exposure.flux.shape[:2])
    assert list(np.argwhere(label == sources["label"][1])[0]) == [22, 21]
    assert (label == sources["label"][1]).sum() == 1
    assert (label == sources["label"][0]).sum() > 100


def test_a_source_in_the_corner():
    label, _, table = measure(exposure_of(np.ones((40, 40))), sources_at((0, 39)))
    assert label[39, 0] == 1
    assert np.isfinite(table["flux"]).all()


def test_other_stamps_are_refused():
    exposure, sources = exposure_of(np.zeros((40, 40))), sources_at((10, 10), (20, 20))
    stamps = cut(exposure, sources, 32)
    with pytest.raises(ValueError, match="2 stamps are not of the 1 sources"):
        footprints(exposure, sources[:1], stamps, discs(sources, stamps, 4))
