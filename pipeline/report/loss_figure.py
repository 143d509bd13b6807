"""Figure of a training's loss curves."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.figures import COLOURS


def loss_figure(training, name):
    """Draw the loss of training and validation against the epoch, and that of the weights kept.

    Parameters
    ----------
    training : dict
        Its ``log``: ``epoch``, ``loss`` and ``val_loss`` of each epoch; and where weights were
        ``mixed`` with those that it began with, what came of that.
    name : str
        Of the network.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    ax = figure.subplots()
    log = training["log"]
    epoch = [row["epoch"] + 1 for row in log]
    for key, label, colour in (("loss", "training", 0), ("val_loss", "validation", 1)):
        ax.plot(epoch, [row[key] for row in log], ".-", color=COLOURS[colour], label=label)
    if kept := training.get("mixed"):
        label = f"kept ({kept['share']:.0%} of the change)"
        ax.axhline(kept["val_loss"], color=COLOURS[1], ls=":", label=label)
    ax.set(xlabel="epoch", ylabel="loss", title=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(frameon=False)
    return figure
