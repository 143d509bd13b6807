"""Weights of single pixels far above those around, which no exposure gives."""

from itertools import product

import numpy as np
from scipy import ndimage

from pipeline.ingest.weights import typical

FAR = 100.0  # times the weight around; such a pixel counts tenfold in a stamp's typical noise
STEP, CELLS = 8, 5  # pixels from one sample to the next, and how many of these along an area
REACH = 3  # of the pixels around [pixel]
MOST = 0.7  # of these that are as much below, at least: at the corner of a deep field 2 in 3 are


def outlying(ivar):
    """Find pixels whose weight is far above that around, be that a deep or a shallow area.

    They would set the typical noise of the stamps that they are in.  The few that are far above a
    coarse map are compared with their neighbours.

    Parameters
    ----------
    ivar : ndarray, (y, x)
        Inverse variance or relative weight; 0 where it says nothing.

    Returns
    -------
    ndarray, (y, x), bool
        Single ones, small groups and lines; areas of another depth have neighbours as good.
    """
    coarse = ndimage.median_filter(ivar[::STEP, ::STEP], CELLS)
    coarse[coarse == 0] = typical(ivar)
    around = coarse.repeat(STEP, 0).repeat(STEP, 1)[: ivar.shape[0], : ivar.shape[1]]
    places = np.stack(np.nonzero(ivar / FAR > around))
    bar = ivar[tuple(places)] / FAR
    worse, known = np.zeros((2, places.shape[1]), int)
    padded = np.pad(ivar, REACH)
    for step in product(range(2 * REACH + 1), repeat=2):
        beside = padded[tuple(places + np.reshape(step, (2, 1)))]
        worse += (beside > 0) & (beside < bar)
        known += beside > 0
    lone = np.zeros(ivar.shape, bool)
    lone[tuple(places[:, worse > MOST * known])] = True
    return lone
