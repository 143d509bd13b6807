"""Find sources that hide in the light of others: there, no source that is known accounts for it."""

from typing import NamedTuple

import numpy as np
import sep
from astropy.table import Table
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from pipeline.detection.extract import Detections, extract
from pipeline.detection.matched import snr_at
from pipeline.models import unet
from pipeline.stamps.cutouts import LARGEST_BINNING, REACH, cut, deblend_binning
from pipeline.stamps.masks import on_tile

LEAST_SNR = 20.0  # of a source in whose light others may hide, and of what hides
LEAST_SHARE = 0.5  # of the light at its peak that is nobody's
APART = 2.0  # from the sources that are known, at least [pixel]
REDUNDANT = 0.65  # of a source's light is its neighbours' too: then there is no such source
MOST_BINNED = 2  # of a host's stamp: what is larger shows arms and knots of its own
_AT_ONCE = 512


class Plane(NamedTuple):
    """Light that one source claims: a window of the tile, and the share of each pixel in it."""

    window: tuple
    share: np.ndarray


def reveal(exposure, detected, sources, sight, network):
    """Add what hides in the light of others, and drop what that leaves without light of its own.

    The U-Net says, of each source that is known, how much of each pixel's light is its own.  What
    stands out of the light that is left is a source that was overlooked; where two galaxies had
    been taken for one between them, that one is dropped.

    Parameters
    ----------
    exposure : Exposure
    detected : tuple
        Detections, and the centre of each one's core, (n, 2), as of
        `pipeline.detection.extract.add_cores`.
    sources : Table
        Of `pipeline.detection.detect.detect`, of the same sources.
    sight : Sight
        Of the detection band.
    network : pipeline.models.engine.Network
        The U-Net.

    Returns
    -------
    found : Detections
        Those that are left, then those that hid; the same object if there is none.
    centre : ndarray, (n, 2)
        Of each one's core; of one in whose light another hid, that of what is left to it.
    """
    found, centre = detected
    places = _places(sources, deblend_binning(sources, _side(network)))
    could = (np.asarray(sources["snr"]) > LEAST_SNR) & (places["binning"] <= MOST_BINNED)
    whole = [row for row in np.flatnonzero(could) if not _is_damaged(found, row, sight)]
    hosts = np.array(whole, int)
    places = places[hosts]
    claimed, looked_at = np.zeros(sight.flux.shape, "f4"), np.zeros(sight.flux.shape, bool)
    for row, plane in zip(hosts, _planes(exposure, places, network), strict=True):
        claimed[plane.window] += plane.share
        looked_at[plane.window] |= found.segments[plane.window] == row + 1
    hidden = _hidden(sight.flux * np.clip(1 - claimed, 0, 1) * looked_at, sources, sight)
    host = found.segments[hidden.objects["ycpeak"], hidden.objects["xcpeak"]] - 1
    rows = np.intersect1d(hosts, host)
    known = _planes(exposure, places[np.isin(hosts, rows)], network)
    beside = _new_places(hidden, places.meta, _side(network))
    new = list(_planes(exposure, beside, network))
    for plane in new:
        claimed[plane.window] += plane.share
    known = dict(zip(rows, known, strict=True))
    gone = _redundant(known, new, host, claimed, sight.flux)
    if not gone[1].any():
        return detected
    centre = centre.copy()
    for row, image in _left(found, host, new, gone[1], sight.flux):
        centre[row] = _core(image, _box(found.objects[row]), sight.psf)
    joined, old = _joined(found, hidden, host, *gone)
    hid = joined.objects[len(old) :]
    return joined, np.concatenate([centre[old], np.column_stack([hid["x"], hid["y"]])])


def _left(found, host, new, needed, flux):
    """Yield each host in whose light others hid: its row, and the light in its box left to it."""
    taken = np.zeros_like(flux)
    for i in np.flatnonzero(needed):
        taken[new[i].window] += new[i].share
    for row in np.unique(host[needed]):
        box = _box(found.objects[row])
        own = found.segments[box] == row + 1
        yield row, np.maximum(flux[box], 0) * np.clip(1 - taken[box], 0, 1) * own


def _core(image, box, psf):
    """Barycentre (x, y) of the pixels about the peak of a smoothed image of a window [pixel]."""
    smooth = fftconvolve(image, psf.kernel(), mode="same")
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    top = np.unravel_index(np.argmax(smooth), smooth.shape)
    weight = smooth * (np.hypot(y - top[0], x - top[1]) <= psf.fwhm)
    return tuple((weight * v).sum() / weight.sum() + box[k].start for v, k in ((x, 1), (y, 0)))


def _side(network):
    """Side of the stamps that the U-Net takes [pixel]."""
    return network.card["scenes"]["size"]


def _is_damaged(found, row, sight):
    """Whether a source borders on a hole, as a saturated star does."""
    margin = int(np.ceil(sight.psf.fwhm))
    box = _box(found.objects[row], margin)
    holes = sight.holes[box]
    if not holes.any():
        return False
    near = maximum_filter(holes, 2 * margin + 1)
    return (near & (found.segments[box] == row + 1)).any()


def _places(sources, binning):
    """Where stamps are to be cut."""
    x, y = (np.asarray(sources[name], "f8") for name in "xy")
    return Table({"id": np.arange(len(x)), "x": x, "y": y, "binning": binning}, meta=sources.meta)


def _planes(exposure, places, network):
    """Yield the light that each source claims."""
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        stamps = cut(exposure, some, _side(network), np.asarray(some["binning"]))
        maps = unet.apply(network, stamps)
        share = maps["SHARE"] * (maps["TARGET"] > unet.COLLECT_ABOVE)
        yield from (Plane(*placed) for placed in on_tile(share, stamps, exposure.flux.shape))


def _hidden(rest, sources, sight):
    """Detect in the light that is nobody's, away from sources that are known."""
    threshold = LEAST_SNR * sight.correlation
    found = extract(rest, sight.ivar, sight.psf, sight.settings, threshold)
    objects = found.objects
    x, y = objects["xcpeak"], objects["ycpeak"]
    (left, _), (whole, _) = (
        snr_at(image, sight.ivar, x, y, sight.psf) for image in (rest, sight.flux)
    )
    known = cKDTree(np.column_stack([np.asarray(sources[name], "f8") for name in "xy"]))
    apart, _ = known.query(np.column_stack([objects["x"], objects["y"]]))
    good = (left > LEAST_SHARE * whole) & (apart > APART)
    good &= ~sight.smooth[objects["ycpeak"], objects["xcpeak"]]
    return found.only(good)


def _redundant(known, new, host, claimed, flux):
    """Find sources that are not needed to account for the light, in each host by itself.

    Parameters
    ----------
    known : dict of Plane
        Of the hosts, by their row.
    new : list of Plane
        Of the sources that hid.
    host : ndarray, int
        In whose light each of those hid.
    claimed : ndarray, (y, x)
        Sum of all planes; what is claimed by sources that go is taken away.
    flux : ndarray, (y, x)

    Returns
    -------
    unneeded : list of int
        Rows of hosts.
    needed : ndarray of bool
        Of the sources that hid.
    """
    unneeded, needed = [], np.ones(len(new), bool)
    for row in np.unique(host):
        group = {-1: known[row]} if row in known else {}
        group |= {i: new[i] for i in np.flatnonzero(host == row)}
        for i in _taken_away(group, claimed, flux):
            if i < 0:
                unneeded.append(row)
            else:
                needed[i] = False
    return unneeded, needed


def _new_places(found, meta, side):
    objects = found.objects
    reach = np.max(
        [objects[f"{axis}max"] - objects[f"{axis}min"] + 1 for axis in "xy"], axis=0, initial=1
    )
    binning = np.clip(np.ceil(reach / 2 / (REACH * side)), 1, LARGEST_BINNING).astype(int)
    columns = {"id": np.arange(len(objects)), "x": objects["x"], "y": objects["y"]}
    return Table(columns | {"binning": binning}, meta=meta)


def _taken_away(group, claimed, flux):
    """Take the most redundant source away, again and again, until all others are needed."""
    gone, left = [], dict(group)
    while len(left) > 1:
        share = {name: _shared(plane, claimed, flux) for name, plane in left.items()}
        worst = max(share, key=share.get)
        if share[worst] < REDUNDANT:
            break
        plane = left.pop(worst)
        claimed[plane.window] -= plane.share
        gone.append(worst)
    return gone


def _shared(plane, claimed, flux):
    """Fraction of a source's light that others claim too."""
    own = plane.share * np.maximum(flux[plane.window], 0)
    others = np.clip(claimed[plane.window] - plane.share, 0, 1)
    return float((own * others).sum() / max(own.sum(), 1e-30))


def _joined(found, hidden, host, unneeded, needed):
    """Detections without the unneeded, then the hidden that are needed, each with its pixels.

    Those of what hid are taken from its host; where that leaves the host none, the nearest are its.
    """
    old = np.setdiff1d(np.arange(len(found.objects)), unneeded)
    number = np.zeros(len(found.objects) + 1, "i4")
    number[old + 1] = np.arange(1, len(old) + 1)
    label = np.where(needed, len(old) + np.cumsum(needed), 0).astype("i4")
    segments = number[found.segments]
    for row in unneeded:
        box, heirs = _box(found.objects[row]), np.flatnonzero((host == row) & needed)
        pixels = np.where(found.segments[box] == row + 1)
        segments[box][pixels] = _nearest(pixels, box, hidden.objects[heirs], label[heirs])
    y, x = np.nonzero(hidden.segments)
    one = hidden.segments[y, x] - 1
    own = needed[one] & (found.segments[y, x] == host[one] + 1)
    segments[y[own], x[own]] = label[one[own]]
    for row in np.intersect1d(old, host[needed]):
        box, heirs = _box(found.objects[row]), np.flatnonzero((host == row) & needed)
        if (segments[box] == number[row + 1]).any():
            continue
        pixels = np.where(found.segments[box] == row + 1)
        all_here = np.concatenate([found.objects[[row]], hidden.objects[heirs]])
        labels = np.append(number[row + 1], label[heirs])
        segments[box][pixels] = _nearest(pixels, box, all_here, labels)
    objects = np.concatenate([found.objects[old], hidden.objects[needed]])
    merged = np.concatenate([number[host[needed] + 1], label[needed]])
    objects["flag"][merged[merged > 0] - 1] |= sep.OBJ_MERGED
    return Detections(objects, segments), old


def _box(one, margin=0):
    """Window of the tile about an object's pixels."""
    return tuple(
        slice(max(one[f"{axis}min"] - margin, 0), one[f"{axis}max"] + margin + 1) for axis in "yx"
    )


def _nearest(pixels, box, objects, labels):
    """Label of the nearest object of each pixel of a window."""
    y, x = (at + side.start for at, side in zip(pixels, box, strict=True))
    tree = cKDTree(np.column_stack([objects["x"], objects["y"]]))
    return labels[tree.query(np.column_stack([x, y]))[1]]
