"""The U-Net."""

import keras
from keras import ops

from pipeline.models.unet import MAPS
from pipeline.nets.layers import contract_and_expand, fold, sky_units, unfold

WIDTH = 32  # channels of what is kept of every 2x2 pixels
SHARE_WEIGHT, FLUX_WEIGHT = 0.3, 0.3  # in the loss, a mask's pixel being 1
FLUX_FLOOR = 10.0  # below which the error of a flux is not relative [sky noise of a pixel]


def build(shape, settings, networks=None):
    """Build a U-Net: a stamp to `MAPS`, (n, y, x, 3)."""
    stamps = keras.Input(shape)
    finest = contract_and_expand(fold(see(stamps)), settings.filters)
    features = keras.layers.Conv2D(WIDTH, 1, activation="relu", name="features")(finest)
    logits = unfold(keras.layers.Conv2D(4 * len(MAPS), 1)(features))
    maps = keras.layers.Activation("sigmoid", dtype="float32")(logits)
    model = keras.Model(stamps, maps, name="unet")
    model.compile(loss=map_loss)
    return model


def see(stamps):
    """Bring flux and ivar of `pipeline.models.unet.inputs` to units of the sky's noise."""
    return keras.layers.Concatenate()([sky_units(stamps[..., :2]), stamps[..., 2:]])


@keras.saving.register_keras_serializable("arclet")
def map_loss(truth, maps):
    """Cross-entropy of the masks and of the share, and the error of the shared-out light; (n,).

    The share's entropy is weighted by compressed light; the last term is the relative error of
    the flux that the share gives the target, of noiseless light.

    Parameters
    ----------
    truth : tensor, (n, y, x, 4)
        As of `pipeline.models.unet.target`.
    maps : tensor, (n, y, x, 3)
    """
    truth, maps = ops.cast(truth, "float32"), ops.cast(maps, "float32")
    wanted, weight = truth[..., :3], truth[..., 3]
    maps = ops.clip(maps, 1e-6, 1 - 1e-6)
    entropy = -(wanted * ops.log(maps) + (1 - wanted) * ops.log(1 - maps))
    masks = ops.mean(ops.sum(entropy[..., :2], axis=-1), axis=(1, 2))
    share = ops.sum(entropy[..., 2] * weight, axis=(1, 2)) / ops.sum(weight, axis=(1, 2))
    light = ops.sinh(weight)
    surplus = ops.sum((maps[..., 2] - wanted[..., 2]) * light, axis=(1, 2))
    flux = ops.sum(wanted[..., 2] * light, axis=(1, 2)) + FLUX_FLOOR
    return masks + SHARE_WEIGHT * share + FLUX_WEIGHT * ops.minimum(ops.abs(surplus) / flux, 2.0)


def trunk(model):
    """What other networks build on: a stamp's features (n, y / 2, x / 2, WIDTH) and context.

    The context is the mean of each channel at the coarsest scale, (n, channel).
    """
    coarsest = model.get_layer("coarsest").output
    context = keras.layers.GlobalAveragePooling2D(dtype="float32")(coarsest)
    return keras.Model(model.input, [model.get_layer("features").output, context], name="trunk")


def graphs(model):
    """Build the parts that inference runs: maps, features and context of a stamp."""
    return {"main": keras.Model(model.input, [model.output, *trunk(model).output])}
