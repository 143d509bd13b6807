"""See sources before the light of much larger ones as if that light were not there."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label, map_coordinates, maximum_filter, uniform_filter

from pipeline.data import Exposure
from pipeline.detection.extract import Detections, extract
from pipeline.detection.giants import mesh_side
from pipeline.detection.matched import without_mesh
from pipeline.stamps.behind import without

_STANDS_OUT = 4.0  # of what is no such light, in units of the scatter around
_GROWN = 3.0  # to so much about it [FWHM]
_LEAST_SEEN = 0.1  # of a box, that tells its mean
_OUTLYING = 5.0  # what the mesh leaves of a star's core [noise of a pixel]
_COMPACT, _WIDEST = 1.5, 3.0  # semi-major axes of sources that may be before it [FWHM]
_LARGER = 100  # times the area of a source that is not compact, that such light covers at least
_EXTENT = 2.5  # of a source's ellipse [semi-axes]
_DIRECTIONS = 8


class Foreground(NamedTuple):
    """What stands before the light of large sources, and that light.

    Attributes
    ----------
    exposure : Exposure
        With that light.
    flux : ndarray, (y, x), float32
        The detection band without it, with holes bridged.
    behind : ndarray, (y, x, band), float32
        That light; 0 far from where it is bright.
    band : int
        Number of the detection band.
    found : Detections
        What stands out of that light where it was bright, and around there.
    bright : ndarray, (y, x), bool
        Where it was.
    mesh : int
        Side of the cells of that light [pixel].
    fwhm : float
        Of the PSF [pixel].
    """

    exposure: Exposure
    flux: np.ndarray
    behind: np.ndarray
    band: int
    found: Detections
    bright: np.ndarray
    mesh: int
    fwhm: float

    @property
    def smooth(self):
        """Pixels of that light out of which nothing stands; (y, x), bool."""
        return self.bright & (self.found.segments == 0)

    def bare(self):
        """The exposure without that light."""
        plain = self.exposure
        flux, ivar = without(plain.flux, plain.ivar, self.behind, plain.gain)
        return replace(plain, flux=flux, ivar=ivar)

    def rows_of(self, objects):
        """Which sources of a detection are before that light, and which of `found` they are.

        Parameters
        ----------
        objects : structured ndarray, (n,)

        Returns
        -------
        rows, those : ndarray, (m,), int
            A source whose own that light is, as the core of a giant, is not before it.
        """
        peaks = np.stack([objects["ycpeak"], objects["xcpeak"]])
        those = self.found.segments[tuple(peaks)]
        before = (those > 0) & (np.bincount(those)[those] == 1) & self._is_behind(peaks)
        rows = np.flatnonzero(before)
        rows = rows[self._is_larger(peaks[:, rows], self.found.objects[those[rows] - 1])]
        return rows, those[rows] - 1

    def _is_larger(self, peaks, objects):
        """Whether the light about a place is that of something much larger than a source; (n,)."""
        light, _ = label(self.bright)
        area = np.bincount(light.ravel())[light[tuple(peaks)]]
        own = np.pi * _EXTENT**2 * objects["a"] * objects["b"]
        wide = objects["a"] / self.fwhm
        return (wide < _COMPACT) | ((wide < _WIDEST) & (area > _LARGER * own))

    def _is_behind(self, peaks):
        """Whether the light is bright all about a place, and rises in some direction; (n,), bool.

        From one cell away to two, for the light of a galaxy of its own falls from it.
        """
        angle = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
        step = self.mesh * np.stack([np.sin(angle), np.cos(angle)])[:, None]
        near, far = (peaks[..., None] + k * step for k in (1, 2))
        options = {"order": 1, "mode": "nearest"}
        light = self.behind[..., self.band]
        rises = map_coordinates(light, far, **options) > map_coordinates(light, near, **options)
        around = map_coordinates(self.bright.astype("f4"), near, **options) > 0.5
        return self.bright[tuple(peaks)] & around.all(axis=1) & rises.any(axis=1)


def foreground(exposure, band, sight, relief):
    """Take the light off before which smaller sources are seen.

    Parameters
    ----------
    exposure : Exposure
    band : int
        Number of the detection band.
    sight : Sight
    relief : pipeline.detection.giants.Relief

    Returns
    -------
    Foreground
    """
    mesh, grown = mesh_side(sight.psf), int(_GROWN * sight.psf.fwhm) | 1
    behind, seen = np.zeros_like(exposure.flux), np.zeros_like(sight.ivar)
    for box in relief.boxes:
        out = maximum_filter(relief.height[box] > _STANDS_OUT * relief.rough[box], grown)
        for flux, ivar, light in _bands(exposure.flux[box], exposure.ivar[box], behind[box]):
            light[:] = _smooth(flux, ivar, out, mesh)
        near = maximum_filter(relief.bright[box], 2 * mesh + 1)
        seen[box] = np.where(near, sight.ivar[box], seen[box])
    flux = sight.flux - behind[..., band]
    found = extract(flux, seen, sight.psf, sight.settings, sight.threshold)
    return Foreground(exposure, flux, behind, band, found, relief.bright, mesh, sight.psf.fwhm)


def _bands(*cubes):
    """Planes (y, x) of cubes (y, x, band), band by band."""
    return zip(*(np.moveaxis(cube, -1, 0) for cube in cubes), strict=True)


def _smooth(flux, ivar, mask, mesh):
    """Light of large sources (y, x), from the pixels that no `mask` hides.

    It is that of a mesh, as `pipeline.detection.giants` has it, and the mean of what that leaves
    around, for the modes of a mesh's cells are twice as noisy.
    """
    left = without_mesh(flux, mask | (ivar == 0), mesh)
    seen = (~mask & (np.abs(left) * np.sqrt(ivar) < _OUTLYING) & (ivar > 0)).astype("f4")
    mean = uniform_filter(left * seen, mesh) / np.maximum(uniform_filter(seen, mesh), _LEAST_SEEN)
    return flux - left + mean
