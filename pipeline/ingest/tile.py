"""Bring the bands of a tile to one grid, one unit and one mask convention."""

import dataclasses

import numpy as np

from pipeline.data import Exposure
from pipeline.ingest.band import read_band
from pipeline.ingest.mean import with_mean
from pipeline.ingest.mishaps import InputError, NoPixels
from pipeline.ingest.regrid import no_common_grid, regrid, same_grid
from pipeline.ingest.window import blank, in_window


def ingest(tile, settings, detection=None):
    """Turn a survey's own files of a tile into an `Exposure`.

    Parameters
    ----------
    tile : config.Tile
        Where the image, and perhaps weight and mask, of each band are.
    settings : config.Ingest
        How the survey writes its files.
    detection : str or None
        Band that sources are to be detected in, the first one if None, whose pixel grid the others
        are brought to; or bands whose mean is to be a band of its own (``r+i``), on the grid of
        the first of these.

    Returns
    -------
    Exposure
        In nJy where every band has a zero point, else in the images' own unit.  Of a tile that is
        a window of a larger image, a band may have no usable pixel.

    Raises
    ------
    InputError
        If the tile cannot be used: says file, HDU, value and remedy.
    """
    names, main = tuple(tile.image), tile.main(detection)
    mean = detection, tile.averaged(detection)
    views = in_window(tile, main)
    try:
        first = read_band(tile, main, settings)
    except NoPixels:
        if tile.window is None:
            raise
        return with_mean(blank(tile, main), *mean)
    flux, ivar = (_room(plane, len(names)) for plane in (first.flux, first.ivar))
    bands = {}
    for name in (main, *(name for name in names if name != main)):
        band = first if name == main else _brought(first, views[name], name, settings)
        i = names.index(name)
        flux[..., i], ivar[..., i] = band.flux, band.ivar
        bands[name] = dataclasses.replace(band, flux=None, ivar=None)
    ordered = [bands[name] for name in names]
    exposure = Exposure(
        flux,
        ivar,
        first.wcs,
        names,
        unit=_common_unit(bands),
        pixel_scale=float(first.pixel_scale),
        gain=tuple(float(band.gain) for band in ordered),
        saturation=tuple(float(band.saturation) for band in ordered),
        notes=tuple(dict.fromkeys(note for band in ordered for note in band.notes)),
    )
    return with_mean(exposure, *mean)


def _brought(first, tile, name, settings):
    """Read another band on the grid of the first one; `tile` is None where it does not reach."""
    try:
        if tile:
            return _on_grid_of(first, read_band(tile, name, settings))
    except NoPixels:
        if tile.window is None:
            raise
    nothing, note = np.zeros_like(first.flux), f"band {name} has no usable pixel here"
    return dataclasses.replace(first, name=name, flux=nothing, ivar=nothing, notes=(note,))


def _room(plane, n_bands):
    """Room (y, x, band) for all bands; of one band, the plane itself."""
    return plane[..., None] if n_bands == 1 else np.zeros((*plane.shape, n_bands), "f4")


def _on_grid_of(first, band):
    """Bring a band to the grid of the first one, if it is not on it."""
    shape = first.flux.shape
    if first.wcs is None or band.wcs is None:
        if band.flux.shape == shape:
            note = f"{band.name}: no WCS to compare, so its pixels are taken as {first.name}'s"
            return dataclasses.replace(band, notes=(*band.notes, note) if first.wcs else band.notes)
        raise no_common_grid(band.name, band.flux.shape, first.name, shape)
    if same_grid(first.wcs, shape, band.wcs, band.flux.shape):
        return band
    flux, ivar, area = regrid(band.flux, band.ivar, band.wcs, first.wcs, shape)
    if not ivar.any():
        raise NoPixels(f"{band.name}: no usable pixel where {first.name} is; check the tile")
    note = f"{band.name}: brought to the pixel grid of {first.name}; its noise is now correlated"
    return dataclasses.replace(
        band, flux=flux, ivar=ivar, saturation=band.saturation * area, notes=(*band.notes, note)
    )


def _common_unit(bands):
    units = {name: band.unit for name, band in bands.items()}
    if len(set(units.values())) > 1:
        said = ", ".join(f"{name} in {unit}" for name, unit in units.items())
        names = ", ".join(band.name for band in bands.values())
        raise InputError(f"{names}: the bands have different units ({said}); set ingest.zero_point")
    return units.popitem()[1]
