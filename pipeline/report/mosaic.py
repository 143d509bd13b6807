"""Pictures of stamps.

All stamps of a picture share one axes, whose unit is a stamp: each axes of its own costs
matplotlib ten times as much as the stamp in it.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from skimage.measure import find_contours

ROW = 8  # stamps in a row
SOFTENING, BRIGHTEST = 2.0, 60.0  # of the asinh stretch, at least, in units of the noise
OWN = 0.902, 0.624, 0.0  # colour of what is the source's own: orange
GAP, CAPTION = 0.04, 0.32  # [stamp]
LIGHT = "its light, outlined"
PANELS = {  # of a blend: colours, and what the brightest of them stands for
    "image": None,
    "segmentation": None,
    "target's share": ("viridis", 1.0),
    LIGHT: None,
    "mask uncertainty": ("magma", 0.5),
}


def mosaic(images, captions):
    """Draw stamps side by side, each with its caption.

    Parameters
    ----------
    images : list of ndarray, (y, x, band)
        In units of the noise; of three bands or more the first are shown as blue, green and red.
    captions : list of str

    Returns
    -------
    Figure or None
        None if there are no stamps.
    """
    if not images:
        return None
    rows = -(-len(images) // ROW)
    figure, ax = _sheet(ROW, rows * (1 + CAPTION), 1.5)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        column, top = i % ROW, (i // ROW) * (1 + CAPTION) + CAPTION
        _place(ax, _stretched(image), column, top)
        style = {"ha": "center", "va": "bottom", "fontsize": 7, "linespacing": 1.1}
        ax.text(column + 0.5, top, caption, **style)
    return figure


def gallery(blends):
    """Draw how blends were taken apart: a row each, of the stages of the deblending.

    Parameters
    ----------
    blends : list of dict
        ``image`` (y, x, band) in units of the noise; ``label``, int, of the segmentation, in the
        tile's pixels, of which one of the image may be a block; ``own``, the source's label;
        ``share`` and ``spread`` (y, x), 0 to 1; ``caption``.

    Returns
    -------
    Figure or None
    """
    if not blends:
        return None
    left = top = 0.22  # room of the captions and of the titles
    figure, ax = _sheet(len(PANELS) + left + 0.06, len(blends) + top + 0.2, 1.9)
    for column, (title, scale) in enumerate(PANELS.items()):
        ax.text(left + column + 0.5, top - 0.03, title, ha="center", va="bottom", fontsize=9)
        if scale:
            _colour_bar(ax, left + column, top + len(blends), scale)
    for row, blend in enumerate(blends):
        for column, panel in enumerate(_panels(blend)):
            _place(ax, panel, left + column, top + row)
        first, last = left + list(PANELS).index(LIGHT) + GAP / 2, top + row + 1 - GAP / 2
        for x, y in outlines(blend["label"] == blend["own"]):
            ax.plot(first + (1 - GAP) * x, last - (1 - GAP) * y, color=OWN, linewidth=0.8)
        style = {"ha": "right", "va": "center", "rotation": 90, "fontsize": 7}
        ax.text(left, top + row + 0.5, blend["caption"], **style)
    return figure


def outlines(own):
    """Lines x, y around the pixels (y, x) that are a source's own; in sides of the stamp."""
    lines = find_contours(np.pad(own, 1).astype("f4"), 0.5)
    return [((line - 0.5) / own.shape)[:, ::-1].T for line in lines]


def _sheet(columns, rows, side):
    """Make an empty figure of ``columns x rows`` stamps of `side` [inch], and its axes."""
    figure = Figure(figsize=(columns * side, rows * side))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, columns), ylim=(rows, 0))
    ax.set_axis_off()
    return figure, ax


def _place(ax, picture, column, row):
    """Put a picture (y, x, 3) on the sheet, its first row below."""
    extent = column + GAP / 2, column + 1 - GAP / 2, row + 1 - GAP / 2, row + GAP / 2
    ax.imshow(picture, origin="lower", extent=extent, aspect="auto", interpolation="nearest")


def _colour_bar(ax, column, row, scale):
    """Draw a scale of colours below a column."""
    colours, most = scale
    to_figure = ax.transData + ax.figure.transFigure.inverted()
    (x0, y0), (x1, y1) = to_figure.transform([(column + 0.02, row + 0.06), (column + 0.98, row)])
    mapped = ScalarMappable(Normalize(0, most), colours)
    bar = ax.figure.add_axes((x0, y0, x1 - x0, y1 - y0))
    ax.figure.colorbar(mapped, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7)


def _panels(blend):
    """Pictures (y, x, 3) of a blend, in the order of `PANELS`."""
    light = blend["image"] * blend["share"][..., None]
    shown = {
        "image": _stretched(blend["image"]),
        "segmentation": _paint(blend["label"], blend["own"]),
        "target's share": blend["share"],
        LIGHT: _stretched(light),
        "mask uncertainty": blend["spread"],
    }
    for name, scale in PANELS.items():
        if scale:
            colours, most = scale
            shown[name] = mpl.colormaps[colours](np.clip(shown[name] / most, 0, 1))[..., :3]
    return [shown[name] for name in PANELS]


def _stretched(image):
    """Picture (y, x, 3) of a stamp in an asinh stretch, from the noise to its middle's peak."""
    quarter = len(image) // 4
    middle = image[quarter : len(image) - quarter, quarter : len(image) - quarter]
    brightest = max(BRIGHTEST, middle.max(initial=0))
    shown = np.arcsinh(image / SOFTENING) / np.arcsinh(brightest / SOFTENING)
    shown = np.clip(0.12 + 0.88 * shown, 0, 1)
    if shown.shape[-1] >= 3:
        return shown[..., 2::-1]
    return np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1)


def _paint(label, own):
    """Colours (y, x, 3) of a segmentation: the source itself `OWN`, others in blues."""
    colours = ListedColormap(["#0072B2", "#56B4E9", "#004D7A", "#9AD0F0", "#3B8FC2"])
    painted = colours(label % colours.N)[..., :3]
    painted[label == 0] = 0.12
    painted[label == own] = OWN
    return painted
