"""What tests share: random numbers, real images, and small networks that nobody trained."""

import fcntl
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from astropy.io import fits

if "PYTEST_XDIST_WORKER" not in os.environ:  # what one process compiles, the others find
    COMPILED = TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name

SIDE = 32  # of the stamps of blends [pixel]
BUILD_ORDER = "unet", "punet", "photometry", "lens", "anomaly"


@pytest.fixture
def rng():
    return np.random.default_rng(20240101)


@pytest.fixture
def save(tmp_path):
    """Write arrays as a FITS file; gives its path."""

    def save(name, data, header=None):
        path = tmp_path / name
        fits.PrimaryHDU(data, header).writeto(path, output_verify="silentfix")
        return str(path)

    return save


@pytest.fixture(scope="session")
def real_data():
    """Folder of real survey images; tests that need it are skipped where it is absent."""
    folder = os.environ.get("ARCLET_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ARCLET_REAL_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def blends():
    from pipeline.config.train import Scenes
    from pipeline.scenes.sets import draw_set

    return draw_set("blends", 24, Scenes(size=SIDE, seed=11), "test")


@pytest.fixture(scope="session")
def homes(tmp_path_factory, blends):
    """Every network, untrained but for its normalisations, exported as training exports it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the first of them makes what all use
        shared = shared.parent
    folder = shared / "untrained"
    with open(shared / "untrained.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = tmp_path_factory.mktemp("networks")
            _make_networks(made, blends)
            made.rename(folder)
    return folder


def _make_networks(folder, blends):
    import keras

    from pipeline.config import Apply
    from pipeline.config.train import LensFit
    from pipeline.models import NETWORKS, engine
    from pipeline.nets import NETS, fit

    keras.utils.set_random_seed(1)
    settings, exact = LensFit(filters=(4, 8), members=2), Apply(precision="f32")
    truth, networks = blends.truth.copy(), {}
    truth["is_lens"] = np.arange(len(truth)) % 2 == 0
    for name in BUILD_ORDER:
        module = NETWORKS[name]
        stamps = module.inputs(blends.cutouts, networks, blends.companions)
        model = NETS[name].build(fit.every(stamps)[0].shape[1:], settings, networks)
        _disturb(model, keras.layers.BatchNormalization)
        fit.save(model, folder / name / "model.keras")
        fit.export(NETS[name].graphs(model), folder / name)
        (folder / name / "card.json").write_text("{}")
        untold = engine.load(folder, name, exact)
        said = module.calibrate(untold, stamps, truth, blends.light)
        (folder / name / "card.json").write_text(json.dumps(said))
        networks[name] = engine.load(folder, name, exact)


@pytest.fixture(scope="session")
def networks(homes):
    from pipeline.config import Apply
    from pipeline.models import engine

    return {name: engine.load(homes, name, Apply(precision="f32")) for name in BUILD_ORDER}


def _disturb(model, kind):
    """Give layers of normalisation a mean that is not 0."""
    for layer in model._flatten_layers():
        if isinstance(layer, kind):
            mean = np.random.default_rng(2).normal(0, 0.3, layer.moving_mean.shape)
            layer.moving_mean.assign(mean)
