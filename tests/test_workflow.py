"""The workflow does what must be done, and nothing else."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import io
from pipeline.tiles import ON_REQUEST
from pipeline.tiles import STAGES as ALL_STAGES
from tests.workflow_run import ROOT, TILES, Run, run, server  # noqa: F401

STAGES = {name: stage for name, stage in ALL_STAGES.items() if name not in ON_REQUEST}
LAST = {"merge", "provenance", "report", "verdict", "all"}
NETWORK_STAGES = {"classify", "segment", "uncertainty", "photometry", "anomaly"}


@pytest.fixture(scope="module")
def batched(server, tmp_path_factory):
    tiles = {f"field_{i}": {"image": {"r": "a.fits"}} for i in range(5)}
    home = tmp_path_factory.mktemp("batched")
    return Run(server, home, tiles=tiles, tiles_per_job=3).pretend()


def test_what_is_done_is_not_done_again(run, batched):
    assert run.planned() == batched.planned() == {}


@pytest.mark.parametrize(
    ("changed", "reruns"),
    [
        ({"ingest": {"sky_mesh": 64}}, {*STAGES, *LAST}),
        ({"detect": {"n_sigma": 7}}, {*STAGES, *LAST} - {"ingest"}),
        ({"cut": {"size": 96}}, {*NETWORK_STAGES, "cut", "catalog", *LAST}),
        ({"apply": {"precision": "bf16"}}, {*NETWORK_STAGES, "catalog", *LAST}),
        ({"apply": {"batch_size": 8}}, {*STAGES, *LAST} - {"ingest"}),
        ({"lens": {"prevalence": 0.1}}, {"classify", "catalog", *LAST}),
        ({"punet": {"n_draws": 4}}, {"uncertainty", "photometry", "catalog", *LAST}),
        ({"merge": {"radius": 2}}, LAST),
        ({"on_bad_tile": "accept"}, {"provenance", "verdict", "report", "all"}),
        ({"on_bad_tile": "stop"}, LAST),
        ({"survey": {"side": 512}, "train": {"unet": {"epochs": 1}}}, set()),
        ({"inject": {"galaxies": 9}, "recover": {"passes": 2}, "adapt": {"epochs": 1}}, set()),
    ],
)
def test_a_setting_reruns_its_stage_and_what_follows(run, changed, reruns):
    assert run.planned(**changed).keys() == reruns


def test_what_is_recovered_depends_on_what_recovers_it(server, tmp_path):
    run, asked = Run(server, tmp_path).pretend("recover"), {"completeness", "recover"}
    assert run.planned("recover") == {}
    assert run.planned("recover", recover={"seed": 1}).keys() == {"recovered", *asked}
    assert run.planned("recover", punet={"n_draws": 4}).keys() == {"recovered", *asked}
    (run.home / "nets" / "photometry" / "card.json").write_text('{"trained": "anew"}')
    assert run.planned("recover").keys() == {"recovered", *asked}


@pytest.mark.parametrize(
    ("target", "rule", "other"),
    [("adapt", "adaptation", "photometry"), ("calibrate", "calibration", "lens")],
)
def test_fitted_networks_come_with_no_old_copy_of_others(server, tmp_path, target, rule, other):
    run = Run(server, tmp_path).pretend(target)
    assert run.planned(target) == {}
    (run.home / "nets" / other / "card.json").write_text('{"trained": "anew"}')
    assert run.planned(target)[rule] == 1


def test_what_adapt_paints_itself_does_not_hang_on_how_inject_does(server, tmp_path):
    run = Run(server, tmp_path).pretend("adapt")
    other = {"inject": {"seed": 7, "per_galaxy": 3}, "lens": {"threshold": 0.5}}
    assert run.planned("adapt", **other) == {}
    assert run.planned("adapt", inject={"min_snr": 50})["adaptation"] == 1


def test_detection_without_a_network_depends_on_none(server, tmp_path):
    run = Run(server, tmp_path, detect={"hidden": False}).pretend()
    run.config["networks"] = str(shutil.copytree(run.home / "nets", run.home / "others"))
    planned = run.planned(apply={"engine": "tensorflow"})
    assert planned.keys() == {*NETWORK_STAGES, "catalog", *LAST}


def test_an_added_tile_is_the_only_one_computed(run):
    planned = run.planned(tiles={"a_new_one": {"image": {"r": "new.fits"}}, **TILES})
    assert {planned[stage] for stage in STAGES} == {1}


def test_a_zero_point_of_a_tiles_own_reruns_that_tile(run):
    own = {"t1": {**TILES["t1"], "zero_point": {"r": 26.5}}, "t2": TILES["t2"]}
    planned = run.planned(tiles=own)
    assert {planned[stage] for stage in STAGES} == {1}


def test_an_added_tile_concerns_only_its_batch(batched):
    tiles = {"a_new_one": {"image": {"r": "new.fits"}}, **batched.config["tiles"]}
    planned = batched.planned(tiles=tiles)
    assert {planned[stage] for stage in STAGES} == {1}


def test_products_that_are_not_those_of_their_record_are_made_again(server, tmp_path):
    run = Run(server, tmp_path).pretend()
    record = run.home / "results" / "x" / "batches" / "t1" / "cut.json"
    record.write_text('{"tiles": {"t1": {"cutouts.fits": [2880, 1]}}}')
    planned = run.planned()
    assert planned.keys() == {*NETWORK_STAGES, "cut", "catalog", *LAST}
    assert {planned[stage] for stage in planned.keys() & STAGES} == {1}


def test_other_weights_rerun_their_network(run):
    card = run.home / "nets" / "unet" / "card.json"
    card.write_text('{"trained": "anew"}')
    planned = run.planned()
    card.write_text("{}")
    assert planned.keys() == {*STAGES, *LAST} - {"ingest"}


def test_a_folder_of_networks_reruns_those_that_are_others(run):
    copy = shutil.copytree(run.home / "nets", run.home / "adapted")
    (copy / "lens" / "card.json").write_text('{"adapted": {}}')
    assert run.planned(networks=str(copy)).keys() == {"classify", "catalog", *LAST}


@pytest.mark.parametrize(
    ("module", "reruns"),
    [("detection/matched", {*STAGES, *LAST} - {"ingest"}), ("catalogs/merge", LAST)],
)
def test_a_change_of_code_reruns_its_users(run, module, reruns):
    source = run.code / "pipeline" / f"{module}.py"
    before = source.read_text()
    source.write_text(before + "\nCHANGED = True\n")
    planned = run.planned()
    source.write_text(before)
    assert planned.keys() == reruns


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"detect": {"n_sigmaa": 3}}, "detect.n_sigmaa: there is no such setting; did you mean"),
        ({"tiles": {"$(rm)": TILES["t1"]}}, r"'\$\(rm\)' is no name"),
        ({"name": None}, r"The config is wrong: \S+config.yaml\s+name: it needs a name"),
        ({"tiles": {}}, "names no tiles"),
        ({"networks": "nowhere"}, "no network in nowhere/unet; train it"),
    ],
)
def test_a_wrong_config_stops_before_the_first_job(run, wrong, message):
    status, said = run.configured("-n", **wrong)
    assert status == 1
    assert re.search(message, said)
    assert "rule ingest:" not in said


def test_stamps_that_a_network_does_not_take_stop_before_the_first_job(run):
    card = run.home / "nets" / "lens" / "card.json"
    card.write_text('{"scenes": {"lens_size": 32}}')
    status, said = run.configured("-n")
    card.write_text("{}")
    assert status == 1
    assert "cut.lens_size is 96, but" in said
    assert "rule ingest:" not in said


def test_two_tiles_of_one_name_stop_before_the_first_job(run, tmp_path):
    tile = "  t1: {image: {r: a.fits}}\n"
    (tmp_path / "twice.yaml").write_text(f"name: x\ntiles:\n{tile}{tile}")
    status, said = run.snakemake("-n", "--configfile", tmp_path / "twice.yaml")
    assert status == 1
    assert "twice.yaml: t1: there twice, in the section from line 3 on" in said


def test_without_a_config_it_says_how_to_give_one(run, tmp_path):
    status, said = run.snakemake("-n", "--directory", tmp_path)
    assert status == 1
    assert "There is no config: give one with --configfile" in said


def test_a_config_in_the_directory_is_found_but_never_mixed_in(run, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("name: here\ntiles: {own: {image: {r: a}}}")
    networks = f"networks={run.home}/nets"
    _, said = run.snakemake("-n", "--directory", tmp_path, "--config", networks)
    assert "results/here/batches/own/" in said
    _, said = run.configured("-n", directory=tmp_path)
    assert "results/x/batches/t1/" in said
    assert "own" not in said


def test_a_survey_is_simulated_before_its_tiles_come_in(run):
    tiles = {"t1": {"image": {"r": "results/x/sky/t1.fits[SCI]"}}}
    _, said = run.configured("-n", tiles=tiles, survey={"side": 10_000})
    assert "rule demo_survey:" in said
    memory = re.search(r"rule ingest:.*?mem_mb=(\d+)", said, flags=re.DOTALL)[1]
    assert int(memory) == 1000 + 8 * 10 * 10_000**2 / 1e6, "as if its 10 bytes a pixel were there"


def test_a_survey_is_simulated_with_what_was_set_of_it(run):
    tiles = {"t1": {"image": {"r": "results/x/sky/t1.fits"}}}
    survey = {"like": "HSC i", "psf_fwhm": 0.65}
    _, said = run.configured("-n", "-p", tiles=tiles, survey=survey)
    told = re.search(r"simulate-survey --config '(.*?)'", said)[1]
    assert json.loads(told) == {"survey": survey}


def test_memory_follows_what_is_there(run):
    """All the sources of all tiles for `merge`, what is painted for `recover`."""
    tiles = {name: {"image": {"r": f"results/x/sky/{name}.fits"}} for name in ("t1", "t2")}
    recover = {"galaxies": 50_000, "passes": 4}
    _, said = run.configured(
        "-n", "all", "recover", tiles=tiles, survey={"side": 10_000}, recover=recover
    )
    memory = dict(re.findall(r"rule (\w+):.*?mem_mb=(\d+)", said, flags=re.DOTALL))
    images = 10 * 10_000**2 / 1e6
    assert int(memory["merge"]) == 1000 + 2 * 4 + images + 0.1 * 2 * images
    assert int(memory["completeness"]) == 1000 + 2 * 40


def test_file_names_may_hold_anything(run):
    name = "a{b} c'd;$(touch oops)[1].fits"
    (run.home / name).write_text("no image")
    tiles = {"t1": {"image": {"r": name}}}
    target = "results/hostile/batches/t1/ingest.json"
    status, said = run.configured("-c1", target, name="hostile", tiles=tiles)
    assert status == 0, said
    assert name in io.read_rejection(run.home / "results/hostile/tiles/t1/exposure.fits")
    assert not (run.home / "oops").exists()


def test_rules_wait_for_the_stages_that_make_what_theirs_reads():
    files = (ROOT / "rules" / f"{name}.smk" for name in ("tiles", "lens", "recovery"))
    text = "\n".join(path.read_text() for path in files)
    rules = dict(re.findall(r"^rule (\w+):\n(.*?)(?=^rule|\Z)", text, flags=re.M | re.S))
    maker = {file: name for name, stage in ALL_STAGES.items() for file in stage.writes}
    for name, stage in ALL_STAGES.items():
        reads, writes = (re.findall(r'made_by\("(\w+)"\)', t) for t in rules[name].split("output:"))
        assert sorted(reads) == sorted({maker[file] for file in stage.reads})
        assert writes == [name]


def test_no_rule_retries_on_its_own():
    assert not re.search("retries: [^0]", "".join(p.read_text() for p in ROOT.glob("rules/*.smk")))


def test_lint_and_format_are_clean(run):
    status, said = run.configured("--lint")
    assert status == 0, said
    snakefmt = Path(sys.executable).with_name("snakefmt")
    command = [snakefmt, "--check", ROOT / "workflow", ROOT / "rules"]
    subprocess.run(command, check=True, capture_output=True)


def test_each_file_is_looked_at_once_in_planning(run):
    source = run.code / "pipeline" / "planning" / "inputs.py"
    before = source.read_text()
    source.write_text(
        f"{before}\nlook = stamps\ndef stamps(tile): print('look'); return look(tile)"
    )
    status, said = run.configured("-n")
    source.write_text(before)
    assert status == 0, said
    assert said.count("look\n") == len(TILES)


@pytest.mark.slow
def test_ten_thousand_tiles_are_planned_in_a_minute(server, tmp_path):
    tiles = {f"tile_{i:05}": {"image": {"r": f"{i}.fits"}} for i in range(10_000)}
    run = Run(server, tmp_path, tiles=tiles, tiles_per_job=50)
    start = time.monotonic()
    planned = run.planned()
    assert time.monotonic() - start < 60
    assert {planned[stage] for stage in STAGES} == {256}
