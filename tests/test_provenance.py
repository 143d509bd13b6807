import hashlib
import json
import os
from datetime import UTC, datetime

import pytest

from pipeline import config, io
from pipeline.__main__ import main
from pipeline.catalogs.provenance import provenance
from pipeline.models.engine import fastest_precision
from pipeline.planning.inputs import fingerprints, sha256, stamps

DATE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def survey(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"pixels")
    for network in ("lens", "unet"):
        (tmp_path / "nets" / network).mkdir(parents=True)
        (tmp_path / "nets" / network / "card.json").write_bytes(network.encode())
    tile = {"image": {"r": f"{tmp_path}/a.fits[SCI]"}, "weight": {"r": f"{tmp_path}/no.fits"}}
    return config.Config(name="s", tiles={"t": tile}, networks=str(tmp_path / "nets"))


@pytest.fixture
def read(survey):
    return {name: fingerprints(tile) for name, tile in survey.tiles.items()}


def test_it_says_what_went_in(survey, read, tmp_path):
    said = provenance(survey, DATE, read)
    assert said["inputs"] == {
        f"{tmp_path}/a.fits": {"sha256": hashlib.sha256(b"pixels").hexdigest(), "bytes": 6},
        f"{tmp_path}/no.fits": None,
    }
    assert said["weights"] == {
        f"{name}/card.json": hashlib.sha256(name.encode()).hexdigest() for name in ("lens", "unet")
    }
    assert said["created"] == "2030-01-02T03:04:05+00:00"
    assert {"numpy", "sep", "keras", "openvino"} <= said["packages"].keys()


def test_an_image_is_told_as_it_was_when_it_came_in(survey, tmp_path):
    """It is another one by the time that the catalog is done."""
    tile, sky = tmp_path / "tiles" / "t", tmp_path / "a.fits"
    options = ["--config", survey.model_dump_json(), "--on-bad-tile", "accept"]
    ingest = ["ingest", *options, "--record", str(tmp_path / "record.json")]
    main([*ingest, str(tile)])
    came, before = {"sha256": sha256(sky), "bytes": 6}, sky.stat()
    sky.write_bytes(b"others")
    os.utime(sky, ns=(before.st_atime_ns, before.st_mtime_ns - 1))
    (tmp_path / "tiles.txt").write_text("t\n")
    main(["provenance", *options[:2], str(tmp_path / "tiles.txt"), str(tmp_path / "p.json")])
    assert io.read_json(tmp_path / "p.json")["inputs"][str(sky)] == came
    main([*ingest, "--code", "2", str(tile)])
    assert io.read_json(tile / "inputs.json")[str(sky)] == {"sha256": sha256(sky), "bytes": 6}


def test_a_file_that_changed_between_tiles_is_told_twice(survey):
    one, other = ({"a.fits": {"sha256": digest, "bytes": 1}} for digest in "ab")
    said = provenance(survey, DATE, {"t": one, "u": other, "v": one})["inputs"]
    assert said == one | {"a.fits, as u found it": other["a.fits"]}


@pytest.mark.parametrize(
    ("apply", "used"),
    [
        ({"precision": "auto"}, fastest_precision()),
        ({"precision": "bf16"}, "bf16"),
        ({"engine": "tensorflow"}, "f32"),
    ],
)
def test_it_says_what_the_networks_were_computed_in(survey, apply, used):
    asked = survey.model_copy(update={"apply": config.Apply(**apply)})
    assert provenance(asked, DATE, {})["precision"] == used


def test_its_config_makes_the_same_run_again(survey):
    said = json.loads(json.dumps(provenance(survey, DATE, {})))
    assert config.Config.model_validate(said["config"]) == survey


def test_it_says_nothing_of_sections_that_it_was_not_given(survey):
    given = survey.model_dump_json(exclude={"survey", "train"})
    said = provenance(config.Config.model_validate_json(given), DATE, {})["config"]
    assert said == json.loads(given)
    assert said["detect"]["n_sigma"] == config.Detect().n_sigma


def test_nothing_but_the_date_changes(survey):
    one, other = (provenance(survey, date, {}) for date in (DATE, DATE.replace(year=2031)))
    assert {key for key in one if one[key] != other[key]} == {"created"}


@pytest.mark.parametrize("size", [0, 1, (1 << 22) + 1])
def test_checksums_are_those_of_the_whole_file(tmp_path, size):
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "f").write_bytes(content[:size])
    assert sha256(tmp_path / "f") == hashlib.sha256(content[:size]).hexdigest()


def test_a_file_that_many_name_is_hashed_once(survey, monkeypatch):
    from pipeline.planning import inputs

    hashed = []
    monkeypatch.setattr(inputs, "sha256", hashed.append)
    for _ in range(3):
        fingerprints(survey.tiles["t"])
    assert len(hashed) == 1


def test_a_file_of_many_windows_is_hashed_once_and_for_all_of_them(survey, tmp_path, monkeypatch):
    from pipeline.planning import inputs

    hashed, path = [], str(tmp_path / "a.fits")
    monkeypatch.setattr(inputs, "sha256", lambda path: hashed.append(path) or sha256(path))
    windows = [(x, 0, x + 9, 9) for x in range(3)]
    parts = [survey.tiles["t"].model_copy(update={"window": window}) for window in windows]
    read = {f"t_{i}": json.loads(json.dumps(fingerprints(part))) for i, part in enumerate(parts)}
    assert not hashed
    assert provenance(survey, DATE, read)["inputs"] == {
        path: {"sha256": sha256(path), "bytes": 6},
        f"{tmp_path}/no.fits": None,
    }
    assert hashed == [path]


def test_a_file_of_a_window_that_was_replaced_since_has_no_digest(survey, tmp_path):
    read = fingerprints(survey.tiles["t"].model_copy(update={"window": (0, 0, 9, 9)}))
    (tmp_path / "a.fits").write_bytes(b"another")
    said = provenance(survey, DATE, {"t": read})["inputs"]
    assert said[f"{tmp_path}/a.fits"] == {"sha256": None, "bytes": 6}


def test_a_file_that_may_be_read_by_now_is_another_one(survey, monkeypatch):
    before = stamps(survey.tiles["t"])
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert set(stamps(survey.tiles["t"]).values()) == {None} != set(before.values())
