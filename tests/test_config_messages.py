"""What is wrong with a config is said in one line: key, problem, value, remedy."""

import re

import pytest

from pipeline.config import Config, read

IMAGE = {"image": {"r": "a.fits"}}


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
        ({"detect": {"min_pixels": -1}}, "detect.min_pixels: .*greater than 0, not -1"),
        ({"detect": {"n_sigma": "high"}}, "detect.n_sigma: .*, not 'high'"),
        ({"tiles": {"t1": {"image": {}}}}, "tiles.t1.image: .*at least 1"),
        ({"tiles": {"t1": None, "image": {"H": "a"}}}, "tiles.t1: it needs settings of its own, "),
        ({"tiles": {"t1": {"image": "a.fits"}}}, "tiles.t1.image: .*as {band: path}, not 'a.fits'"),
        ({"tiles": {"t1": {"image": {"g,r": "a"}}}}, "'g,r' is no name for a band"),
        ({"name": "../x"}, "'../x' is no name for a file: use letters, digits and _ . + -"),
        ({"tiles": {"a b": IMAGE}}, "'a b' is no name for a file"),
        ({"tiles": {"$(rm)": IMAGE}}, "'$(rm)' is no name for a file"),
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


def test_a_tile_may_be_a_number():
    assert list(read({"tiles": {2: IMAGE}}).tiles) == ["2"]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match=r"detect\.min_pixels: .*\ncut\.size: "):
        read({"detect": {"min_pixels": 0}, "cut": {"size": 3}})


def test_a_part_of_a_config_is_a_config():
    config = read({"detect": {"n_sigma": 7}})
    assert read(config.model_dump(mode="json", exclude_unset=True)) == config
    assert Config.model_validate_json(config.model_dump_json(include={"detect"})) == config
