"""Tell compact sources before the light of a giant from the noise on it, and from its structure."""

from typing import NamedTuple

import numpy as np
import sep
from scipy.ndimage import find_objects, label, map_coordinates

from pipeline.detection.extract import group, join, min_pixels
from pipeline.detection.matched import matched_snr

_LEAST_HALO = 1.0  # S/N of a halo in the matched filter, whose noise it lifts
_MESH, _PASSES = 8.0, 2  # of the light that sources are before [FWHM]; one leaves rings
_LEAST_HEIGHT = 0.9  # of the threshold, for the mesh takes some of a large source's light
_REACH = 2.0  # of a compact source, from its peak [FWHM]
_OFF_PEAK = 0.5  # its barycentre, at most [FWHM]
_RIDGE = 0.5  # of a peak's height: as high on both sides, it is a ridge
_DIRECTIONS = 8
_STEP = 8  # at which halos, which a mesh of 64 pixels gave, are looked for [pixel]


class Relief(NamedTuple):
    """What stands out of the light of large sources.

    Attributes
    ----------
    bright : ndarray, (y, x), bool
        Where that light has an S/N above 1 in the matched filter.
    height : ndarray, (y, x), float32
        S/N of the matched filter above the light around; 0 far from where that is bright.
    rough : ndarray, (y, x), float32
        Scatter of the heights around, as structure makes it; at least 1, that of the noise.
    boxes : list of tuple of slice
        Windows about each piece of that light.
    """

    bright: np.ndarray
    height: np.ndarray
    rough: np.ndarray
    boxes: list


def before_giants(found, centre, sight, relief):
    """Add compact sources before bright halos, and drop what is noise on a halo.

    Before a giant faint sources have too little of its light to be told from it by `sep`, and
    where its light falls below the threshold the noise on it is detected in pieces.  So what is
    detected where halos are bright must stand out of them; what does and is compact is added.

    Parameters
    ----------
    found : Detections
    centre : ndarray, (n, 2)
        As of `pipeline.detection.extract.add_cores`.
    sight : Sight
    relief : Relief

    Returns
    -------
    found, centre
        As of `pipeline.detection.extract.add_cores`.
    """
    kept = ~_is_noise(found.objects, centre, relief, sight)
    found, centre = found.only(kept), centre[kept]
    new = _standing_out(relief, found.objects, sight)
    host = found.segments[new.objects["ypeak"], new.objects["xpeak"]]
    places = np.column_stack([new.objects["x"], new.objects["y"]])
    return join(found, new, host), np.concatenate([centre, places])


def _gain(psf):
    """S/N in the filtered image of even light of an S/N of 1 a pixel."""
    kernel = psf.kernel()
    return kernel.sum() / np.sqrt((kernel**2).sum())


def relief_of(sight):
    """The `Relief` of an image, in a box about each halo; None where none is bright."""
    halo = sight.flux - sight.sharp
    bright = halo * np.sqrt(sight.ivar) * _gain(sight.psf) > _LEAST_HALO
    if not bright.any():
        return None
    height, rough = np.zeros(bright.shape, "f4"), np.ones(bright.shape, "f4")
    seen, (halos, _) = np.zeros_like(bright), label(bright[::_STEP, ::_STEP])
    margin = 2 * mesh_side(sight.psf)
    boxes = [tuple(_wider(side, margin) for side in sides) for sides in find_objects(halos)]
    for box in boxes:
        height[box], rough[box] = _relief_in(box, sight)
        seen[box] = True
    return Relief(bright & seen, height, rough, boxes)


def _relief_in(box, sight):
    """Height and roughness in a box of the image."""
    ivar, mesh = sight.ivar[box], mesh_side(sight.psf)
    snr = matched_snr(sight.flux[box], ivar, sight.psf.kernel()).astype("f4") / sight.correlation
    options = {"mask": np.ascontiguousarray(ivar == 0), "bw": mesh, "bh": mesh}
    for _ in range(_PASSES):
        snr -= sep.Background(snr, **options).back(dtype="f4")
    return snr, np.maximum(sep.Background(snr, **options).rms(dtype="f4"), 1)


def mesh_side(psf):
    """Side of the cells of a mesh of large sources' light [pixel]."""
    return int(np.ceil(_MESH * psf.fwhm))


def _wider(side, margin):
    """Slice of the image that holds one of every `_STEP`-th pixel, and a margin about it."""
    return slice(max(side.start * _STEP - margin, 0), side.stop * _STEP + margin)


def _is_noise(objects, centre, relief, sight):
    """Whether a source on a halo, which the mesh leaves whole, does not stand out; (n,), bool."""
    peaks = objects["ycpeak"], objects["xcpeak"]
    low = relief.height[peaks] < _LEAST_HEIGHT * sight.settings.n_sigma
    small = objects["npix"] < mesh_side(sight.psf) ** 2 / 4
    return relief.bright[peaks] & low & small & np.isnan(centre[:, 0])


def _standing_out(relief, known, sight):
    """Compact sources before bright halos without the peak of any known one; Detections."""
    above = relief.height / relief.rough
    new = group(above, sight.settings.n_sigma, minarea=min_pixels(sight.settings, sight.psf))
    kept = relief.bright[new.objects["ypeak"], new.objects["xpeak"]]
    kept &= _is_compact(above, new.objects, sight.psf.fwhm)
    old = new.segments[known["ycpeak"], known["xcpeak"]]
    kept[old[old > 0] - 1] = False
    return new.only(kept)


def _is_compact(above, objects, fwhm):
    """Whether a peak is small, round about itself, and lower on some side in every direction."""
    reach, angle = _REACH * fwhm, np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    step = reach * np.stack([np.sin(angle), np.cos(angle)])[:, None]
    peak = np.stack([objects["ypeak"], objects["xpeak"]]).astype("f8")[..., None]
    sides = (map_coordinates(above, peak + sign * step, order=1) for sign in (-1, 1))
    is_ridge = np.minimum(*sides).max(axis=1) > _RIDGE * objects["peak"]
    off = np.hypot(objects["x"] - objects["xpeak"], objects["y"] - objects["ypeak"])
    return ~is_ridge & (off < _OFF_PEAK * fwhm) & (objects["npix"] < np.pi * reach**2)
