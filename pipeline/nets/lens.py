"""The lens finder: an ensemble of residual networks that look along the ellipses of a galaxy."""

import keras
from keras import ops

from pipeline.nets.layers import conv, residual
from pipeline.nets.polar import Polar

WRAP = 8  # angles seen twice, for convolutions know no circle


def build(shape, settings, networks=None):
    """Build an ensemble of residual networks: a stamp to one logit a member, (n, member)."""
    stamps = keras.Input(shape)
    x = Polar(dtype="float32")(stamps)
    x = ops.concatenate([x[:, :, -WRAP:], x, x[:, :, :WRAP]], axis=2)
    x = _stem(x, settings.filters)
    members = [_member(x, settings.filters) for _ in range(settings.members)]
    logits = keras.layers.Concatenate(dtype="float32")(members) if len(members) > 1 else members[0]
    model = keras.Model(stamps, logits, name="lens")
    model.compile(loss=mean_member_loss)
    return model


def _stem(x, filters):
    """What all members share: the finest scales, nearly half of what a member costs by itself."""
    return residual(conv(conv(x, filters[0]), filters[1], strides=2), filters[1])


def _member(x, filters):
    """One member: what it finds along the angles is pooled, what along the radii is told apart."""
    for n in filters[2:-1]:
        x = residual(residual(x, n, strides=2), n)
    x = residual(x, filters[-1], strides=(1, 2))
    x = ops.concatenate([ops.max(x, axis=2), ops.mean(x, axis=2)], axis=-1)
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(64, activation="relu")(x))
    return keras.layers.Dense(1, dtype="float32")(x)


@keras.saving.register_keras_serializable("arclet")
def mean_member_loss(truth, logits):
    """Cross-entropy of every member on its own, averaged; truth (n, 1), logits (n, member)."""
    return ops.mean(ops.softplus(logits) - truth * logits, axis=-1)


def graphs(model):
    """Build the parts that inference runs."""
    return {"main": model}
