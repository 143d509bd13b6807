import hashlib
import json
from datetime import UTC, datetime

import pytest

from pipeline import config
from pipeline.provenance import provenance, sha256

DATE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def survey(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"pixels")
    for network in ("lens", "unet"):
        (tmp_path / "nets" / network).mkdir(parents=True)
        (tmp_path / "nets" / network / "card.json").write_bytes(network.encode())
    tile = {"image": {"r": f"{tmp_path}/a.fits[SCI]"}, "weight": {"r": f"{tmp_path}/no.fits"}}
    return config.Config(name="s", tiles={"t": tile}, networks=str(tmp_path / "nets"))


def test_it_says_what_went_in(survey, tmp_path):
    said = provenance(survey, DATE)
    assert said["inputs"] == {
        f"{tmp_path}/a.fits": {"sha256": hashlib.sha256(b"pixels").hexdigest(), "bytes": 6},
        f"{tmp_path}/no.fits": None,
    }
    assert said["weights"] == {
        f"{name}/card.json": hashlib.sha256(name.encode()).hexdigest() for name in ("lens", "unet")
    }
    assert said["created"] == "2030-01-02T03:04:05+00:00"
    assert {"numpy", "sep", "keras", "openvino"} <= said["packages"].keys()


def test_its_config_makes_the_same_run_again(survey):
    said = json.loads(json.dumps(provenance(survey, DATE)))
    assert config.Config.model_validate(said["config"]) == survey


def test_it_says_nothing_of_sections_that_it_was_not_given(survey):
    given = survey.model_dump_json(exclude={"survey", "train"})
    said = provenance(config.Config.model_validate_json(given), DATE)["config"]
    assert said == json.loads(given)
    assert said["detect"]["n_sigma"] == config.Detect().n_sigma


def test_nothing_but_the_date_changes(survey):
    one, other = provenance(survey, DATE), provenance(survey, DATE.replace(year=2031))
    assert {key for key in one if one[key] != other[key]} == {"created"}


@pytest.mark.parametrize("size", [0, 1, (1 << 22) + 1])
def test_checksums_are_those_of_the_whole_file(tmp_path, size):
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "f").write_bytes(content[:size])
    assert sha256(tmp_path / "f") == hashlib.sha256(content[:size]).hexdigest()


def test_a_file_that_many_name_is_hashed_once(survey, monkeypatch):
    from pipeline import provenance as module

    tile, hashed = survey.tiles["t"], []
    monkeypatch.setattr(module, "sha256", hashed.append)
    provenance(survey.model_copy(update={"tiles": {"t": tile, "u": tile}}), DATE)
    assert len(hashed) == len(set(hashed))
