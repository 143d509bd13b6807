"""The mixture density network for total fluxes."""

import keras
import numpy as np
from keras import ops

from pipeline.models.mixture import N_COMPONENTS
from pipeline.models.photometry import N_KNOWN
from pipeline.nets.layers import encode, fold, sky_units


def build(shape, settings, networks=None):
    """Build the network: stamp and maps, and what is known of it, to a mixture.

    Of (n, y, x, 5) and (n, N_KNOWN), it makes (n, 3 * N_COMPONENTS).
    """
    stamps, known = keras.Input(shape), keras.Input((N_KNOWN,))
    seen, maps = sky_units(stamps[..., :2]), stamps[..., 2:]
    own = seen[..., :2] * maps[..., 1:2]
    x = encode(fold(keras.layers.Concatenate()([seen, maps, own])), settings.filters)
    x = keras.layers.Dense(128, activation="relu")(keras.layers.Concatenate()([x, known]))
    x = keras.layers.Dense(64, activation="relu")(keras.layers.Concatenate()([x, known]))
    parts = [_output(x, start) for start in ("glorot_uniform", "zeros", "zeros")]
    parts[2] = 4.0 * ops.tanh((parts[2] - 1.5) / 4.0)
    mixture = keras.layers.Concatenate(dtype="float32")(parts)
    model = keras.Model([stamps, known], mixture, name="photometry")
    model.compile(loss=negative_log_likelihood)
    return model


def _output(x, start):
    return keras.layers.Dense(N_COMPONENTS, kernel_initializer=start, dtype="float32")(x)


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
