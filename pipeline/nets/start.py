"""Begin a training with what another network has learnt, and end it with the best of both."""

import numpy as np

SHARES = np.linspace(0, 1, 11)  # of what a training changed


def take_over(model, start):
    """Give a model the weights of one that has the same layers, but for those that are not trained.

    So a network that builds on another begins with what that says now.

    Parameters
    ----------
    model, start : keras.Model

    Raises
    ------
    ValueError
        If their layers differ.
    """
    for new, old in zip(model.layers, start.layers, strict=True):
        if new.trainable:
            new.set_weights(old.get_weights())


def mix(model, start, validation):
    """Take back as much of what a training changed as lowers the loss, perhaps nothing, or all.

    Weights on the way from a network to what became of it know more than either end: both what was
    known before and what was learnt (Wortsman et al. 2022, CVPR, 7959, eq. 1).

    Parameters
    ----------
    model : keras.Model
        Compiled; trained, and changed here.
    start : keras.Model
        What that training began with.
    validation : HeldOut

    Returns
    -------
    dict
        ``share`` of the change that is kept, and the validation loss with it, ``val_loss``.
    """
    before, after = start.get_weights(), model.get_weights()

    def keep(share):
        pairs = zip(before, after, strict=True)
        model.set_weights([old + share * (new - old) for old, new in pairs])

    losses = []
    for share in SHARES:
        keep(share)
        losses.append(float(model.evaluate(validation, verbose=0, return_dict=True)["loss"]))
    best = int(np.nanargmin(losses))
    keep(SHARES[best])
    return {"share": round(float(SHARES[best]), 2), "val_loss": losses[best]}
