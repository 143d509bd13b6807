"""A job that failed is tried again, whatever is asked for."""

import os

import pytest

from tests.workflow_run import Run, server  # noqa: F401


@pytest.mark.parametrize("per_job", [1, 2])
def test_another_image_is_seen_and_its_failure_not_forgotten(server, tmp_path, per_job):
    """Though it is small and older than the products: Snakemake looks at times and checksums."""
    run = Run(server, tmp_path, on_bad_tile="stop", tiles_per_job=per_job)
    image = run.home / "t1.fits"
    image.write_text("as if good")
    run.pretend()
    assert run.planned() == {}
    image.write_text("no image")
    os.utime(image, (1, 1))
    assert run.planned()["ingest"] == 1
    for change in (lambda: None, lambda: None, image.unlink, lambda: None):
        change()
        assert run.fails_at("t1.fits")


@pytest.mark.parametrize("target", ["inject", "adapt", "recover", "calibrate"])
def test_a_failure_is_not_forgotten_by_the_other_targets(server, tmp_path, target):
    run = Run(server, tmp_path, on_bad_tile="stop")
    image = run.home / "t1.fits"
    image.write_text("as if good")
    run.pretend(target)
    image.write_text("no image")
    assert run.fails_at("t1.fits", target)
    assert run.fails_at("t1.fits", target)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="only Linux has such a file")
def test_a_disk_that_does_not_answer_in_planning_is_not_the_config(server, tmp_path):
    tiles = {"{hdu}": {"image": {"r": "/proc/self/mem[{hdu}]"}}}  # which gives an EIO
    status, said = Run(server, tmp_path).configured("-n", tiles=tiles)
    assert status == 1
    assert "/proc/self/mem: cannot be read now; try again" in said
    assert "The config is wrong" not in said


def test_what_is_said_of_rejected_tiles_is_not_tried_again(server, tmp_path):
    run = Run(server, tmp_path).pretend()
    (run.home / "results/x/rejected.csv").write_text("tile,reason\nt1,no image\n")
    status, said = run.configured("-c1", "--retries", "2")
    assert status == 1
    assert said.count("Error in rule verdict:") == 1, said
