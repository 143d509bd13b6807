"""A record holds while the products of its tiles are those that its job wrote."""

import json
import os

import pytest

from pipeline.planning.records import drop_stale, state


@pytest.fixture
def record(tmp_path):
    """Record of a stage's products in two tiles."""
    folders = [tmp_path / "tiles" / name for name in ("t1", "t2")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "sources.fits").write_text("sources")
    path = tmp_path / "batches" / "1of1" / "detect.json"
    path.parent.mkdir(parents=True)
    said = {folder.name: state(folder, ["sources.fits"]) for folder in folders}
    path.write_text(json.dumps({"tiles": said}))
    return path


def test_it_holds_while_nothing_changes(record, tmp_path):
    drop_stale(tmp_path, ["1of1", "no_such_batch"])
    assert record.exists()


@pytest.mark.parametrize("lost", ["tiles/t2/sources.fits", "tiles/t2"])
def test_it_goes_with_a_product(record, tmp_path, lost):
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    drop_stale(tmp_path, ["another"])
    assert record.exists()
    drop_stale(tmp_path, ["1of1"])
    assert not record.exists()


def test_it_goes_when_a_product_is_written_anew(record, tmp_path):
    os.utime(tmp_path / "tiles" / "t1" / "sources.fits", (1, 1))
    drop_stale(tmp_path, ["1of1"])
    assert not record.exists()


@pytest.mark.parametrize("said", ["", "[]", '{"tiles": {"t1": "0123456789abcdef"}}'])
def test_it_goes_where_it_says_nothing_of_products(record, tmp_path, said):
    record.write_text(said)
    drop_stale(tmp_path, ["1of1"])
    assert not record.exists()
