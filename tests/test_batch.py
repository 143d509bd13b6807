"""A stage runs where its products are missing or out of date, and nowhere else."""

import os

import pytest

from pipeline import batch
from pipeline.config import read
from pipeline.tiles import Stage

CONFIG = {"cut": {"size": 64}}


@pytest.fixture
def tiles(tmp_path):
    folders = [tmp_path / "tiles" / name for name in ("t1", "t2")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "exposure.fits").write_text("pixels")
        os.utime(folder / "exposure.fits", (1, 1))
    return folders


@pytest.fixture
def done():
    return []


@pytest.fixture
def run(done):
    def work(config, tile):
        done.append(tile.name)
        for name in stage.writes:
            (tile / name).write_text("stamps")

    stage = Stage("cut", work, ("exposure.fits",), ("cutouts.fits", "lens_cutouts.fits"))

    def again(folders, config=CONFIG, code="1"):
        done.clear()
        again.states = batch.run(stage, read(config), code, folders)
        return list(done)

    return again


def test_what_is_done_is_not_done_again(run, tiles):
    assert run(tiles) == ["t1", "t2"]
    assert run(tiles) == []


def test_a_job_that_was_killed_goes_on_where_it_stopped(run, tiles):
    run(tiles[:1])
    assert run(tiles) == ["t2"]


def test_what_a_killed_job_left_is_removed(run, tiles):
    left, other = (tiles[0] / f".{name}.12.partial.fits" for name in ("cutouts", "exposure"))
    left.write_text("half"), other.write_text("of another stage")
    run(tiles)
    assert not left.exists()
    assert other.exists()


def test_the_record_is_another_one_when_products_are_written_anew(run, tiles):
    run(tiles)
    before = run.states
    run(tiles)
    assert run.states == before
    run(tiles[:1], code="2")  # of the same content
    run(tiles, code="2")
    assert run.states.keys() == before.keys() == {"t1", "t2"}
    assert all(run.states[name] != before[name] for name in before)


def test_a_missing_product_is_made_again(run, tiles):
    run(tiles)
    (tiles[0] / "lens_cutouts.fits").unlink()
    assert run(tiles) == ["t1"]


def test_a_product_older_than_what_it_is_made_of_is_made_again(run, tiles):
    run(tiles)
    os.utime(tiles[1] / "exposure.fits")
    os.utime(tiles[1] / "cutouts.fits", (2, 2))
    assert run(tiles) == ["t2"]


@pytest.mark.parametrize("changed", [{"config": {"cut": {"size": 96}}}, {"code": "2"}])
def test_other_settings_or_code_make_all_anew(run, tiles, changed):
    run(tiles)
    assert run(tiles, **changed) == ["t1", "t2"]


def test_neither_bad_tiles_nor_where_networks_lie_decide_the_products(run, tiles):
    run(tiles)
    assert run(tiles, {**CONFIG, "on_bad_tile": "stop", "networks": "elsewhere"}) == []


def test_a_tile_hangs_on_its_own_images_only(run, tiles, tmp_path):
    images = {name: tmp_path / f"{name}.fits" for name in ("t1", "t2")}
    config = {"tiles": {name: {"image": {"r": str(path)}} for name, path in images.items()}}
    assert run(tiles, config) == ["t1", "t2"]
    images["t1"].write_text("it has come")
    assert run(tiles, config) == ["t1"]
    config["tiles"]["t2"] = {"image": {"r": "elsewhere.fits"}}
    assert run(tiles, config) == ["t2"]
    config["tiles"]["t3"] = {"image": {"r": "new.fits"}}
    assert run(tiles, config) == []


def test_a_stage_that_fails_leaves_no_receipt(tiles):
    def work(config, tile):
        (tile / "cutouts.fits").write_text("half")
        raise RuntimeError("out of stamps")

    stage = Stage("cut", work, ("exposure.fits",), ("cutouts.fits",))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of stamps"):
            batch.run(stage, read(CONFIG), "1", tiles)
