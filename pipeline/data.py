"""The nouns of the pipeline: what a stage takes and what it gives.

Axes are ordered ``(n, y, x, band)`` everywhere outside `pipeline.io`.  A pixel is usable
where ``ivar > 0``; flux is finite everywhere, so no stage after ingest thinks about NaN.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from astropy.wcs import WCS, Sip

FLUX_UNIT = "nJy"
AB_ZERO_POINT = 31.4  # magnitude of 1 nJy: 8.9 + 2.5 log10(1e9), Oke & Gunn (1983)


@dataclass(frozen=True)
class Exposure:
    """A calibrated image of a patch of sky.

    Attributes
    ----------
    flux : ndarray, (y, x, band)
        Sky-subtracted flux [`unit` / pixel]; of pixels without information 0, or the level of
        saturation where they lie above it.
    ivar : ndarray, (y, x, band)
        Inverse variance of ``flux`` without the sources' own Poisson noise [`unit`**-2];
        0 where there is no information.
    wcs : WCS or None
        Celestial coordinates of the 0-based ``(x, y)`` pixels; None where the file has none.
    bands : tuple of str
        Name of each band, in the order of the last axis.
    unit : str
        "nJy" where the survey gives a zero point, else the image's own unit.
    pixel_scale : float
        Side of a pixel [arcsec]; NaN where it is unknown.
    gain : tuple of float
        Electrons per `unit` of flux, one a band; 0 where the Poisson part is unknown.
    saturation : tuple of float
        Flux at which a pixel saturates [`unit`], one a band; inf where it is unknown.
    notes : tuple of str
        Whatever unusual was decided on the way, in words; what the user should check ends in a
        question mark.
    rejected : str
        Why the tile cannot be used; empty for a good tile.
    gaps : ndarray, (y, x, band), bool, or None
        Pixels that were interpolated, see `pipeline.pixels.gaps.spanned`.
    """

    flux: np.ndarray
    ivar: np.ndarray
    wcs: WCS | None
    bands: tuple[str, ...]
    unit: str = FLUX_UNIT
    pixel_scale: float = np.nan
    gain: tuple[float, ...] = ()
    saturation: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    rejected: str = ""
    gaps: np.ndarray | None = None

    def __post_init__(self):
        _check_pixels(self.flux, self.ivar, self.bands, ndim=3)
        object.__setattr__(self, "gain", self.gain or (0.0,) * len(self.bands))
        object.__setattr__(self, "saturation", self.saturation or (np.inf,) * len(self.bands))

    @cached_property
    def seen(self):
        """Pixels that were observed: usable, and not interpolated; (y, x, band), bool."""
        usable = self.ivar > 0
        return usable if self.gaps is None else usable & ~self.gaps

    @classmethod
    def empty(cls, bands, reason):
        """Make the exposure of a tile that is rejected for `reason`: no pixels at all."""
        none = np.zeros((0, 0, len(bands)), "f4")
        return cls(none, none, None, tuple(bands), rejected=reason)


class Frame(NamedTuple):
    """An exposure without its pixels.

    Attributes
    ----------
    wcs : WCS or None
        As in `Exposure`.
    shape : tuple of int
        ``(y, x)`` [pixel].
    usable : tuple of float
        Share of the pixels that are usable, one a band; empty where nobody has counted them.
    """

    wcs: WCS | None
    shape: tuple[int, int]
    usable: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cutouts:
    """Equal-sized stamps, real or simulated.

    Attributes
    ----------
    flux, ivar : ndarray or pipeline.stamps.planes.Planes, (n, y, x, band)
        As in `Exposure`, but flux is 0 wherever ivar is; of a binned stamp, it is the sum over a
        block of pixels.  Those of `Planes` are in memory only in the chosen rows.
    id : ndarray, (n,), int64
        Source identifier, unique within a run.
    corner : ndarray, (n, 2), int
        ``(x, y)`` of each stamp's first pixel in its parent exposure, in the exposure's pixels.
    bands : tuple of str
    unit : str
        As in `Exposure`.
    wcs : WCS or None
        Coordinates of the parent exposure.
    binning : ndarray, (n,), int
        Exposure pixels along each side of a stamp's pixel; one number is meant for all stamps.
    reference : int
        Number of the band that the sources were found in.
    """

    flux: np.ndarray
    ivar: np.ndarray
    id: np.ndarray
    corner: np.ndarray
    bands: tuple[str, ...]
    unit: str = FLUX_UNIT
    wcs: WCS | None = None
    binning: np.ndarray | int = 1
    reference: int = 0

    def __post_init__(self):
        _check_pixels(self.flux, self.ivar, self.bands, ndim=4)
        if not len(self.flux) == len(self.id) == len(self.corner):
            raise ValueError(
                f"flux, id and corner must have one length; "
                f"got {len(self.flux)}, {len(self.id)} and {len(self.corner)}"
            )
        object.__setattr__(self, "binning", _one_each(self.binning, len(self.id)))

    def __len__(self):
        return len(self.flux)

    def __getitem__(self, rows):
        """Stamps of the chosen `rows` (slice, mask or indices)."""
        return Cutouts(
            self.flux[rows],
            self.ivar[rows],
            self.id[rows],
            self.corner[rows],
            self.bands,
            self.unit,
            self.wcs,
            self.binning[rows],
            self.reference,
        )

    def wcs_of(self, i):
        """Coordinates of stamp ``i``, whose pixels are blocks of the exposure's where it is binned.

        Raises
        ------
        ValueError
            If the exposure has no coordinates.
        """
        if self.wcs is None:
            raise ValueError(f"no WCS for the stamp of source {self.id[i]}: its exposure has none")
        return blocks_wcs(self.wcs, self.corner[i], int(self.binning[i]))


def blocks_wcs(wcs, corner, binning=1):
    """Coordinates of blocks of pixels, the first of which begins at `corner`."""
    wcs = wcs.deepcopy()
    wcs.wcs.crpix = _in_blocks(wcs.wcs.crpix, corner, binning)
    if wcs.wcs.has_cd():
        wcs.wcs.cd = wcs.wcs.cd * binning
    else:
        wcs.wcs.cdelt = wcs.wcs.cdelt * binning
    if wcs.sip is not None:  # the distortion has an origin, and a scale, of its own
        sip = wcs.sip
        terms = [_sip_in_blocks(term, binning) for term in (sip.a, sip.b, sip.ap, sip.bp)]
        wcs.sip = Sip(*terms, _in_blocks(sip.crpix, corner, binning))
    return wcs


def _in_blocks(crpix, corner, binning):
    """Position (x, y), 1-based, in blocks of pixels of what is given in pixels."""
    return (np.asarray(crpix) - corner - 0.5) / binning + 0.5


def _sip_in_blocks(term, binning):
    """Coefficients of ``u**p v**q`` where u, v, and what the polynomial gives, are in blocks."""
    if term is None:
        return None
    p, q = np.indices(term.shape)
    return term * float(binning) ** (p + q - 1)


def _one_each(binning, n):
    """Binning of each of `n` stamps, of one number for all; (n,), int."""
    binning = np.asarray(binning)
    if binning.shape not in {(), (n,)} or (binning < 1).any():
        raise ValueError(f"binning must be 1 or more, one for each of {n} stamps; got {binning}")
    return np.full(n, binning, int)


def _check_pixels(flux, ivar, bands, *, ndim):
    if flux.ndim != ndim or flux.shape != ivar.shape or flux.shape[-1] != len(bands):
        raise ValueError(
            f"flux and ivar must be {ndim}-d, of one shape and end in {len(bands)} bands "
            f"{bands}; got {flux.shape} and {ivar.shape}"
        )
    if not isinstance(flux, np.ndarray):  # in a file: checked as rows are chosen
        return
    if not np.isfinite(flux).all():
        bad = np.sum(~np.isfinite(flux))
        raise ValueError(f"flux has {bad} non-finite pixels; give them ivar 0")
    if not (np.isfinite(ivar).all() and (ivar >= 0).all()):
        raise ValueError("ivar must be finite and not negative")
