"""The mixture density network for total fluxes."""

import keras
import numpy as np
from keras import ops

from pipeline.models.mixture import N_COMPONENTS
from pipeline.nets.layers import SkyUnits, encode


def build(shape, settings, networks=None):
    """Build the network: stamp, maps and collected flux to a mixture, (n, 3 * N_COMPONENTS)."""
    stamps = keras.Input(shape)
    seen = SkyUnits()(stamps[..., :2])
    maps = stamps[..., 2:]
    signal, wide = seen[..., :1], seen[..., 1:2]
    x = keras.layers.Concatenate()([seen, maps, signal * maps[..., 1:2], wide * maps[..., 1:2]])
    x = encode(x, settings.filters)
    x = keras.layers.Dense(64, activation="relu")(x)
    logits = keras.layers.Dense(N_COMPONENTS)(x)
    mean = keras.layers.Dense(N_COMPONENTS, kernel_initializer="zeros")(x)
    log_sigma = keras.layers.Dense(N_COMPONENTS, kernel_initializer="zeros")(x)
    log_sigma = 4.0 * ops.tanh((log_sigma - 1.5) / 4.0)
    mixture = keras.layers.Concatenate()([logits, mean, log_sigma])
    model = keras.Model(stamps, mixture, name="photometry")
    model.compile(loss=negative_log_likelihood)
    return model


@keras.saving.register_keras_serializable("arclet")
def negative_log_likelihood(value, mixture):
    """Of `value` (n, 1) under `mixture` (n, 3 * N_COMPONENTS): logits, means, log sigmas; (n,)."""
    logits, mean, log_sigma = ops.split(mixture, 3, axis=-1)
    pull = (value - mean) * ops.exp(-log_sigma)
    log_normal = -(pull**2) / 2 - log_sigma - np.log(2 * np.pi) / 2
    return -ops.logsumexp(ops.log_softmax(logits) + log_normal, axis=-1)


def graphs(model):
    """Build the parts that inference runs."""
    return {"main": model}
