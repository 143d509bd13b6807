"""Run a trained network, by OpenVINO or by TensorFlow, with the same call."""

import json
import os
import sys
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline import SHIPPED

EXACT = (  # graphs that compute in f32 whatever the others do
    "polar",  # looks pixels up by their number
    "draws",  # is no faster otherwise
)


def load(folder, name, settings):
    """Open the network `name`.

    Parameters
    ----------
    folder : str, Path or None
        Folder of networks, each a folder of its own; None for the shipped ones.
    name : str
        As in `pipeline.config.NETWORKS`.
    settings : pipeline.config.Apply

    Returns
    -------
    Network

    Raises
    ------
    FileNotFoundError
        If there is no such network.
    """
    home = Path(folder or SHIPPED) / name
    if not (home / "model.keras").exists():
        raise FileNotFoundError(f"{home}: no network there; train one or correct `networks`")
    kind = OpenVINO if settings.engine == "openvino" else TensorFlow
    return kind(home, settings)


class Network:
    """A trained network: its graphs by name, and its model card.

    Called with the name of a graph and its arrays, each (n, ...), it gives the graph's output, or
    a list of them, as float32; no stamps give empty outputs.
    """

    def __init__(self, home, settings):
        self.home, self.settings = Path(home), settings

    @cached_property
    def card(self):
        """The model card."""
        return json.loads((self.home / "card.json").read_text())

    @cached_property
    def model(self):
        """The Keras model."""
        from pipeline.nets import read_model

        return read_model(self.home / "model.keras")

    def __call__(self, graph, *arrays):
        """Compute a graph in batches."""
        step, n = self.settings.batch_size, len(arrays[0])
        if not n:
            nothing = [np.zeros((1, *array.shape[1:]), "f4") for array in arrays]
            outputs = [np.asarray(part)[:0] for part in self._compute(graph, nothing)]
            return outputs if len(outputs) > 1 else outputs[0]
        outputs = None
        for start in range(0, n, step):
            batch = [np.ascontiguousarray(a[start : start + step], "f4") for a in arrays]
            parts = self._compute(graph, batch)
            if outputs is None:
                outputs = [np.empty((n, *part.shape[1:]), "f4") for part in parts]
            for whole, part in zip(outputs, parts, strict=True):
                whole[start : start + step] = part
        return outputs if len(outputs) > 1 else outputs[0]


class OpenVINO(Network):
    """Runs the exported graphs; imports in a third of a second."""

    @cached_property
    def core(self):
        """The runtime, with as many threads as the job was given."""
        openvino = _openvino()
        core = openvino.Core()
        threads = os.environ.get("OMP_NUM_THREADS")
        if threads:
            core.set_property("CPU", {"INFERENCE_NUM_THREADS": int(threads)})
        return core

    @cached_property
    def precision(self):
        """Arithmetic of the graphs: of `auto`, the fastest that this processor computes in."""
        wanted = self.settings.precision
        return fastest_precision() if wanted == "auto" else wanted

    @cached_property
    def compiled(self):
        """Graphs that were needed so far."""
        return {}

    def _compute(self, graph, arrays):
        if graph not in self.compiled:
            self.compiled[graph] = self._read(graph)
        return list(self.compiled[graph](arrays).values())

    def _read(self, graph):
        """Read and compile a graph."""
        path = self.home / f"{graph}.xml"
        precision = "f32" if graph in EXACT else self.precision
        hint = {"INFERENCE_PRECISION_HINT": precision}
        try:
            model = self.core.read_model(path)
        except RuntimeError as error:
            raise ValueError(
                f"networks: OpenVINO cannot read {path} with the .bin beside it: one of them is "
                "cut short or damaged, so copy the folder again"
            ) from error
        return self.core.compile_model(model, "CPU", hint)


def fastest_precision():
    """Arithmetic that this processor is fastest in: ``bf16`` where it knows that, else ``f32``."""
    able = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"


def _openvino():
    """Import OpenVINO without its telemetry, which writes to the home folder and calls home.

    Without the package `openvino_telemetry` OpenVINO takes an empty stand-in of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


class TensorFlow(Network):
    """Runs the Keras model, whose file may not contain code."""

    @cached_property
    def graphs(self):
        """Parts of the model by name."""
        from pipeline.nets import NETS

        return NETS[self.home.name].graphs(self.model)

    def _compute(self, graph, arrays):
        found = self.graphs[graph](arrays if len(arrays) > 1 else arrays[0], training=False)
        return [
            np.asarray(part) for part in (found if isinstance(found, list | tuple) else [found])
        ]
