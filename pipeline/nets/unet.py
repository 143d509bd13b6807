"""The U-Net."""

import keras
from keras import ops

from pipeline.models.unet import MAPS
from pipeline.nets.layers import SkyUnits, contract_and_expand


def build(shape, settings, networks=None):
    """Build a U-Net: a stamp to `MAPS`, (n, y, x, 3)."""
    stamps = keras.Input(shape)
    features = contract_and_expand(SkyUnits()(stamps), settings.filters)
    features = keras.layers.Identity(name="features")(features)
    maps = keras.layers.Conv2D(len(MAPS), 1, activation="sigmoid", name="maps")(features)
    model = keras.Model(stamps, maps, name="unet")
    model.compile(loss=map_loss)
    return model


@keras.saving.register_keras_serializable("arclet")
def map_loss(truth, maps):
    """Cross-entropy of the two masks and of the share, the latter weighted by light; (n,).

    Parameters
    ----------
    truth : tensor, (n, y, x, 4)
        As of `target`.
    maps : tensor, (n, y, x, 3)
    """
    truth = ops.cast(truth, maps.dtype)
    wanted, weight = truth[..., :3], truth[..., 3:]
    maps = ops.clip(maps, 1e-6, 1 - 1e-6)
    entropy = -(wanted * ops.log(maps) + (1 - wanted) * ops.log(1 - maps))
    masks = ops.mean(entropy[..., :2], axis=(1, 2, 3))
    share = ops.sum(entropy[..., 2:] * weight, axis=(1, 2, 3)) / ops.sum(weight, axis=(1, 2, 3))
    return masks + 0.5 * share


def graphs(model):
    """Build the parts that inference runs."""
    return {"main": model}
