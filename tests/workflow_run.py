"""Snakemake on a copy of the workflow, imported once for many calls."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config import NETWORKS

ROOT = Path(__file__).parent.parent
TILES = {f"t{i}": {"image": {"r": f"t{i}.fits"}} for i in (1, 2)}
SERVER = """
import json, os, sys
import pydantic, snakemake.cli, snakemake.dag, snakemake.executors.touch, snakemake.workflow
snakemake.cli.get_argument_parser()  # loads the plugins
for line in sys.stdin:
    call = json.loads(line)
    if not (child := os.fork()):
        sys.path.insert(0, call["code"])
        with open(call["said"], "w") as said:
            os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
        snakemake.cli.main(call["options"])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def server():
    """Snakemake, imported once: a process that forks for every call."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], **pipes) as process:
        yield process
        process.stdin.close()


class Run:
    """A survey in a folder of its own, run by a copy of the workflow."""

    def __init__(self, server, home, **config):
        self.server, self.home, self.code = server, home / "run", home / "code"
        self.home.mkdir(parents=True)
        skip = shutil.ignore_patterns("__pycache__", "weights")
        for part in ("pipeline", "workflow", "rules"):
            shutil.copytree(ROOT / part, self.code / part, ignore=skip)
        for network in NETWORKS:
            (self.home / "nets" / network).mkdir(parents=True)
            (self.home / "nets" / network / "card.json").write_text("{}")
        self.config = {"name": "x", "networks": str(self.home / "nets"), "tiles": TILES, **config}

    def snakemake(self, *options):
        """Call Snakemake; gives the exit status and all it said."""
        said = self.home / "said.txt"
        options = ["-s", self.code / "workflow/Snakefile", *options]
        call = {"options": [*map(str, options)], "said": str(said), "code": str(self.code)}
        self.server.stdin.write(json.dumps(call) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline()), said.read_text()

    def configured(self, *options, directory=None, **changes):
        """Call Snakemake with the config, changed."""
        file = self.home / "config.yaml"
        file.write_text(yaml.safe_dump({**self.config, **changes}))
        where = directory or self.home
        return self.snakemake("--configfile", file, "--directory", where, *options)

    def planned(self, target="all", **changes):
        """How many jobs of each rule would run."""
        status, said = self.configured(target, "-n", "-q", "rules", **changes)
        assert status == 0, said
        rows = re.findall(r"^(\w+) +(\d+)$", said.partition("Job stats:")[2], flags=re.M)
        return {rule: int(n) for rule, n in rows if rule != "total"}

    def pretend(self, target="all"):
        """Pretend that all was done: records of no products, and Snakemake's memory of them."""
        _, said = self.configured(target, "-n", "-F")
        for line in re.findall(r"^    output: (.+)$", said, flags=re.M):
            for name in line.split(", "):
                (self.home / name).parent.mkdir(parents=True, exist_ok=True)
                (self.home / name).write_text('{"tiles": {}}')
        status, said = self.configured(target, "--touch", "-F", "-q", "all")
        assert status == 0, said
        return self

    def fails_at(self, image, target="all"):
        """Whether Snakemake fails, for the image of the tile t1 cannot be used."""
        status, said = self.configured(target, "-c1", "-q")
        logs = "".join(path.read_text() for path in self.home.rglob("*.log"))
        assert f"tile t1: {image}: " in logs, said
        return status == 1


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    return Run(server, tmp_path_factory.mktemp("single")).pretend()
