"""Flux intervals that are made to hold on galaxies painted onto a survey's own tiles."""

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from pipeline import io
from pipeline.adaptation import calibrate
from pipeline.config import Apply, Config
from pipeline.flags import Flag
from pipeline.injection import calibrate as intervals
from pipeline.models import engine, photometry
from pipeline.planning import digest

ONE = norm.ppf(0.5 + intervals.LEVEL / 2)  # sigmas of an interval that holds 68 %


def recovered(rng, n=4000, off=1.0):
    """Galaxies as of `recover`, whose errors are `off` times what their intervals say."""
    snr = np.exp(rng.uniform(*np.log([3, 300]), n))
    middle, sigma = rng.normal(5, 1, n), 1 / snr
    truth = middle + off * sigma * rng.normal(size=n)
    ends = {f"flux_p{p}": np.exp(middle + k * ONE * sigma) for p, k in ((16, -1), (50, 0), (84, 1))}
    told = {"true_flux": np.exp(truth), "true_snr": snr, "found": np.ones(n, bool)}
    return Table(
        told
        | ends
        | {"flags": np.zeros(n, "i4"), "before": np.zeros(n, bool), "place": np.arange(n)}
    )


@pytest.mark.parametrize("off", [0.7, 1.0, 2.0])
def test_intervals_become_as_wide_as_the_errors(rng, off):
    known = intervals.samples([recovered(rng, off=off), recovered(rng, off=off)])
    found = intervals.calibrated({"width": [-4.0, -2.0, 0.0], "widen": [1.0, 2.0, 0.5]}, known)
    assert_array_equal(found["width"], [-4, -2, 0])
    assert_allclose(found["widen"], off * np.array([1.0, 2.0, 0.5]), rtol=0.15)
    told = intervals.gained({}, known)
    sure = told["after"]["all"]
    assert sure["value"] == pytest.approx(intervals.LEVEL, abs=4 * sure["error"])
    inside = 2 * norm.cdf(ONE / off) - 1
    assert told["before"]["all"]["value"] == pytest.approx(inside, abs=4 * sure["error"])
    for row in told["after"]["snr"]:
        assert row["value"] == pytest.approx(intervals.LEVEL, abs=0.06)


def test_intervals_that_are_wrong_at_some_widths_become_right_there(rng):
    narrow, wide = recovered(rng, off=2.0), recovered(rng, off=0.8)
    parts = [narrow[narrow["true_snr"] > 30], wide[wide["true_snr"] < 30]]
    width = np.log(2 * ONE / np.array([200, 5, 200, 5])) - np.log([1, 1, 4, 4])
    told = {"width": width.tolist(), "widen": [1, 1, 4, 4]}
    found = intervals.calibrated(told, intervals.samples(parts))
    assert_allclose(found["widen"], [2.0, 0.8, 8.0, 3.2], rtol=0.15)


def test_those_before_the_light_of_a_larger_one_are_calibrated_apart(rng):
    lone, front = recovered(rng, 900), recovered(rng, 600, off=2.0)
    front["before"] = True
    plain = {"width": [-4.0, -1.0], "widen": [1.0, 1.0]}
    known = intervals.samples([lone, front])
    once = intervals.calibrated(plain, known)
    assert_allclose(once["widen"], 1.0, rtol=0.2)
    assert_allclose(once["before"]["widen"], 2.0, rtol=0.2)
    told = intervals.gained({}, known)
    assert told["before"]["before_light"]["value"] < 0.5
    after = told["after"]["before_light"]
    assert after["n"] == 600
    assert after["value"] == pytest.approx(intervals.LEVEL, abs=4 * after["error"])
    again = intervals.calibrated(once, intervals.samples([recovered(rng, 900)]))
    assert again["before"] == once["before"]


def test_few_before_the_light_of_a_larger_one_are_calibrated_with_the_others(rng):
    lone, front = recovered(rng, 400, off=2.0), recovered(rng, 140, off=2.0)
    front["before"] = True
    known = intervals.samples([lone, front])
    found = intervals.calibrated({"width": [-4.0, -1.0], "widen": [1.0, 1.0]}, known)
    assert "before" not in found
    assert_allclose(found["widen"], 2.0, rtol=0.2)
    for told in (intervals.gained({}, known), intervals.gained({}, known[::-1])):
        for name in ("all", "before_light"):
            after = told["after"][name]
            assert after["value"] == pytest.approx(intervals.LEVEL, abs=4 * after["error"])
    nothing_else = intervals.samples([front, front[:100]])
    assert_allclose(intervals.calibrated(found, nothing_else)["widen"], 4.0, rtol=0.3)


def test_few_of_those_that_were_calibrated_apart_change_nothing(rng):
    lone, front = recovered(rng, 400), recovered(rng, 140, off=2.0)
    front["before"] = True
    plain = {"width": [-4.0, -1.0], "widen": [1.0, 1.0]}
    calibration, known = plain | {"before": plain}, intervals.samples([lone, front])
    found = intervals.calibrated(calibration, known)
    assert found["before"] == plain
    assert_allclose(found["widen"], 1.0, rtol=0.15)
    told = intervals.gained(calibration, known)
    assert told["after"]["before_light"] == told["before"]["before_light"]


def test_galaxies_that_were_missed_or_spoilt_tell_nothing(rng):
    table = recovered(rng, 900)
    table["found"][:200], table["flags"][100:300] = False, int(Flag.MASKED)
    table["flux_p50"][:200] = table["flux_p16"][:200] = table["flux_p84"][:200] = np.nan
    table["flags"][300:400] = int(Flag.BLENDED)
    known = intervals.samples([table])
    assert len(known) == 600
    assert_array_equal(known["snr"], table["true_snr"][300:])


@pytest.fixture
def survey(tmp_path, rng):
    """Folder of two tiles, each with galaxies whose intervals are half as wide as they should."""
    for name in ("a", "b"):
        io.write_table(tmp_path / "tiles" / name / "recovered.fits", recovered(rng, 800, off=2.0))
    (tmp_path / "tiles.txt").write_text("a\nb\n")
    return tmp_path


def test_the_flux_network_alone_is_changed_and_only_its_intervals(survey, homes, blends):
    config, home = Config(networks=str(homes), apply=Apply(precision="f32")), survey / "calibrated"
    calibrate(config, survey / "tiles.txt", home, home / "gain.json")
    for network in sorted(path.name for path in homes.iterdir()):
        same = digest.weights(network, str(home)) == digest.weights(network, str(homes))
        assert same == (network != "photometry")
    card = io.read_json(home / "photometry" / "card.json")
    assert "scores" not in card
    told = io.read_json(home / "gain.json")
    assert told == card["recovered"]
    assert told["galaxies"] == 1600
    before, after = (told[when]["all"]["value"] for when in ("before", "after"))
    assert before < 0.5
    assert after == pytest.approx(intervals.LEVEL, abs=0.06)
    networks = [engine.load(folder, "photometry", config.apply) for folder in (homes, home)]
    others = {name: engine.load(homes, name, config.apply) for name in ("unet", "punet")}
    stamps = photometry.inputs(blends.cutouts, others, blends.companions)
    low, middle, high = np.log(
        [photometry._percentiles(n, stamps, photometry.SHARES.values()) for n in networks]
    ).swapaxes(0, 1)
    assert_allclose(middle[1], middle[0], atol=1e-6)
    assert ((high - low)[1] > 1.3 * (high - low)[0]).all()
    card["calibration"]["before"] = {
        "width": [0.0],
        "widen": [3 * max(card["calibration"]["widen"])],
    }
    io.write_json(home / "photometry" / "card.json", card)
    apart = engine.load(home, "photometry", config.apply)
    before = np.arange(len(low[1])) % 2 == 0
    shares = photometry.SHARES.values()
    ends = np.log(photometry._percentiles(apart, stamps, shares, before))
    assert_allclose(ends[1], middle[1], atol=1e-6)
    assert_allclose((ends[2] - ends[0])[~before], (high - low)[1][~before], rtol=1e-5)
    assert ((ends[2] - ends[0])[before] > 2.9 * (high - low)[1][before]).all()


def test_too_few_galaxies_change_nothing(tmp_path, homes, rng):
    io.write_table(tmp_path / "tiles" / "a" / "recovered.fits", recovered(rng, 299))
    (tmp_path / "tiles.txt").write_text("a\n")
    with pytest.raises(SystemExit, match=r"299 of the painted .* 300 are needed.*recover\.passes"):
        calibrate(
            Config(networks=str(homes)), tmp_path / "tiles.txt", tmp_path / "c", tmp_path / "g"
        )
    assert {path.name for path in tmp_path.iterdir()} == {"tiles", "tiles.txt"}
