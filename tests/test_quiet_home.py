"""Running a network leaves nothing in the user's home."""

import os
import subprocess
import sys

RUN = """
import numpy as np
from pipeline.config import Apply
from pipeline.models.engine import load
network = load(None, "lens", Apply())
assert network.core.available_devices
"""


def test_a_network_leaves_the_home_empty(tmp_path):
    in_ci = "CI", "TF_BUILD", "JENKINS_URL"  # where OpenVINO is quiet anyway
    environment = {k: v for k, v in os.environ.items() if k not in in_ci}
    environment |= {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", RUN], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
