"""The command line."""

import json
import os
import signal

import numpy as np
import pytest
from astropy.table import Column, Table

from pipeline import io
from pipeline.__main__ import main
from pipeline.catalogs.catalog import empty
from pipeline.data import Exposure
from pipeline.report import tile_facts


@pytest.fixture
def rejected(tmp_path):
    path = tmp_path / "rejected.csv"
    io.write_csv(path, Table({"tile": ["007", "t,8"], "reason": ["truncated", 'no "WCS"']}))
    for name in ("007", "t,8"):
        (tmp_path / "tiles" / name).mkdir(parents=True)
        io.write_json(tmp_path / "tiles" / name / "inputs.json", {})
    return path


def verdict(rejected, on_bad_tile, notes=(), unit="nJy"):
    names = "tiles.txt", "catalog.fits", "rejected.csv", "verdict.txt"
    tiles, catalog, _, said = paths = [rejected.with_name(name) for name in names]
    config = json.dumps({"on_bad_tile": on_bad_tile})
    tiles.write_text("t1\n")
    plane = np.ones((4, 4, 1), "f4")
    exposure = Exposure(plane, plane, None, ("r",), notes=tuple(notes))
    io.write_exposure(rejected.parent / "tiles" / "t1" / "exposure.fits", exposure)
    sources = Table({"id": [1]}, meta={"DOUBT": "no stars?"} if notes else {})
    sources["flux_auto"] = Column([[1.0]], unit=unit)
    io.write_table(rejected.parent / "tiles" / "t1" / "sources.fits", sources)
    io.write_table(catalog, empty())
    main(["verdict", "--config", config, *map(str, paths)])
    return said.read_text()


@pytest.mark.parametrize(
    "word", ["a,b", 'a "b"', "a\nb", "a\rb", "a\r\nb", " a ", "", '"', "#a", "ü"]
)
def test_reasons_survive_their_file(tmp_path, word):
    rows = [("t1", word), ("t2", "other")]
    io.write_csv(tmp_path / "r.csv", Table(rows=rows, names=("tile", "reason")))
    assert [tuple(row.values()) for row in io.read_csv(tmp_path / "r.csv")] == rows


@pytest.mark.parametrize("word", ["[a  b]", '"[\n1,\n 2]"', "[\n1]", "x[SCI,  1]"])
def test_numbers_are_one_line_of_their_file_and_words_what_they_were(tmp_path, word):
    values = {"found": [1, 2.5e-30, -3.0], "rows": [[1.0, 2.0], []], word: [word, {"of": word}]}
    io.write_json(tmp_path / "v.json", values)
    assert io.read_json(tmp_path / "v.json") == values
    assert ' "found": [ 1, 2.5e-30, -3.0 ],\n' in (tmp_path / "v.json").read_text()


def test_rejected_tiles_make_the_run_fail_and_are_named(rejected):
    with pytest.raises(SystemExit, match=r"rejected tiles: 2\n  007: truncated\n  t,8: no \"WCS\""):
        verdict(rejected, "reject")
    assert not rejected.with_name("verdict.txt").exists()


def test_a_file_that_has_come_since_is_said_to_be_there(rejected, tmp_path):
    read = {f"{tmp_path}/no.fits": None, str(rejected): None, __file__: {"bytes": 1}}
    io.write_json(tmp_path / "tiles" / "007" / "inputs.json", read)
    assert f"\n  007: truncated (there now: {rejected}; run again)\n  t,8: no" in (
        verdict(rejected, "accept")
    )


def test_rejected_tiles_can_be_accepted(rejected):
    assert verdict(rejected, "accept").startswith("rejected tiles: 2")


def test_no_rejected_tile_is_a_good_end(rejected):
    io.write_csv(rejected, Table(names=("tile", "reason"), dtype=("U1", "U1")))
    assert verdict(rejected, "reject") == "rejected tiles: 0\n"


def test_what_is_to_be_checked_is_said_at_the_end(rejected, capsys):
    said = verdict(rejected, "accept", ["zero point 27", "/data/Müller.fits: right?"])
    lines = [f"to check: tile t1: {what}\n" for what in ("/data/Müller.fits: right?", "no stars?")]
    assert said.startswith("".join(lines) + "rejected tiles: 2")
    assert capsys.readouterr().out == "".join(lines)


def test_sources_whose_fluxes_are_in_no_catalog_are_to_be_checked(rejected):
    assert "tile t1: its 1 sources have no fluxes in the catalog, for its unit is count" in (
        verdict(rejected, "accept", unit="ct")
    )


@pytest.mark.parametrize("on_bad_tile", ["reject", "accept"])
def test_a_tile_without_its_file_is_rejected_with_the_reason(tmp_path, on_bad_tile):
    ingest(tmp_path, on_bad_tile)
    reason = io.read_rejection(tmp_path / "t1" / "exposure.fits")
    assert "nowhere.fits" in reason
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["tiles"].keys() == {"t1"}


@pytest.mark.parametrize(
    "name", ["Bilder/Müller 星", r"C:\x41\new", "two  spaces", "a\nb\x1b", "https://a//~me" * 20]
)
def test_a_reason_keeps_what_a_header_cannot_hold(tmp_path, name):
    """What a path has of it, so that it can be pasted back."""
    path, said = tmp_path / "exposure.fits", f"{name}.fits: no such file"
    io.write_exposure(path, Exposure.empty(("r",), said))
    assert io.read_rejection(path) == io.read_exposure(path).rejected == said


def test_a_bad_tile_can_stop_all(tmp_path):
    with pytest.raises(SystemExit, match=r"tile t1: .*nowhere\.fits"):
        ingest(tmp_path, "stop")
    assert not (tmp_path / "record.json").exists()


def test_a_job_that_is_told_to_end_leaves_no_part_of_a_file(tmp_path, monkeypatch):
    def write(path, exposure):
        with io.whole(path) as partial:
            partial.write_text("half of it")
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(io, "write_exposure", write)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit):
            ingest(tmp_path, "reject")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not list((tmp_path / "t1").iterdir())


def ingest(folder, on_bad_tile):
    config = json.dumps({"tiles": {"t1": {"image": {"r": str(folder / "nowhere.fits")}}}})
    record = ["--record", str(folder / "record.json")]
    options = ["--config", config, "--code", "1", "--on-bad-tile", on_bad_tile, *record]
    main(["ingest", *options, str(folder / "t1")])


def test_with_stop_there_is_no_catalog_without_a_tile_that_was_rejected_before(tmp_path):
    ingest(tmp_path / "tiles", "reject")
    files = [tmp_path / name for name in ("tiles.txt", "a.fits", "a.parquet", "why.csv")]
    files[0].write_text("t1\n")
    files.append(tmp_path / ".a.123.partial.fits")  # that a killed job left
    files[-1].write_text("half of it")
    with pytest.raises(SystemExit, match=r"these tiles were rejected\nt1: .*nowhere\.fits"):
        main(["merge", "--config", '{"on_bad_tile": "stop"}', *map(str, files[:4])])
    assert not any(path.exists() for path in files[1:])


def test_a_good_tile_has_no_reason_to_be_rejected(tmp_path):
    plane = np.ones((4, 4, 1), "f4")
    io.write_exposure(tmp_path / "exposure.fits", Exposure(plane, plane, None, ("r",)))
    assert io.read_rejection(tmp_path / "exposure.fits") == ""


def test_a_wrong_setting_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["detect", "--config", '{"detect": {"n_sigmaa": 1}}', "t1"])
    assert "detect.n_sigmaa: there is no such setting" in capsys.readouterr().err


def test_a_tile_whose_sources_cannot_be_told_apart_is_rejected(tmp_path, monkeypatch, rng):
    monkeypatch.setattr("pipeline.detection.extract._PIXEL_STACKS", (500,))
    bright = (100 + rng.normal(size=(120, 120, 1))).astype("f4")
    tile = tmp_path / "t1"
    io.write_exposure(tile / "exposure.fits", Exposure(bright, np.ones_like(bright), None, ("r",)))
    options = ["--config", json.dumps({"detect": {"hidden": False}})]
    options += ["--record", str(tmp_path / "record.json"), "--on-bad-tile"]
    main(["detect", *options, "reject", str(tile)])
    assert "is the sky subtracted" in io.read_rejection(tile / "sources.fits")
    assert io.read_rejection(tile / "exposure.fits") == ""
    found = io.read_table(tile / "sources.fits")
    assert len(found) == 0
    frame = io.read_frame(tile / "exposure.fits")
    facts = tile_facts("t1", io.read_exposure(tile / "exposure.fits", 16), frame, found, [])
    assert "is the sky subtracted" in facts.rejected
    with pytest.raises(SystemExit, match="tile t1: more than 500 pixels"):
        main(["detect", *options, "stop", "--code", "anew", str(tile)])
