"""A source's own pixels: its light without its neighbours', in the pixels of its tile."""

from dataclasses import replace

import numpy as np

from pipeline.data import blocks_wcs
from pipeline.deblending.shares import divide_bands
from pipeline.stamps.cutouts import boxes
from pipeline.stamps.masks import enlarge


def own_light(wanted, exposure, stamps, share, front=None):
    """Tell the light of sources from that of all others in their stamps.

    Parameters
    ----------
    wanted : ndarray, int
        Identifiers of the sources.
    exposure : Exposure
        Of their tile.
    stamps : Cutouts
        Those that the networks saw, of all sources of the tile.
    share : ndarray or Planes, (n, y, x), or list of such, one a band
        SHARE of each stamp.
    front : pipeline.deblending.shares.Front, optional

    Yields
    ------
    id : int
        One of those wanted.
    window : Exposure
        The tile's pixels that its stamp covers, whatever its binning.
    light : ndarray, (y, x, band), float32
        What is the source's of these, as `pipeline.deblending.shares.divide` says; of a binned
        stamp its share is interpolated.
    """
    size = stamps.flux.shape[1]
    for rows, divided in divide_bands(share, stamps, exposure.flux.shape, front):
        for i in np.flatnonzero(np.isin(stamps.id[rows], wanted)):
            row, block = rows[i], int(stamps.binning[rows[i]])
            corner, side = stamps.corner[row], size * block
            window = _window(exposure, corner, side)
            light = window.flux
            if front is not None and front.rows[row]:
                behind = boxes(front.behind, corner[None], side)[0]
                light = np.where(window.ivar > 0, light - behind, 0)
            own = np.moveaxis(enlarge(np.moveaxis(divided[i], -1, 0), block), 0, -1)
            yield int(stamps.id[row]), window, light * own


def _window(exposure, corner, side):
    """Square of an exposure; beyond its edges no pixel is usable."""
    flux, ivar = (boxes(planes, corner[None], side)[0] for planes in (exposure.flux, exposure.ivar))
    wcs = exposure.wcs and blocks_wcs(exposure.wcs, corner)
    return replace(exposure, flux=flux, ivar=ivar, wcs=wcs, notes=(), gaps=None)
