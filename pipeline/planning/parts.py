"""Parts in which an image that is too large for one job is worked through."""

import logging

from pipeline.ingest.fitsfile import read_frame
from pipeline.ingest.mishaps import InputError

OVERLAP = 256  # of neighbouring parts, at least [pixel]

log = logging.getLogger(__name__)


def split(settings):
    """Replace each tile that is to be split by its parts, which overlap.

    Parameters
    ----------
    settings : Config

    Returns
    -------
    Config
        Parts are called after the tile and their first pixel, as ``mosaic_3840_0``.  A tile whose
        image cannot be read stays whole, for ingest to reject.

    Raises
    ------
    ValueError
        If a part is called as another tile is.
    """
    tiles = {}
    for name, tile in settings.tiles.items():
        for part, each in (_parts(name, tile, settings) if tile.split else {name: tile}).items():
            if part in tiles:
                raise ValueError(f"tiles.{name}: its part {part} is called as another tile is")
            tiles[part] = each
    return settings.model_copy(update={"tiles": tiles})


def _parts(name, tile, settings):
    """Parts of a tile, by name."""
    whole = tile.model_copy(update={"split": None})
    try:
        shape, _ = read_frame(*tile.place("image", tile.main(settings.detect.band)))
    except InputError as error:
        log.warning("tile %s is not split: %s", name, error)
        return {name: whole}
    tops, lefts = (_starts(side, tile.split) for side in shape)
    if len(tops) == len(lefts) == 1:
        return {name: whole}
    corners = [(x, y) for y in tops for x in lefts]
    windows = {
        f"{name}_{x}_{y}": (x, y, min(x + tile.split, shape[1]), min(y + tile.split, shape[0]))
        for x, y in corners
    }
    return {part: whole.model_copy(update={"window": each}) for part, each in windows.items()}


def _starts(length, side):
    """First pixels of parts of a `side`, spread evenly over a `length`."""
    if length <= side:
        return [0]
    n = -(-(length - OVERLAP) // (side - OVERLAP))
    return [round(i * (length - side) / (n - 1)) for i in range(n)]
