"""Where the usable pixels of each tile lie, and which tile a place on the sky belongs to."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from scipy.ndimage import binary_fill_holes, distance_transform_edt
from scipy.spatial import cKDTree

from pipeline.catalogs.sphere import unit_vectors

STEP = 16  # pixels from one that is looked at to the next
DEEPER = 1.25  # by this factor of the noise a tile is worth more than another
_AREA_POINTS = 64  # along each side of a tile


class Coverage(NamedTuple):
    """The usable pixels of a tile.

    Attributes
    ----------
    margin : ndarray, (y, x), float32
        How far inside the tile's usable pixels each `STEP`-th pixel lies [`STEP` pixels]; 0 where
        it is not usable.  Holes in them do not count.
    shape : tuple of int
        Of the tile, ``(y, x)`` [pixel].
    wcs : WCS or None
        Coordinates of the pixels; None where the tile has none.
    pixel_scale : float
        [arcsec]; NaN where it is unknown.
    share : float
        Of the pixels that are usable.
    noise : float
        Of the sky in a patch of 1 arcsec [`unit`], of most pixels; NaN where it is unknown.
    unit : Unit
        Equal to the same however it is spelled: FITS has "count s-1" where a table has "ct / s".
    usable : callable or None
        Says of any pixels, by rows and columns (n,), whether they are usable.
    """

    margin: np.ndarray
    shape: tuple[int, int]
    wcs: WCS | None
    pixel_scale: float
    share: float
    noise: float
    unit: u.UnitBase
    usable: Callable | None = None

    @property
    def area(self):
        """Area of the usable pixels [arcmin2]; NaN without a pixel scale."""
        return self.share * self.shape[0] * self.shape[1] * (self.pixel_scale / 60) ** 2

    def at(self, ra, dec, exactly=False):
        """`margin` at places (n,) [deg], in arcsec; 0 off the tile; (n,).

        Of the pixel that is looked at, `STEP` by `STEP`; with `exactly`, 0 too where the very pixel
        is not `usable`.
        """
        x, y = self.wcs.world_to_pixel(SkyCoord(ra, dec, unit="deg"))
        (height, width), found = self.shape, np.zeros(len(x))
        inside = (x >= -0.5) & (y >= -0.5) & (x < width - 0.5) & (y < height - 0.5)
        row, column = ((at[inside] + 0.5).astype(int) for at in (y, x))
        found[inside] = self.margin[row // STEP, column // STEP]
        if exactly and self.usable and len(row):
            found[inside] *= self.usable(row, column)
        return found * STEP * self.pixel_scale

    def circle(self):
        """Centre (3,) and radius of a circle about the tile on the unit sphere."""
        height, width = self.shape
        x = np.array([0.5, 0, 0.5, 1, 0, 1, 0, 0.5, 1]) * width
        y = np.array([0.5, 0, 0, 0, 0.5, 0.5, 1, 1, 1]) * height
        sky = self.wcs.pixel_to_world(x, y).icrs
        where = unit_vectors(sky.ra.deg, sky.dec.deg)
        return where[0], 1.05 * np.nanmax(np.linalg.norm(where - where[0], axis=1))


def coverage(exposure, frame, band=0):
    """Say where the usable pixels of a tile lie.

    Parameters
    ----------
    exposure : Exposure
        Every `STEP`-th pixel of the tile's, with the coordinates of the whole.
    frame : Frame
        Of the whole.
    band : int
        That counts, the detection band.

    Returns
    -------
    Coverage
    """
    ivar, scale = exposure.ivar[..., band], exposure.pixel_scale
    usable = ivar > 0
    inside = distance_transform_edt(np.pad(binary_fill_holes(usable), 1))[1:-1, 1:-1]
    noise = np.median(ivar[usable] ** -0.5) / scale if usable.any() else np.nan
    margin = np.where(usable, inside, 0).astype("f4")
    share = frame.usable[band] if frame.usable else float(usable.mean())
    unit = u.Unit(exposure.unit)
    return Coverage(margin, frame.shape, exposure.wcs, scale, share, float(noise), unit)


class Territories:
    """Which of several tiles every place belongs to.

    It belongs to the tile of the least noise that has usable pixels there; of those alike within
    about `DEEPER`, to the one inside whose usable pixels it lies farthest.

    Parameters
    ----------
    coverages : dict of Coverage
        By the tiles' names.
    unit : Unit or str
        Of fluxes; a tile whose fluxes have another is worth least.
    """

    def __init__(self, coverages, unit):
        self._all = dict(sorted(coverages.items()))
        self._class = _noise_classes(self._all, unit)
        self._others = _touching(self._all)

    def has(self, tile, ra, dec, exactly=False):
        """Whether places (n,) [deg] that `tile` shows are its own; (n,), bool.

        Those of a tile that has no coverage, or no coordinates, are.  With `exactly`, what lies on
        a trail or a bad column is not overlooked, which takes reading those pixels.
        """
        its = np.ones(len(ra), bool)
        others = self._others.get(tile, ())
        rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        if not (len(others) and len(rows)):
            return its
        ra, dec = ra[rows], dec[rows]
        own = self._all[tile].at(ra, dec, exactly)
        for other in others:
            theirs = self._all[other].at(ra, dec, exactly)
            wins = (own == 0) | self._is_better(other, theirs, tile, own)
            its[rows[(theirs > 0) & wins]] = False
        return its

    def area(self, unit=None):
        """Area of usable pixels, each place once [arcmin2]; NaN where it is unknown.

        That of all tiles, or of those whose fluxes have a `unit`.
        """
        some = [name for name, it in self._all.items() if unit is None or it.unit == unit]
        return sum(map(self._own_area, some)) if some else np.nan

    def _is_better(self, other, theirs, tile, own):
        """Whether places (n,), at those margins within the two tiles, are rather the other's."""
        if self._class[other] != self._class[tile]:
            return np.full(len(own), self._class[other] < self._class[tile])
        return (theirs > own) | ((theirs == own) & (other < tile))

    def _own_area(self, tile):
        """Area of the places that belong to a tile [arcmin2]."""
        it = self._all[tile]
        if not self._others.get(tile):
            return it.area
        cells = np.indices((_AREA_POINTS, _AREA_POINTS)).reshape(2, -1)
        places = (cells + np.random.default_rng(0).random(cells.shape)) / _AREA_POINTS
        y, x = places = (places.T * it.shape).T
        usable = it.margin[tuple(places.astype(int) // STEP)] > 0
        sky = it.wcs.pixel_to_world(x[usable] - 0.5, y[usable] - 0.5).icrs
        return it.area * self.has(tile, sky.ra.deg, sky.dec.deg).mean() if usable.any() else 0.0


def _noise_classes(coverages, unit):
    """How many times `DEEPER` noisier each tile is than most, rounded; by name."""
    noise = {name: it.noise if it.unit == unit else np.nan for name, it in coverages.items()}
    known = [value for value in noise.values() if value > 0]
    typical = np.median(known) if known else 1.0
    steps = {name: np.log(value / typical) / np.log(DEEPER) for name, value in noise.items()}
    return {name: round(value) if np.isfinite(value) else np.inf for name, value in steps.items()}


def _touching(coverages):
    """Names of the tiles that may have places in common with each, by name."""
    placed = [name for name, it in coverages.items() if it.wcs is not None and it.margin.any()]
    others = {name: [] for name in placed}
    if not placed:
        return others
    centre, radius = map(np.array, zip(*(coverages[n].circle() for n in placed), strict=True))
    for i, j in cKDTree(centre).query_pairs(2 * radius.max(), output_type="ndarray"):
        if np.linalg.norm(centre[i] - centre[j]) < radius[i] + radius[j]:
            others[placed[i]].append(placed[j])
            others[placed[j]].append(placed[i])
    return others
