"""The workflow paints galaxies onto a survey, and calibrates the flux network on them."""

import json

import pytest

from pipeline import io
from tests.workflow_run import ROOT, Run, server  # noqa: F401

TILE = {"image": {"r": "results/x/sky/t1.fits[SCI]"}, "weight": {"r": "results/x/sky/t1.fits[WHT]"}}


@pytest.mark.slow
def test_a_survey_is_painted_on_and_the_intervals_calibrated(server, tmp_path):
    asked = {"survey": {"side": 1024}, "recover": {"passes": 5}}
    networks = str(ROOT / "pipeline" / "weights")
    run = Run(server, tmp_path, tiles={"t1": TILE}, networks=networks, **asked)
    status, said = run.configured("--cores", "2", "--", "recover", "calibrate")
    assert status == 0, said
    results = run.home / "results" / "x"
    measured = io.read_table(results / "completeness.fits")
    painted = io.read_table(results / "tiles" / "t1" / "recovered.fits")
    assert measured["n"][0] == len(painted) > 400
    assert measured["completeness"][0] == pytest.approx(painted["found"].mean())
    assert (results / "completeness.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((results / "calibrated" / "gain.json").read_text())
    shipped, own = (
        json.loads((folder / "photometry" / "card.json").read_text())["calibration"]
        for folder in (ROOT / "pipeline" / "weights", results / "calibrated")
    )
    assert told["galaxies"] <= painted["found"].sum()
    assert own["width"] == shipped["width"]
    assert own["widen"] != shipped["widen"]
    run.config["networks"] = str(results / "calibrated")
    assert run.planned("recover")["recovered"] == 1
