"""Begin a training with what another network has learnt."""

import numpy as np


def take_over(model, start):
    """Give a model the weights of one that has the same layers.

    What a layer sees, or has, more than before begins at 0; layers that are not trained stay
    what they are.

    Parameters
    ----------
    model, start : keras.Model

    Raises
    ------
    ValueError
        If their layers differ.
    """
    layers = ([layer for layer in one.layers if layer.weights] for one in (model, start))
    for new, old in zip(*layers, strict=True):
        if new.trainable:
            for mine, its in zip(new.weights, old.weights, strict=True):
                more = [(0, n - was) for n, was in zip(mine.shape, its.shape, strict=True)]
                mine.assign(np.pad(np.asarray(its), more))
