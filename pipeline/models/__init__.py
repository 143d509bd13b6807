"""The networks.

Every module here that `NETWORKS` names answers one question about a stamp, with the same functions:

``build(shape, settings, networks)``
    a compiled, untrained model; its first layer brings flux and ivar to sky units;
``inputs(cutouts, networks)``, ``target(stamps, truth, light)``
    what the model sees (``stamps``), and what it should say of it;
``graphs(model)``
    the parts of the model that inference runs, by name;
``calibrate(network, stamps, truth)``
    what validation stamps add to the model card;
``apply(network, cutouts, ...)``
    what the trained network says, with one row or one map a stamp;
``score(network, stamps, truth, light)``
    how well it does, as a mapping of numbers.

Networks that build on others find these in ``networks``, by name.
"""

import keras

from pipeline.models import anomaly, lens, photometry, punet, unet

NETWORKS = {
    "lens": lens,
    "unet": unet,
    "punet": punet,
    "photometry": photometry,
    "anomaly": anomaly,
}


def read_model(path):
    """Load a ``.keras`` file; one that would run code of its own is refused."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)
