"""Pictures of stamps."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

ROW = 8  # stamps in a row
SOFTENING, BRIGHTEST = 2.0, 60.0  # of the asinh stretch, at least, in units of the noise


def mosaic(images, captions):
    """Draw stamps side by side, each with its caption.

    Parameters
    ----------
    images : list of ndarray, (y, x, band)
        In units of the noise; three bands or more are shown in colour, the last one as red.
    captions : list of str

    Returns
    -------
    Figure or None
        None if there are no stamps.
    """
    if not images:
        return None
    rows = -(-len(images) // ROW)
    figure = Figure(figsize=(1.55 * ROW, 1.95 * rows))
    grid = {"left": 0.005, "right": 0.995, "bottom": 0.01, "top": 1 - 0.38 / (1.95 * rows)}
    grid |= {"wspace": 0.05, "hspace": 0.34}
    axes = figure.subplots(rows, ROW, squeeze=False, gridspec_kw=grid).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, image, caption in zip(axes, images, captions, strict=False):
        _show(ax, image)
        ax.set_title(caption, fontsize=7, linespacing=1.1)
    return figure


def gallery(blends):
    """Draw how blends were taken apart: a row each, of the stages of the deblending.

    Parameters
    ----------
    blends : list of dict
        ``image`` (y, x, band) in units of the noise; ``label`` (y, x), int, of the segmentation;
        ``own``, the source's label; ``share`` and ``spread`` (y, x), 0 to 1; ``caption``.

    Returns
    -------
    Figure or None
    """
    if not blends:
        return None
    height = 1.9 * len(blends) + 0.8
    figure = Figure(figsize=(9.8, height))
    grid = {"left": 0.045, "right": 0.995, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
    grid |= {"wspace": 0.04, "hspace": 0.04}
    axes = figure.subplots(len(blends), 5, squeeze=False, gridspec_kw=grid)
    titles = "image", "segmentation", "target's share", "its light", "mask uncertainty"
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=9)
    for row, blend in zip(axes, blends, strict=True):
        _show(row[0], blend["image"])
        row[1].imshow(_paint(blend["label"], blend["own"]), origin="lower")
        share = row[2].imshow(blend["share"], origin="lower", vmin=0, vmax=1, cmap="viridis")
        _show(row[3], blend["image"] * blend["share"][..., None])
        spread = row[4].imshow(blend["spread"], origin="lower", vmin=0, vmax=0.5, cmap="magma")
        for ax in row:
            ax.set_xticks([])
            ax.set_yticks([])
        row[0].set_ylabel(blend["caption"], fontsize=7)
    for mapped, column in ((share, 2), (spread, 4)):
        box = axes[-1, column].get_position()
        bar = figure.add_axes([box.x0, 0.36 / height, box.width, 0.1 / height])
        figure.colorbar(mapped, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7)
    return figure


def _show(ax, image):
    """Show a stamp (y, x, band) in an asinh stretch, from the noise to its middle's peak."""
    quarter = len(image) // 4
    middle = image[quarter : len(image) - quarter, quarter : len(image) - quarter]
    brightest = max(BRIGHTEST, middle.max(initial=0))
    shown = np.arcsinh(image / SOFTENING) / np.arcsinh(brightest / SOFTENING)
    shown = np.clip(0.12 + 0.88 * shown, 0, 1)
    shown = shown[..., 2::-1] if shown.shape[-1] >= 3 else shown.mean(axis=-1)
    ax.imshow(shown, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _paint(label, own):
    """Colours (y, x, 3) of a segmentation: the source itself orange, others in blues."""
    colours = ListedColormap(["#0072B2", "#56B4E9", "#004D7A", "#9AD0F0", "#3B8FC2"])
    painted = colours(label % colours.N)[..., :3]
    painted[label == 0] = 0.12
    painted[label == own] = (0.902, 0.624, 0.0)
    return painted
