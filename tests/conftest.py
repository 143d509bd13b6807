"""A small, seeded sky that every test can share."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20240101)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real survey images; tests that need it are skipped where it is absent."""
    folder = os.environ.get("ARCLET_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ARCLET_REAL_DATA names no folder of real images")
    return Path(folder)
