import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.comparison import truth as true
from pipeline.flags import Flag

ARCSEC = 1 / 3600


def sky(x, *, kind="galaxy", snr=50.0, flux=100.0, theta_e=np.nan, tiles="t1"):
    """True objects `x` arcsec north of (10, 60)."""
    n = len(x)
    table = Table({"ra": np.full(n, 10.0), "dec": 60 + np.asarray(x, float) * ARCSEC})
    given = {"kind": kind, "snr": snr, "snr_auto": snr, "flux": flux, "theta_e": theta_e}
    for name, value in given.items():
        table[name] = np.full(n, value) if np.ndim(value) == 0 else np.asarray(value)
    table["mag"] = 31.4 - 2.5 * np.log10(table["flux"])
    table["tiles"] = np.full(n, tiles) if isinstance(tiles, str) else np.asarray(tiles)
    table.meta["PIXSCALE"] = 0.2
    return table


def catalog(x, *, flux=100.0, flags=0, p_lens=0.1):
    n = len(x)
    table = Table({"ra": np.full(n, 10.0), "dec": 60 + np.asarray(x, float) * ARCSEC})
    for name in ("flux", "flux_auto", "flux_p50"):
        table[name] = np.full(n, flux) if np.ndim(flux) == 0 else np.asarray(flux, float)
    table["flux_p16"], table["flux_p84"] = 0.9 * table["flux"], 1.1 * table["flux"]
    table["flux_err"], table["mag"] = 1.0, 31.4 - 2.5 * np.log10(table["flux"])
    table["flags"] = np.full(n, flags) if np.ndim(flags) == 0 else np.asarray(flags)
    table["p_lens"] = np.full(n, p_lens) if np.ndim(p_lens) == 0 else np.asarray(p_lens)
    return table


def test_a_truth_without_what_is_needed_says_what():
    truth = sky([0.0])
    truth.remove_columns(["snr", "theta_e"])
    with pytest.raises(ValueError, match="the config's truth has no column snr, theta_e"):
        true.compare(catalog([0.0]), truth, ["t1"], 0.6)


def test_the_brightest_object_takes_the_source():
    found = true.match(catalog([0.3, 20.0]), sky([0.0, 0.4], flux=[900.0, 1.0]), 0.6)
    assert_array_equal(found.source, [0, -1])
    assert_array_equal(found.object, [0, -1])
    assert_array_equal(found.spurious, [False, True])


def test_an_object_takes_the_nearest_source_and_the_other_is_not_spurious():
    found = true.match(catalog([0.4, -0.1]), sky([0.0]), 0.6)
    assert_array_equal(found.source, [1])
    assert not found.spurious.any()


def test_too_faint_an_object_explains_nothing():
    found = true.match(catalog([0.0]), sky([0.0], snr=1.9), 0.6)
    assert found.spurious.all() and found.source[0] == -1


def test_stars_are_real_and_arcs_are_their_lens():
    objects = sky([0.0, 50.0], kind=["star", "lens"], theta_e=[np.nan, 1.5])
    found = true.match(catalog([0.1, 50.0, 52.9, 53.1]), objects, 0.6)
    assert_array_equal(found.spurious, [False, False, False, True])


def test_matching_works_across_the_meridian_and_without_positions():
    objects, sources = sky([0.0]), catalog([0.0, 1.0])
    objects["ra"], sources["ra"] = 359.99999, [0.00001, np.nan]
    found = true.match(sources, objects, 0.6)
    assert_array_equal(found.source, [0])
    assert_array_equal(found.spurious, [False, True])


def test_only_galaxies_alone_on_good_tiles_count():
    objects = sky(
        [0.0, 1.5, 30.0, 60.0, 90.0, 91.0],
        kind=["galaxy", "galaxy", "star", "galaxy", "galaxy", "galaxy"],
        snr=[50, 50, 50, 50, 50, 1.0],
        tiles=["t1", "t1", "t1", "t4", "t4 t1", "t1"],
    )
    observed, _ = true.samples(catalog([0.0]), objects, ["t1", "t2"])
    assert_array_equal(observed, [False, False, False, False, True, True])


def test_spoilt_and_crowded_sources_do_not_count():
    flags = [0, int(Flag.MASKED), int(Flag.BLENDED), 0, 0, int(Flag.SHARP)]
    _, clean = true.samples(catalog([0, 10, 20, 30, 31.9, 40], flags=flags), sky([0.0]), ["t1"])
    assert_array_equal(clean, [True, False, True, False, False, False])


def test_rate_by_hand():
    table = true.rate(np.array([True, True, False, True]), np.array([1, 1, 1, 2.5]), [1, 2, 3, 4])
    assert_array_equal(table["n"], [3, 1])
    assert_allclose(table["rate"], [2 / 3, 1])
    assert ((table["rate_low"] < table["rate"]) & (table["rate"] <= table["rate_high"])).all()
    assert_allclose(table["rate_low"][1], 0.5, atol=1e-4)  # 1 / (1 + z^2) with z = 1


def test_bins_hold_every_value(rng):
    mag = rng.uniform(17, 28, 100)
    assert np.histogram(mag, true.bins(mag))[0].sum() == 100


def test_a_perfect_catalog_scores_perfectly():
    x = np.arange(0, 100, 10.0)
    scored = true.compare(catalog(x), sky(x), ["t1"], 0.6)
    assert scored["completeness"][0] == scored["purity"][0] == 1
    assert scored["completeness"][3] == 10
    assert_allclose([scored["offset"], scored["offset_axis_pix"]], 0, atol=1e-6)
    assert_allclose(scored["pairs"]["delta_flux"], 0, atol=1e-12)
    assert scored["coverage"][0] == 1 and scored["coverage"][3] == 10
    assert scored["roc"] is None


def test_coverage_is_of_galaxies_without_a_defect():
    objects = sky([0, 10, 20, 30], kind=["galaxy", "galaxy", "star", "galaxy"])
    sources = catalog([0, 10, 20, 30], flux=[100.0, 150, 100, 100], flags=[0, 0, 0, int(Flag.EDGE)])
    assert true.compare(sources, objects, ["t1"], 0.6)["coverage"][::3] == (0.5, 2)


def test_completeness_purity_and_offsets_by_hand():
    scored = true.compare(catalog([0.2, 10.2, 500.0]), sky([0.0, 10.0, 20.0, 30.0]), ["t1"], 0.6)
    assert_allclose(scored["completeness"][0], 0.5)
    assert_allclose(scored["purity"][0], 2 / 3)
    assert_allclose([scored["offset"], scored["offset_pix"]], [0.2, 1.0], rtol=1e-5)
    assert_allclose(scored["offset_axis"], 0.1, rtol=1e-5)  # half the axes agree exactly


@pytest.mark.parametrize("n_sources, n_objects", [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_compare_gives_nan_or_zero(n_sources, n_objects):
    x = np.arange(3) * 10.0
    scored = true.compare(catalog(x[:n_sources]), sky(x[:n_objects]), ["t1"], 0.6)
    assert scored["completeness"][3] == n_objects
    assert scored["purity"][3] == n_sources
    assert np.isnan(scored["offset"]) and scored["roc"] is None


def test_roc_by_hand():
    x = np.arange(5) * 10.0
    objects = sky(x, kind=["lens", "galaxy", "lens", "star", "galaxy"], theta_e=1.0)
    curve = true.lens_roc(
        (sources := catalog(x, p_lens=[0.9, 0.8, 0.7, 0.1, 0.1])),
        objects,
        true.match(sources, objects, 0.6),
    )
    assert_allclose(curve["recall"], [0, 0.5, 0.5, 1, 1])
    assert_allclose(curve["false_rate"], [0, 0, 1 / 3, 1 / 3, 1])
    assert_allclose(curve["auroc"], 5 / 6)
    assert (curve["n_lenses"], curve["n_others"]) == (2, 3)
