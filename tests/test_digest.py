"""A product's digest follows the code that makes it, and nothing else."""

import json
import shutil

import numpy as np
import pytest

from pipeline.planning import digest

MODULES = {
    "survey": "",
    "training": "",
    "__init__": "",
    "tiles": """
from pipe import io

STAGES = {}

def register(work):
    STAGES[work.__name__] = work

@register
def detect(config, tile):
    from pipe.detect import detect
    return detect(_read(tile))

@register
def cut(config, tile):
    from pipe import cutouts
    return cutouts.cut(tile)

def _read(tile):
    return io.read(tile)
""",
    "io": "def read(tile): return tile",
    "data": "unit = 'nJy'",
    "detect": "from pipe.data import unit\ndef detect(x): return x  # as it is",
    "cutouts": "def cut(x):\n    import pipe.deep.stamps\n    return x",
    "deep/__init__": "",
    "deep/stamps": "from pipe.data import unit",
    "unused": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    home = tmp_path / "pipe"
    (home / "deep").mkdir(parents=True)
    for name, source in MODULES.items():
        (home / f"{name}.py").write_text(source)
    monkeypatch.setattr(digest, "PACKAGE", home)
    monkeypatch.setattr(digest, "SHIPPED", home / "weights")
    return home


def digests():
    for function in (
        digest.code,
        digest.weights,
        digest._tree,
        digest._imports_of,
        digest._source_of,
    ):
        function.cache_clear()
    return {stage: digest.code(stage) for stage in ("detect", "cut")}


@pytest.mark.parametrize(
    ("module", "reruns"),
    [
        ("io", {"detect"}),
        ("detect", {"detect"}),
        ("cutouts", {"cut"}),
        ("deep/stamps", {"cut"}),
        ("data", {"detect", "cut"}),
        ("unused", set()),
        ("__init__", set()),
    ],
)
def test_a_change_of_code_concerns_its_users_only(package, module, reruns):
    before = digests()
    with (package / f"{module}.py").open("a") as file:
        file.write("\nnew = 1\n")
    after = digests()
    assert {stage for stage in before if before[stage] != after[stage]} == reruns


def test_a_change_of_the_function_or_of_its_helper_counts(package):
    before, tiles = digests(), package / "tiles.py"
    tiles.write_text(tiles.read_text().replace("return io.read(tile)", "return io.read(tile, 1)"))
    after = digests()
    assert before["detect"] != after["detect"]
    assert before["cut"] == after["cut"]


def test_comments_and_layout_do_not_count(package):
    before = digests()
    source = package / "detect.py"
    source.write_text(source.read_text().replace("  # as it is", "\n\n\n# another remark"))
    assert digests() == before


def test_data_files_beside_an_imported_package_count(package):
    tiles = package / "tiles.py"
    tiles.write_text(tiles.read_text().replace("from pipe import cutouts", "from pipe import deep"))
    before = digests()
    (package / "deep" / "page.html").write_text("<html>")
    after = digests()
    assert before["cut"] != after["cut"]
    assert before["detect"] == after["detect"]


def test_every_command_of_the_package_has_a_digest_of_its_own():
    from pipeline.__main__ import COMMANDS
    from pipeline.tiles import STAGES

    names = [*STAGES, *(work.__name__ for work in COMMANDS)]
    assert len({digest.code(name) for name in names}) == len(names)


def test_weights_follow_names_and_contents(package):
    home = package / "weights" / "unet"
    home.mkdir(parents=True)
    (home / "card.json").write_text("{}")
    (home / "model.bin").write_bytes(b"1")
    digests()
    first = digest.weights("unet")
    (home / "model.bin").rename(home / "other.bin")
    digests()
    second = digest.weights("unet")
    (home / "other.bin").write_bytes(b"2")
    digests()
    assert len({first, second, digest.weights("unet")}) == 3
    assert digest.weights("unet", str(package / "weights")) == digest.weights("unet")


def test_a_missing_network_says_what_to_do(package):
    with pytest.raises(ValueError, match=r"no network in .*lens; train it \(`snakemake train`\)"):
        digest.weights("lens")


@pytest.mark.parametrize(
    ("name", "message"),
    [("readme.txt", "there is no network in .*lens; train"), ("card.json", "is no model card")],
)
def test_a_folder_of_something_else_is_no_network(tmp_path, name, message):
    (tmp_path / "lens").mkdir()
    (tmp_path / "lens" / name).write_text("hello")
    with pytest.raises(ValueError, match=message):
        digest.weights("lens", str(tmp_path))


@pytest.mark.parametrize("lost", ["main.xml", "calibration"])
def test_half_a_network_is_refused_before_any_job_starts(tmp_path, lost):
    home = tmp_path / "lens"
    shutil.copytree(digest.SHIPPED / "lens", home)
    assert digest.weights("lens", str(tmp_path)) == digest.weights("lens")
    digest.weights.cache_clear()
    if lost == "calibration":
        card = json.loads((home / "card.json").read_text())
        del card["calibration"]
        (home / "card.json").write_text(json.dumps(card))
    else:
        (home / lost).unlink()
    with pytest.raises(ValueError, match=rf"lens lacks {lost}.*copy the whole folder"):
        digest.weights("lens", str(tmp_path))


def test_arrays_are_told_apart_by_their_values_however_they_lie_in_memory():
    stamps = np.arange(24.0).reshape(2, 3, 4)
    turned = np.ascontiguousarray(stamps.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert not turned.flags.c_contiguous
    assert digest.arrays(turned) == digest.arrays(stamps) != digest.arrays(stamps + 1)
