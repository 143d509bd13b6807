"""The tests on external images: their maker, their matching, their way to the image's grid."""

import json

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from benchmarks import rows, tables
from benchmarks.external import chain, challenge, figures, hsc, lenses, mosaic, scores
from benchmarks.external.pairs import MASK_ABOVE, Look, Pairs, draw_pairs
from pipeline import config
from pipeline.comparison import peers
from pipeline.comparison.peers import Thing
from pipeline.data import Exposure
from pipeline.models import lens_scores
from pipeline.simulate.challenge import EUCLID, HUBBLE, draw_challenge
from tests.detected import detect

SIDE = 96


def blob(x, y, sigma=4.0, flux=400.0):
    row, column = np.mgrid[:SIDE, :SIDE]
    light = np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2))
    return flux * light / (2 * np.pi * sigma**2)


@pytest.fixture
def two(rng):
    """One pair of round galaxies in noise of 0.1."""
    at = np.array([[[40.0, 48.0], [58.0, 48.0]]])
    flux = np.array([[400.0, 250.0]])
    light = np.stack([[blob(*p, flux=f) for p, f in zip(at[0], flux[0], strict=True)]])
    image = light.sum(1) + rng.normal(0, 0.1, (1, SIDE, SIDE))
    re, mag = np.full((1, 2), 4.7), -2.5 * np.log10(flux)
    return Pairs(
        image.astype("f4"), light.astype("f4"), flux, re, mag, at, 0.1, 3.0, 0.1, np.array([[0, 1]])
    )


def test_perfect_objects_score_perfectly(two):
    things = [
        Thing(*two.position[0, g], two.mask[0, g], two.flux[0, g], 0.9 * two.flux[0, g], 1e9)
        for g in (0, 1)
    ]
    found = scores.summary(scores.match(two, [things]))
    expected = {"recall": 1, "precision": 1, "iou": 1, "mape": 0, "nmad_dm": 0, "coverage_68": 1}
    assert_allclose([found[k]["value"] for k in expected], list(expected.values()), atol=1e-9)


def test_an_object_is_one_galaxy_and_a_missed_one_has_no_overlap(two):
    union = two.mask[0].any(0)
    found = scores.match(two, [[Thing(45, 48, union, 650.0), Thing(10, 10, union, 1.0)]])
    assert np.isfinite(found.ratio).tolist() == [[True, False]]
    assert found.iou[0, 1] == 0
    assert 0 < found.iou[0, 0] < 1
    summary = scores.summary(found)
    assert summary["recall"]["value"] == 0.5
    assert summary["precision"]["value"] == 0.5
    assert "coverage_68" not in summary


def test_peers_find_two_clear_galaxies(two):
    image, light = two.image[0], two.light[0]
    for things in (
        peers.sep_default(image, two.sky),
        peers.photutils_smoothed(image, two.sky, two.fwhm),
        peers.oracle(image, light, two.sky),
    ):
        found = scores.match(two, [things])
        assert (found.iou > 0.7).all()
        assert_allclose(found.ratio, 1, atol=0.15)


def test_nothing_in_noise(rng):
    noise = rng.normal(0, 1, (SIDE, SIDE))
    assert len(peers.photutils_smoothed(noise, 10.0, 3.0)) == 0
    assert len(peers.sep_default(noise, 10.0)) == 0


def test_mosaic_keeps_every_image_apart(rng):
    images = [rng.normal(size=shape).astype("f4") for shape in ((20, 30), (33, 12), (5, 5))]
    exposure, origin = mosaic.mosaic(images, [np.ones_like(i) for i in images], 0.2)
    for image, (x, y) in zip(images, origin, strict=True):
        height, width = image.shape
        assert_allclose(exposure.flux[y : y + height, x : x + width, 0], image)
        edge = exposure.ivar[y - mosaic.GAP : y + height + mosaic.GAP, x - 1, 0]
        assert not edge.any()
    assert exposure.ivar.sum() == sum(image.size for image in images)
    middle = [
        (x + i.shape[1] / 2, y + i.shape[0] / 2) for i, (x, y) in zip(images, origin, strict=True)
    ]
    shapes = [image.shape for image in images]
    assert mosaic.owner(*np.transpose([*middle, (0, 0)]), origin, shapes).tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize("binning", [1, 2, 3])
def test_painting_a_stamp_undoes_the_cut(binning):
    image = np.zeros((40, 50), bool)
    image[12:24, 18:36] = True
    corner = np.array([105, 206])
    origin = corner - [6, 0]
    blocks = image[0:36, 6:42].reshape(36 // binning, binning, 36 // binning, binning)
    found = mosaic.paint(blocks.all((1, 3)), corner, binning, origin, image.shape)
    inside = np.zeros_like(image)
    inside[0:36, 6:42] = True
    corners_lost = 4 if binning > 2 else 0  # by the interpolation between blocks
    assert ((found > 0.5) != (image & inside)).sum() == corners_lost


def exposure_of(image):
    flux = image.astype("f4")[..., None]
    return Exposure(flux, np.full_like(flux, 100), None, ("sim",), unit="ct", pixel_scale=0.1)


def test_given_positions_keep_detected_shapes(two):
    exposure = exposure_of(two.image[0])
    options = chain.settings(detect={"psf_fwhm": 3.0}).detect
    found = detect(exposure, options)
    assert len(found) == 2
    table = chain.given_sources(exposure, found, two.position[0], options)
    assert_allclose(np.column_stack([table["x"].value, table["y"].value]), two.position[0])
    assert_allclose(np.sort(table["a"]), np.sort(found["a"]))
    assert table.colnames == found.colnames


def test_a_position_that_was_not_detected_gets_a_shape_of_its_own(two):
    exposure = exposure_of(two.image[0])
    options = chain.settings(detect={"psf_fwhm": 3.0}).detect
    found = detect(exposure, options)
    big = found[[int(np.argmin(np.abs(found["x"].value - 40)))]]
    table = chain.given_sources(exposure, big, two.position[0], options)
    assert_allclose(table["a"][0].value, big["a"][0].value)
    assert_allclose(table["a"][1].value, 4, rtol=0.3)  # its neighbour, as wide, is not in it
    none = chain.given_sources(exposure, found[:0], np.array([[10.0, 10.0]]), options)
    assert len(none) == 1
    assert none["a"][0].value < 3


def test_pairs_follow_the_rule(real_data):
    pairs = draw_pairs(6, Look(0.1, 0.18), real_data / "fields" / "cosmos_real_stamps")
    assert pairs.image.shape == (6, 128, 128)
    assert (np.abs(np.diff(pairs.mag)) < 2).all()
    assert (pairs.separation <= np.minimum(4 * pairs.re.min(1), 56) + 1e-6).all()
    assert (pairs.light.sum((2, 3)) < 1.01 * pairs.flux).all()
    assert (pairs.light.sum((2, 3)) > 0.8 * pairs.flux).all()
    residual = pairs.image - pairs.light.sum(1)
    assert_allclose(residual.std(), pairs.sky, rtol=0.02)
    peak = pairs.light.reshape(6, 2, -1).argmax(2)
    at = np.stack([peak % 128, peak // 128], axis=-1)
    assert (np.abs(at - pairs.position) < 2.5).all()
    assert (pairs.mask == (pairs.light > MASK_ABOVE * pairs.sky)).all()
    again = draw_pairs(6, Look(0.1, 0.18), real_data / "fields" / "cosmos_real_stamps")
    assert (again.image == pairs.image).all()


def test_blends_are_read_with_their_truth(real_data):
    blends = hsc.read_blends(real_data / "hsc_injected")
    assert len(blends.mag) == 105
    assert len(blends.image) == 100
    assert_allclose(
        1.4826 * np.nanmedian(np.abs(blends.scarlet - np.nanmedian(blends.scarlet))),
        0.108,
        atol=0.002,
    )
    for k, (x, y) in zip(blends.blend, blends.position, strict=True):
        height, width = blends.image[k].shape
        assert 0 <= x < width
        assert 0 <= y < height


@pytest.mark.parametrize("sigma", [0.7, 4.0])
def test_width_of_a_gaussian(sigma):
    assert_allclose(hsc.width(blob(48, 48, sigma=sigma)), 2.355 * sigma, rtol=0.03)


def test_true_positives_before_a_false_one():
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    is_lens = np.array([True, False, True, False, True, False])
    assert_allclose(lens_scores.found_before(score, is_lens, 0)["value"], 1 / 3)
    assert_allclose(lens_scores.found_before(score, is_lens, 1)["value"], 2 / 3)
    assert_allclose(lens_scores.found_before(score, is_lens, 9)["value"], 1)


@pytest.mark.parametrize(("telescope", "block"), [(EUCLID, 1), (HUBBLE, 2)])
def test_the_challenge_is_seen_in_the_stamps_of_the_chain(telescope, block):
    assert challenge.chosen_binning(telescope, config.Cut()) == block
    drawn, _ = draw_challenge(2, 2 * challenge.STAMPS, np.random.default_rng(1), telescope)
    binned = challenge._binned(drawn, block)
    assert binned.flux.shape[1:3] == (challenge.STAMPS, challenge.STAMPS)
    edge = challenge.STAMPS * (2 - block) // 2
    middle = drawn.flux[:, edge : 192 - edge, edge : 192 - edge]
    assert_allclose(binned.flux.sum((1, 2)), middle.sum((1, 2)), rtol=1e-4)


def test_challenge_numbers_of_a_perfect_finder(rng):
    n = 4000
    truth = Table({"is_lens": np.arange(n) % 2 == 0})
    truth["theta_e"], truth["arc_snr"] = rng.uniform(0.3, 3, n), 10 ** rng.uniform(1, 2.3, n)
    truth["snr"], truth["re"] = rng.uniform(20, 200, n), 5.0
    found = challenge.summary(np.asarray(truth["is_lens"], float), truth)
    for name in ("auroc", "tpr0", "tpr10", "tpr_at_fpr_0.01", "tpr_of_clear_arcs_at_fpr_0.01"):
        assert found[name]["value"] == 1
    assert abs(found["auroc_of_snr_alone"]["value"] - 0.5) < 0.05
    assert found["auroc_of_re_alone"]["value"] == 0.5
    assert "tpr_at_fpr_0.0001" not in found  # too few non-lenses to say


def test_lenses_are_counted_against_controls_that_are_usable():
    table = Table({"usable": [True, True, False], "visible": [True, False, True]})
    table["lens"], table["control"] = [0.9, 0.4, 0.9], [0.1, 0.6, 0.95]
    table["lens_flux"], table["control_flux"] = [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]
    field = {"kids": Table({"p_lens": [0.99, 0.2, 0.9], "is_galaxy": [True, True, False]})}
    found = lenses.summary(table, np.array([0.1, 0.2]), field, 0.8)
    assert found["pairs_ranked_right"]["value"] == 0.5
    assert_allclose(found["above_threshold"]["value"], 2 / 3)
    assert found["above_threshold_visible"]["value"] == 1
    assert found["false_positives"] | {"error": 0} == {"value": 0.25, "error": 0, "n": 4}
    assert "above_threshold" not in lenses.summary(table, np.zeros(2), field, np.nan)


def test_figures_are_drawn_whatever_is_missing(two):
    missed = scores.match(two, [[]])
    assert figures.by_condition(two, {"sep": missed}).axes
    maps = {name: np.zeros((1, 2, SIDE, SIDE)) for name in ("punet", "spread")}
    assert figures.gallery(two, maps, missed.ratio, [0]).axes


def test_a_row_that_was_not_measured_says_so(tmp_path):
    (tmp_path / "hsc.json").write_text('{"given": {"mape": {"value": 0.051, "error": 0.0021}}}')
    wanted = (
        rows.Row("a", "", rows.at_most(0.05), ("hsc: given: mape: %",)),
        rows.Row("b", "", (), ("hsc: own: mape: %",)),
        rows.Row("c", "", rows.at_least(0.9), ("lenses: auroc: 3", "card.lens: auroc: 3")),
        rows.Row("d", "", ((0.04, 0.06), (-0.2, 0.2)), 2 * ("hsc: given: mape: 2",)),
    )
    said = tables.table(wanted, tmp_path, tmp_path).splitlines()[2:]
    assert said[:4] == [
        "| a |  | ≤ 5 % | 5.1 ± 0.2 % | no |",
        "| b |  |  | not measured |  |",
        "| c |  | ≥ 0.9 | not measured | no |",
        "| d |  | 0.04 to 0.06; within 0.2 | 0.05 ± 0.00; 0.05 ± 0.00 | yes; yes |",
    ]
    assert said[-1] == "2 of the 4 numbers wanted are reached."


def test_the_table_says_which_sign_is_too_faint_and_times_what_finds_its_sources():
    (row,) = (row for row in rows.DEBLENDING if row.test.startswith("HSC blends"))
    assert "below 0: too faint" in row.test
    assert hsc._too_bright(np.array([90.0]), np.array([100.0])) < 0
    timed = [place for row in rows.DEBLENDING for place in row.places if "seconds" in place]
    assert timed == ["hsc: own: seconds: 3"]


def test_every_way_to_spoil_a_stamp_that_was_scored_is_in_the_table():
    scored = json.loads((tables.WEIGHTS / "anomaly" / "card.json").read_text())["scores"]
    shown = {place.split(": ")[1] for row in rows.FINDING for place in row.places}
    assert {name for name in scored if name.startswith("auroc_")} <= shown
