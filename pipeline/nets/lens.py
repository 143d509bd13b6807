"""The lens finder: an ensemble of residual networks."""

import keras
from keras import ops

from pipeline.nets.layers import conv, fold, residual, sky_units


def build(shape, settings, networks=None):
    """Build an ensemble of residual networks: a stamp to one logit a member, (n, member)."""
    stamps = keras.Input(shape)
    x = fold(sky_units(stamps))
    members = [_member(x, settings.filters) for _ in range(settings.members)]
    logits = keras.layers.Concatenate(dtype="float32")(members) if len(members) > 1 else members[0]
    model = keras.Model(stamps, logits, name="lens")
    model.compile(loss=mean_member_loss)
    return model


def _member(x, filters):
    x = conv(x, filters[0])
    for n in filters[1:]:
        x = residual(residual(x, n, strides=2), n)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.layers.Dense(1, dtype="float32")(x)


@keras.saving.register_keras_serializable("arclet")
def mean_member_loss(truth, logits):
    """Cross-entropy of every member on its own, averaged; truth (n, 1), logits (n, member)."""
    return ops.mean(ops.softplus(logits) - truth * logits, axis=-1)


def graphs(model):
    """Build the parts that inference runs."""
    return {"main": model}
