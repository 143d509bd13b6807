"""The workflow trains what must be trained, and nothing else."""

import json
import re
import shutil

import pytest
import yaml

from pipeline.config import BUILDS_ON, NETWORKS, read
from tests.workflow_run import ROOT, Run, run, server  # noqa: F401


def test_no_training_resumes_on_another_network_below(run):
    def folders(seed):
        options = "-n", "-p", "train"
        status, said = run.configured(*options, train={"unet": {"seed": seed}})
        assert status == 0, said
        return dict(re.findall(r"training/work/(\w+)-(\w+)", said))

    one, other = folders(0), folders(5)
    assert one.keys() == other.keys() == set(NETWORKS)
    assert {name for name in one if one[name] != other[name]} == {"unet", "punet", "photometry"}


@pytest.mark.parametrize(("target", "folder"), [("adapt", "adapted"), ("calibrate", "calibrated")])
def test_networks_in_use_are_not_written_over(run, target, folder):
    shutil.copytree(run.home / "nets", run.home / "results/x" / folder)
    status, said = run.configured("-n", target, networks=f"results/x/{folder}")
    assert status != 0
    assert f"results/x/{folder} is what {target} writes: copy it elsewhere first" in said


def test_train_does_not_write_over_the_networks_that_it_starts_from(run):
    own = shutil.copytree(run.home / "nets", run.home / "results/x/networks")
    status, said = run.configured("-n", "train", train={"unet": {"start": str(own)}})
    shutil.rmtree(own)
    assert status != 0
    assert f"train.unet.start: {own} is what train writes: copy it elsewhere first" in said


def test_a_start_of_other_stamps_than_the_scenes_is_refused_before_any_job(run):
    card = run.home / "nets" / "anomaly" / "card.json"
    card.write_text('{"scenes": {"size": 64}}')
    start = {"anomaly": {"start": str(run.home / "nets")}}
    status, said = run.configured("-n", "train", train=start, scenes={"size": 32})
    card.write_text("{}")
    assert status != 0
    assert "takes stamps of 64, and scenes.size is 32: set scenes.size: 64" in said


def test_every_training_accepts_the_settings_that_it_is_given(run):
    """Those of config/tune.yaml, most of whose networks are taken as they are."""
    tuned = yaml.safe_load((ROOT / "config" / "tune.yaml").read_text())["train"]
    start = {"start": str(run.home / "nets")}
    status, said = run.configured(
        "-n", "-p", "train", train={name: fit | start for name, fit in tuned.items()}
    )
    assert status == 0, said
    given = re.findall(r"arclet train --config '(.*)' --network (\w+)", said)
    assert {name for _, name in given} == {*NETWORKS}
    for config, name in given:
        assert getattr(read(json.loads(config)).train, name).epochs == tuned[name]["epochs"]


def test_networks_are_trained_and_scored_as_they_are_to_be_applied(run):
    status, said = run.configured("-n", "-p", "--", "score", apply={"batch_size": 7})
    assert status == 0, said
    applied = re.findall(r"arclet (train|export|score) .*\"batch_size\":7", said)
    assert all(applied.count(name) == len(NETWORKS) for name in ("export", "score"))
    assert applied.count("train") == len(BUILDS_ON), "others learn with no network run"
    start = {"lens": {"start": str(run.home / "nets")}}
    _, said = run.configured("-n", "-p", "train", apply={"batch_size": 7}, train=start)
    assert not re.search(r'arclet train .*"batch_size":7.* --network lens', said)


@pytest.mark.parametrize(
    ("setting", "networks"),
    [
        ("size", {*NETWORKS} - {"lens"}),
        ("lens_size", {"lens"}),
        ("seed", {*NETWORKS}),
        ("shard", {*NETWORKS}),
    ],
)
def test_training_knows_how_its_own_scenes_are_drawn(run, setting, networks):
    status, said = run.configured("-n", "-p", "--", "train", scenes={setting: 32})
    assert status == 0, said
    for command, kind in (("train", "--network"), ("scenes", "--kind")):
        calls = re.findall(rf"arclet {command} --config (.*) {kind} (\w+)", said)
        told = {name for config, name in calls if f'"{setting}":32' in config}
        kinds = {"lenses" if name == "lens" else "blends" for name in networks}
        assert told == (networks if command == "train" else kinds)


@pytest.mark.slow
def test_networks_are_trained_and_scored_by_the_workflow(server, tmp_path):
    small = {"filters": [4, 8], "epochs": 1, "batch_size": 16, "stamps": 48}
    train = {name: small for name in NETWORKS} | {"lens": {**small, "members": 2}}
    scenes = {"blends": 64, "lenses": 64, "size": 32, "lens_size": 32}
    run = Run(server, tmp_path, scenes=scenes, train=train)
    status, said = run.configured("--cores", "2", "--", "score")
    assert status == 0, said
    scores = run.home / "results" / "x" / "training" / "scores"
    expected = {*(f"{name}.json" for name in (*NETWORKS, "peers")), "deblending.png"}
    assert expected <= {path.name for path in scores.iterdir()}
