"""Begin a training with what another network has learnt."""


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
