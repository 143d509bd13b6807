"""The lens finder: an ensemble of residual networks that look along the ellipses of a galaxy."""

import keras
from keras import ops

from pipeline.nets.layers import conv, fold, residual
from pipeline.nets.polar import Polar

WRAP = 8  # angles seen twice, for convolutions know no circle


def build(shape, settings, networks=None):
    """Build an ensemble of residual networks: a stamp to one logit a member, (n, member)."""
    stamps = keras.Input(shape)
    x = Polar(dtype="float32")(stamps)
    x = ops.concatenate([x[:, :, -WRAP:], x, x[:, :, :WRAP]], axis=2)
    x = _trunk(fold(x), settings.filters[:-1])
    members = [_member(x, settings.filters[-1]) for _ in range(settings.members)]
    logits = keras.layers.Concatenate(dtype="float32")(members) if len(members) > 1 else members[0]
    model = keras.Model(stamps, logits, name="lens")
    model.compile(loss=mean_member_loss)
    return model


def _trunk(x, filters):
    """What all members share: the fine scales."""
    x = residual(conv(x, filters[0]), filters[0])
    for n in filters[1:]:
        x = residual(residual(x, n, strides=2), n)
    return x


def _member(x, filters):
    """One member: what it finds along the angles is pooled, what along the radii is told apart."""
    x = residual(x, filters, strides=(1, 2))
    x = ops.concatenate([ops.max(x, axis=2), ops.mean(x, axis=2)], axis=-1)
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(64, activation="relu")(x))
    return keras.layers.Dense(1, dtype="float32")(x)


@keras.saving.register_keras_serializable("arclet")
def mean_member_loss(truth, logits):
    """Cross-entropy of every member on its own, averaged; truth (n, 1), logits (n, member)."""
    return ops.mean(ops.softplus(logits) - truth * logits, axis=-1)


def graphs(model):
    """Build the parts that inference runs: ``polar``, of stamps, and ``main``, of what that gives.

    They are apart because pixels are looked up by their number, for which half precision is none.
    Both take planes first, (n, plane, y, x), which is faster.
    """
    (polar,) = (layer.output for layer in model.layers if isinstance(layer, Polar))
    planes = ops.moveaxis(polar, -1, 1)
    sample, rest = keras.Model(model.input, planes), keras.Model(polar, model.output)
    return {"polar": _planes_first(sample), "main": _planes_first(rest)}


def _planes_first(model):
    """Build a model that takes (n, plane, y, x) of one that takes (n, y, x, plane)."""
    height, width, n_planes = model.input.shape[1:]
    planes = keras.Input((n_planes, height, width))
    return keras.Model(planes, model(ops.moveaxis(planes, 1, -1)))
