"""What the networks are: Keras models, and how they are trained.

Every module here that `NETS` names builds one network, with the same functions:

``build(shape, settings, networks)``
    a compiled, untrained model; its first layer brings flux and ivar to sky units;
``graphs(model)``
    the parts of the model that inference runs, by name.
"""

import keras

from pipeline.nets import anomaly, lens, photometry, punet, unet

NETS = {
    "lens": lens,
    "unet": unet,
    "punet": punet,
    "photometry": photometry,
    "anomaly": anomaly,
}


def traced(network):
    """Make of a `pipeline.models.engine.Network` one that can be called while JAX traces."""
    graphs = NETS[network.home.name].graphs(network.model)
    return lambda graph, *arrays: graphs[graph](
        list(arrays) if len(arrays) > 1 else arrays[0], training=False
    )


def read_model(path):
    """Load a ``.keras`` file; one that would run code of its own is refused."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)
