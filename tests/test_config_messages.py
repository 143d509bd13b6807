"""What is wrong with a config is said in one line: key, problem, value, remedy."""

import re

import pytest
import yaml

from pipeline.config import Config, read

IMAGE = {"image": {"r": "a.fits"}}
GRI = {"image": {band: f"{band}.fits" for band in "gri"}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"detect": {"n_sigmaa": 3}},
            "detect.n_sigmaa: there is no such setting; did you mean n_sigma?",
        ),
        ({"detectt": {}}, "detectt: there is no such setting; did you mean detect?"),
        ({"tiles": {"t1": {**IMAGE, "wieght": {}}}}, "tiles.t1.wieght: .*did you mean weight?"),
        ({"train": {"unet": {"xyz": 1}}}, "train.unet.xyz: .*; known are stamps, "),
        ({"train": {"unet": {"members": 2}}}, "train.unet.members: there is no such setting; "),
        ({"train": {"unet": {"filters": [8]}}}, "train.unet.filters: .*at least 2 items"),
        ({"train": {"lens": {"filters": [8] * 5}}}, "train.lens.filters: .*at most 4 items"),
        ({"train": {"lens": {"filters": [8, 0]}}}, "train.lens.filters.1: .*greater than 0, not 0"),
        ({"detect": {"min_pixels": -1}}, "detect.min_pixels: .*greater than 0, not -1"),
        ({"detect": {"n_sigma": "high"}}, "detect.n_sigma: .*, not 'high'"),
        ({"tiles": {"t1": {"image": {}}}}, "tiles.t1.image: .*at least 1"),
        ({"tiles": {"t1": None, "image": {"H": "a"}}}, "tiles.t1: it needs settings of its own, "),
        ({"tiles": {"t1": {"image": "a.fits"}}}, "tiles.t1.image: .*as {band: path}, not 'a.fits'"),
        ({"tiles": {"t1": {"image": {850: "a"}}}}, "image.850.*: it needs a word (a number in quo"),
        (
            {"tiles": {"t1": {"image": {"g": "a", "r": "b", "i": "b"}}}},
            "tiles.t1: two bands have the image 'b'; give each its own, or all a cube",
        ),
        ({"tiles": {"t1": {"image": {"g,r": "a"}}}}, "'g,r' is no name for a band"),
        ({"ingest": {"gain": {"r": -1}}}, "ingest.gain.r: Input should be greater than 0, not -1"),
        ({"ingest": {"saturation": 0}}, "ingest.saturation: Input should be greater than 0, not 0"),
        ({"ingest": {"zero_point": [27]}}, "ingest.zero_point: .*a valid number, not [27]"),
        (
            {"recover": {"snr": [3, float("inf")]}},
            "recover.snr: .*below the second, and that finit",
        ),
        (
            {"tiles": {"t1": {**IMAGE, "zero_point": {"g": 26}}}},
            "tiles.t1: zero_point names the bands ['g'], which have no image",
        ),
        ({"tiles": {"t1": {**IMAGE, "zero_point": [27]}}}, "tiles.t1.zero_point: .*valid number"),
        ({"detect": 3}, "detect: it needs settings of its own"),
        (
            {"survey": {"side": 256, "overlap": 256}},
            "survey: overlap: 256 must be less than side: 256",
        ),
        ({"name": "../x"}, "'../x' is no name for a file: use letters, digits and _ . + -"),
        ({"name": None}, "name: it needs a name (or leave the line out), not None"),
        ({"tiles": {None: IMAGE}}, "tiles.None.*: it needs a name "),
        ({"tiles": {False: IMAGE}}, "tiles.*: it needs a name (YAML's words, as no and on"),
        ({"tiles": {"a b": IMAGE}}, "'a b' is no name for a file"),
        ({"tiles": {"$(rm)": IMAGE}}, "'$(rm)' is no name for a file"),
        ({"scenes": {"lens_size": 144}}, "scenes.lens_size: Input should be less than or equal"),
        (
            {"train": {name: {"epochs": 0, "start": name} for name in ("unet", "punet")}},
            "punet: epochs: 0 takes it as it is, but it builds on unet, which is another's (unet)",
        ),
        (
            {"tiles": dict.fromkeys("ab", GRI) | {"c": IMAGE} | dict.fromkeys("de", GRI)},
            "all tiles need the same bands in the same order; c has r but e has g, r, i",
        ),
        (
            {"tiles": {"a": GRI, "b": {"image": dict(reversed(GRI["image"].items()))}}},
            "in the same order; a has g, r, i but b has i, r, g",
        ),
        ({"tiles": {"t1": IMAGE}, "detect": {"band": "g"}}, "detect.band is 'g'; the tiles have"),
        (
            {"tiles": {"t1": IMAGE}, "ingest": {"zero_point": {"r": 27, "R": 27}}},
            "ingest.zero_point names the bands ['R']; the tiles have ('r',)",
        ),
        (
            {"tiles": {"t1": IMAGE}, "ingest": {"gain": {"g": "GAIN"}}},
            "ingest.gain names the bands ['g']; the tiles have ('r',)",
        ),
    ],
)
def test_messages(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
        read(wrong)


@pytest.mark.parametrize("wrong", [{"gain": {"r": -1}}, {"saturation": 0}, {"zero_point": [27]}])
def test_one_mistake_is_said_in_one_line(wrong):
    with pytest.raises(ValueError) as error:
        read({"ingest": wrong})
    assert "\n" not in str(error.value)


def test_a_tile_may_be_a_number():
    assert list(read({"tiles": {2: IMAGE}}).tiles) == ["2"]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match=r"detect\.min_pixels: .*\ncut\.size: "):
        read({"detect": {"min_pixels": 0}, "cut": {"size": 3}})


@pytest.mark.parametrize("given", ["detect: null", "train: {unet: null}", "tiles: null"])
def test_a_section_without_a_setting_is_empty(given):
    assert read(yaml.safe_load(given)) == Config()


def test_a_band_has_a_number_or_a_keyword():
    given = {"ingest": {"gain": {"r": 2, "i": "GAIN"}, "zero_point": 27, "saturation": "SATURATE"}}
    assert read(given).model_dump(exclude_unset=True) == given
    assert Config.model_validate_json(read(given).model_dump_json()) == read(given)


def test_a_part_of_a_config_is_a_config():
    config = read({"detect": {"n_sigma": 7}})
    assert read(config.model_dump(mode="json", exclude_unset=True)) == config
    assert Config.model_validate_json(config.model_dump_json(include={"detect"})) == config
