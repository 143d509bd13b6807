"""What the U-Net says of the other sources of a training scene, whose stamps overlap the target's.

In the chain `pipeline.deblending.shares.reconcile` does the same on a tile.
"""

from typing import NamedTuple

import numpy as np

from pipeline.deblending.shares import agree
from pipeline.models import unet

AT_ONCE = 256  # targets whose companions are looked at together


class Companions(NamedTuple):
    """Stamps of the sources about some targets, in training.

    Attributes
    ----------
    flux, ivar : array, (m, y, x)
    row : array, (m,)
        Of the target's stamp.
    shift : array, (m, 2)
        Corner x, y [pixel], that of the target's stamp being 0.
    there : array of bool, (m,)
        False for one that is to be left out.
    """

    flux: np.ndarray
    ivar: np.ndarray
    row: np.ndarray
    shift: np.ndarray
    there: np.ndarray


def of_cutouts(cutouts):
    """Companions that a set on disk holds, as `pipeline.scenes.sets.Drawn` says."""
    planes = (v[..., cutouts.reference] for v in (cutouts.flux, cutouts.ivar))
    return Companions(*planes, cutouts.id, cutouts.corner, np.ones(len(cutouts), bool))


def of_scenes(drawn):
    """Companions of scenes (n, companion, ...), as `pipeline.scenes.neighbours` cuts them."""
    there = drawn["there"]
    xp, (n, each) = there.__array_namespace__(), there.shape
    row = xp.repeat(xp.arange(n), each)
    flat = [drawn[k].reshape(n * each, *drawn[k].shape[2:]) for k in ("flux", "ivar", "shift")]
    found = Companions(*flat[:2], row, flat[2], there.reshape(-1))
    if xp is np:  # where shapes need not be known beforehand, less is looked at
        found = Companions(*(values[found.there] for values in found))
    return found


def agreed(network, companions, maps, binning):
    """SHARE of targets brought to agree with what the U-Net says of their companions.

    Parameters
    ----------
    network : Network
        The U-Net.
    companions : Companions
    maps : array, (n, y, x, 3)
        `unet.MAPS` of the targets.
    binning : array, (n,)

    Returns
    -------
    array, (n, y, x)
    """
    xp, (n, size) = maps.__array_namespace__(), maps.shape[:2]
    target, neighbour, share = (maps[..., i] for i in range(len(unet.MAPS)))
    if not len(companions.row):
        return share
    seen = unet.look(companions.flux, companions.ivar, binning[companions.row])
    theirs = _moved(network("main", seen)[0][..., unet.MAPS.index("SHARE")], companions.shift)
    belongs = (companions.row == xp.arange(n)[:, None]) & companions.there
    others = belongs.astype("f4") @ theirs.reshape(len(theirs), -1)
    others = others.reshape(n, size, size)
    return agree(share, share, others, xp.maximum(target, neighbour))


def _moved(planes, shift):
    """Planes (m, y, x) on the grid of stamps whose corner is `shift` (m, 2) away; 0 beyond."""
    xp, (m, size) = planes.__array_namespace__(), planes.shape[:2]
    x, y = (xp.arange(size) - shift[:, i : i + 1] for i in (0, 1))
    inside = [(v >= 0) & (v < size) for v in (y, x)]
    y, x = (xp.clip(v, 0, size - 1) for v in (y, x))
    found = planes[xp.arange(m)[:, None, None], y[:, :, None], x[:, None, :]]
    return found * (inside[0][:, :, None] & inside[1][:, None, :])


def reconcile(network, companions, maps, binning):
    """As `agreed`, of many stamps; `maps` are those of `unet.apply`, and ``row`` ascends."""
    share = np.array(maps["SHARE"])
    for start in range(0, len(share), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        theirs = slice(*np.searchsorted(companions.row, [start, start + AT_ONCE]))
        some = Companions(*(values[theirs] for values in companions))
        some = some._replace(row=some.row - start)
        own = np.stack([maps[name][rows] for name in unet.MAPS], axis=-1)
        share[rows] = agreed(network, some, own, binning[rows])
    return share
