"""Sources that are seen in binned stamps: their flux, claims and flags on the tile's pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.deblending import deblend
from pipeline.deblending.footprints import footprints, label_image
from pipeline.deblending.shares import divide
from pipeline.flags import Flag
from pipeline.stamps.cutouts import cut
from pipeline.stamps.masks import enlarge
from tests.test_deblend import exposure_of, measure, sources_at


def galaxy(side, *centre, scale=9.0):
    y, x = np.mgrid[:side, :side]
    return 1000 * np.exp(-np.hypot(x - centre[0], y - centre[1]) / scale)


@pytest.mark.parametrize("binning", [2, 3, 4])
def test_a_binned_stamp_gives_the_flux_of_the_whole_one(binning):
    exposure = exposure_of(galaxy(300, 150.3, 147.8))
    sources = sources_at((150.3, 147.8), a=16)  # of 48 x 29 pixels
    fine = measure(exposure, sources, radius=40, size=256)[2]
    coarse = measure(exposure, sources, radius=40, size=64, binning=binning)[2]
    assert_allclose(coarse["flux"], fine["flux"], rtol=0.01)
    assert_allclose(coarse["flux_err"], fine["flux_err"], rtol=0.02)


def test_an_aperture_that_holds_the_stamp_collects_all_of_it(rng):
    exposure = exposure_of(rng.normal(size=(200, 200)))
    sources = sources_at((100, 100), (90, 105), (100, 100), a=200)
    stamps = cut(exposure, sources, 32, np.array([1, 4, 5]))
    for i, ((x, y), block) in enumerate(zip(stamps.corner, stamps.binning, strict=True)):
        found = measure(exposure, sources[i : i + 1], binning=block)[2]["flux"].value
        part = np.s_[y : y + 32 * block, x : x + 32 * block]
        assert_allclose(found, exposure.flux[part].sum(), rtol=1e-4, atol=1e-3)


def test_a_binned_claim_is_where_the_interpolated_map_is_above_one_half(rng):
    exposure = exposure_of(np.zeros((60, 70)))
    sources = sources_at((31, 33))
    stamps = cut(exposure, sources, 16, 3)
    target = rng.random((1, 16, 16)).astype("f4")
    maps = {"TARGET": target, "SHARE": np.ones_like(target)}
    claims = footprints(exposure, sources, stamps, maps)
    label, overlap = label_image(claims, sources, exposure.flux.shape[:2])
    x, y = stamps.corner[0]
    expected = np.zeros((60, 70))
    expected[y : y + 48, x : x + 48] = enlarge(target, 3)[0] > 0.5
    assert_array_equal(label, expected)
    assert_array_equal(overlap, expected)


def test_a_binned_disc_is_where_the_fine_one_is():
    exposure = exposure_of(np.zeros((200, 200)))
    sources = sources_at((100, 90), (103, 101))
    fine = measure(exposure, sources, radius=30, size=128)
    coarse = measure(exposure, sources, radius=30, size=64, binning=[2, 3])
    both = (fine[1] > 0) & (coarse[1] > 0)
    assert both.sum() > 0.93 * ((fine[1] > 0) | (coarse[1] > 0)).sum()
    away = [np.mean(np.nonzero(f[1]), 1) for f in (fine, coarse)]
    assert_allclose(*away, atol=0.5)
    assert_allclose(coarse[2]["blend_fraction"], fine[2]["blend_fraction"], atol=0.02)
    assert_array_equal(coarse[2]["n_neighbours"], [1, 1])


@pytest.mark.parametrize("binning", [[8, 1, 1], [1, 8, 1], [4, 2, 1]])
def test_a_giant_claims_what_those_who_see_pixels_leave(binning):
    """A block of the giant's hides a compact source, of which it is a small part."""
    exposure = exposure_of(np.zeros((140, 140)))
    stamps = cut(exposure, sources_at((70, 70), (70, 70), (10, 10)), 16, np.array(binning))
    giant, compact = np.argmax(binning), np.argmin(binning[:2])
    share = np.zeros((3, 16, 16), "f4")
    share[giant], share[compact, 7:10, 7:10] = 0.9, 0.8
    found = {}
    for rows, divided in divide(share, stamps, exposure.flux.shape):
        found |= dict(zip(rows.tolist(), divided, strict=True))
    assert_allclose(found[compact][8, 8], 0.8, atol=0.03)
    assert_allclose(found[giant][0, 0], 1)
    assert 0.15 < found[giant][8, 8] < 1


@pytest.mark.parametrize("binning", [1, 2, 3, 5])
def test_shares_of_blocks_across_the_tiles_edge_are_those_within(binning):
    exposure = exposure_of(np.ones((60, 50)))
    stamps = cut(exposure, sources_at((3, 31), (3, 31)), 16, binning)
    share = np.broadcast_to(np.float32([0.2, 0.6])[:, None, None], (2, 16, 16))
    seen = stamps.flux[0, ..., 0] > 0
    assert not seen.all()
    for rows, divided in divide(share, stamps, exposure.flux.shape):
        for row, part in zip(rows, divided, strict=True):
            assert_allclose(part[seen], [0.25, 0.75][row], rtol=1e-5)


def test_a_binned_claim_ends_at_the_tile_and_at_its_holes():
    ivar = np.ones((50, 50))
    ivar[20:24, 20] = 0  # less than half of each block
    exposure = exposure_of(np.ones((50, 50)), ivar)
    label, _, table = measure(exposure, sources_at((25, 25)), radius=1e3, size=32, binning=2)
    assert_array_equal(label, ivar)
    assert np.isfinite(table["flux"]).all()


def test_a_galaxy_that_fits_its_binned_stamp_is_not_clipped():
    exposure, sources = exposure_of(np.ones((190, 190))), sources_at((95, 95), a=12)
    for binning, flag in ((1, Flag.STAMP_CLIPPED), (3, 0)):
        assert_array_equal(measure(exposure, sources, binning=binning)[2]["flags"], [flag])


def test_the_uncertainty_of_a_binned_stamp_is_painted_over_the_tile(rng):
    exposure = exposure_of(np.zeros((40, 50)))
    stamps = cut(exposure, sources_at((10, 38), (49, 0)), 16, np.array([3, 1]))
    spread = rng.random((2, 16, 16)).astype("f4")
    image = np.zeros((140, 150), "f4")  # with a margin of 50
    for (x, y), block, stamp in zip(stamps.corner + 50, stamps.binning, spread, strict=True):
        side = 16 * block
        part = image[y : y + side, x : x + side]
        np.maximum(part, enlarge(stamp[None], block)[0], out=part)
    found = np.zeros(exposure.flux.shape[:2], "f4")
    deblend.raise_to(found, stamps, spread)
    assert_array_equal(found, image[50:90, 50:100])
