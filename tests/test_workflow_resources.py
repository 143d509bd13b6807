"""What the workflow asks a cluster for grows with what its settings ask of a job."""

import re

from tests.workflow_run import run, server  # noqa: F401

SIDE = 10_000
MEGABYTES = 10 * SIDE**2 / 1e6  # of each of two tiles
START = 1 + 0.001 * 2


def asked(run, target, rule, **changed):
    """Run time [minute] and memory [MB] that a rule asks for, of two large tiles."""
    tiles = {name: {"image": {"r": f"results/x/sky/{name}.fits"}} for name in ("t1", "t2")}
    _, said = run.configured("-n", target, tiles=tiles, survey={"side": SIDE}, **changed)
    said = re.search(rf"rule {rule}:.*?\n\n", said, flags=re.DOTALL)[0]
    return [int(re.search(rf"{name}=(\d+)", said)[1]) for name in ("runtime", "mem_mb")]


def test_time_for_arcs_follows_how_many_stamps_are_shown(run):
    usual, _ = asked(run, "inject", "injections")
    assert usual < START + 7
    many = {"galaxies": 2000, "per_galaxy": 40}
    shown = asked(run, "inject", "injections", inject=many)[0]
    turned = asked(run, "inject", "injections", inject=many, lens={"turns": True})[0]
    stamps, found = 2000 * 41, 1.36e-3 / 60  # minutes on two cores
    assert shown > stamps * (found + 4e-3 / 60)
    assert turned > stamps * (8 * found + 4e-3 / 60)


def test_what_adapt_needs_follows_its_stamps(run):
    usual, large, long = (
        asked(run, "adapt", "adaptation", adapt=settings)
        for settings in ({}, {"galaxies": 20_000, "per_galaxy": 8}, {"epochs": 24})
    )
    assert usual[0] == 240 and usual[1] > 6000
    assert large[0] == 20 * usual[0] and large[1] > 5000 + 0.144 * 180_000
    assert long == [2 * usual[0], usual[1]]


def test_every_pass_of_recover_takes_as_long(run):
    once, four = (asked(run, "recover", "recovered", recover={"passes": n})[0] for n in (1, 4))
    assert abs(four - START - 4 * (once - START)) < 4


def test_measuring_what_was_recovered_takes_longer_after_more_passes(run):
    once, many = (asked(run, "recover", "completeness", recover={"passes": n})[0] for n in (1, 500))
    assert once == 2 and many > 500 * 2 * 0.1 / 60 * 5  # 0.1 s a pass, on a slower machine too
