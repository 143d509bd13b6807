"""What others make of the stamps that the networks are scored on, in the same numbers."""

import numpy as np

from pipeline.comparison import peers
from pipeline.models import binned, deblending, unet

LEAST_REACH = 3.0  # of a detection from the target that it is [pixel]
PEERS = "sep", "photutils", "oracle"


def compare(cutouts, truth, light):
    """Measure stamps as others do.

    The oracle is told the light of target and neighbours, the others the sky's noise.  The target
    is the nearest detection within its half-light radius and half the distance of its neighbour,
    or within `LEAST_REACH`.

    Parameters
    ----------
    cutouts : sequence of Cutouts
        One behind the other.
    truth : Table
        Of them all.
    light : ndarray, (n, y, x, 2)
        Noiseless, of each target and of all else.

    Returns
    -------
    dict of dict
        Of each of `PEERS` the numbers of `pipeline.models.deblending`, and ``recall``, as
        `pipeline.models.binned.by_condition` gives them.
    """
    wanted = unet.above(truth, light)
    masks = {name: np.zeros(wanted.shape, bool) for name in PEERS}
    ratio = {name: np.full(len(truth), np.nan) for name in PEERS}
    stamps = (
        (part.flux[i, ..., 0], part.ivar[i, ..., 0]) for part in cutouts for i in range(len(part))
    )
    for k, stamp in enumerate(stamps):
        for name, things in _found(*stamp, light[k], truth["fwhm"][k]).items():
            i = _own(things, light[k]) if name == "oracle" else _nearest(things, truth[k])
            for j, thing in enumerate(things):
                masks[name][k, ..., int(j != i)] |= thing.mask
            if i is not None:
                ratio[name][k] = things[i].flux / truth["flux"][k]
    return {
        name: binned.by_condition(
            deblending.of_masks(*np.moveaxis(masks[name], -1, 0), wanted)
            | deblending.of_fluxes(ratio[name])
            | {"recall": (np.mean, np.isfinite(ratio[name]) * 1.0)},
            truth,
        )
        for name in PEERS
    }


def _found(flux, ivar, light, fwhm):
    """What each peer finds in a stamp."""
    usable = ivar > 0
    sky = float(np.median(ivar[usable]) ** -0.5)
    return {
        "sep": peers.sep_auto(flux, sky, usable),
        "photutils": peers.photutils_smoothed(flux, sky, max(fwhm, 1.0), kron=True),
        "oracle": peers.oracle(flux, np.moveaxis(light, -1, 0), sky),
    }


def _own(things, light):
    """Number of the oracle's thing that is the target; None if no pixel is mostly its own."""
    own, other = np.moveaxis(light, -1, 0)
    is_own = [(own[thing.mask] > other[thing.mask]).all() for thing in things]
    return is_own.index(True) if any(is_own) else None


def _nearest(things, one):
    """Number of the thing that is the target; None if there is none."""
    far = [np.hypot(thing.x - one["x"], thing.y - one["y"]) for thing in things]
    reach = max(min(one["neighbour"] / 2, one["re"]), LEAST_REACH)
    return int(np.argmin(far)) if far and min(far) < reach else None
