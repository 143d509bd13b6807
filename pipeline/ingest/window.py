"""Find the part of each band's image that shows a window of the detection band's."""

import numpy as np

from pipeline.data import Exposure, blocks_wcs
from pipeline.ingest.fitsfile import read_frame
from pipeline.ingest.regrid import no_common_grid, same_grid

MARGIN = 32  # beyond the window, for interpolation [pixel]
_STEPS = 50  # along each side of the window


def in_window(tile, main):
    """A tile for each band, whose window is of the band's own pixels.

    Parameters
    ----------
    tile : config.Tile
        With a window of the pixels of the band `main`, or without.
    main : str

    Returns
    -------
    dict
        By band; None for a band that does not reach there.

    Raises
    ------
    InputError
        If an image cannot be read.
    """
    if tile.window is None:
        return dict.fromkeys(tile.image, tile)
    whole = read_frame(*tile.place("image", main))
    return {band: tile if band == main else _view(tile, band, main, whole) for band in tile.image}


def blank(tile, main):
    """Exposure of a window in which no pixel of the band `main` can be used."""
    _, wcs = read_frame(*tile.place("image", main))
    x0, y0, x1, y1 = tile.window
    nothing = np.zeros((y1 - y0, x1 - x0, len(tile.image)), "f4")
    note = f"no usable pixel of band {main} in the window {tile.window}"
    return Exposure(
        nothing, nothing, wcs and blocks_wcs(wcs, (x0, y0)), tuple(tile.image), notes=(note,)
    )


def _view(tile, band, main, whole):
    """The tile with its window in the pixels of `band`; `whole` is the frame it was meant for."""
    place = tile.place("image", band)
    frame = read_frame(*place)
    if whole[1] is None or frame[1] is None:
        if frame[0] != whole[0]:
            raise no_common_grid(place[0], frame[0], tile.place("image", main)[0], whole[0])
        return tile
    if same_grid(whole[1], whole[0], *frame[::-1]):
        return tile
    window = _around(tile, whole, frame)
    return window and tile.model_copy(update={"window": window})


def _around(tile, whole, frame):
    """Box of pixels of `frame` (shape, wcs) about the tile's window; None if there are none."""
    x0, y0, x1, y1 = tile.window
    grid = np.meshgrid(np.linspace(x0, x1, _STEPS), np.linspace(y0, y1, _STEPS))
    at = np.array(frame[1].world_to_pixel(whole[1].pixel_to_world(*map(np.ravel, grid))))
    at = at[:, np.isfinite(at).all(axis=0)]
    if not at.size:
        return None
    low = np.floor(at.min(axis=1)).astype(int) - MARGIN
    high = np.ceil(at.max(axis=1)).astype(int) + MARGIN
    low, high = np.maximum(low, 0), np.minimum(high, frame[0][::-1])
    return (*low.tolist(), *high.tolist()) if (low < high).all() else None
