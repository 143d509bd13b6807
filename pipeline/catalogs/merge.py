"""Make one catalog of the tiles', with every source of an overlap once."""

import logging
from collections import Counter

import numpy as np
from astropy.table import Column, Table

from pipeline.catalogs.catalog import FLUXES, empty
from pipeline.catalogs.coverage import Territories
from pipeline.catalogs.known import known_lenses, name_known
from pipeline.catalogs.overlaps import superfluous
from pipeline.data import FLUX_UNIT

log = logging.getLogger(__name__)


def merge(tables, coverages, settings, lenses=None):
    """Concatenate the tiles' catalogs, keep a source seen twice once, and name known lenses.

    A source is in two tiles if it and another are each other's nearest within `settings.radius`, or
    farther where an edge cut one; `pipeline.catalogs.overlaps` says which stays, and
    `pipeline.catalogs.coverage` whose every place is.  A row is dropped only if the one it is
    dropped for stays.  The result does not depend on the tiles' order.

    Parameters
    ----------
    tables : sequence of Table
        Catalogs as `pipeline.catalogs.catalog.assemble` makes them, one a tile.
    coverages : dict of pipeline.catalogs.coverage.Coverage
        By name of the tiles; those of tiles that were rejected left out.
    settings : config.Merge
    lenses : Table, optional
        Known lenses; those of lenscat if left out.

    Returns
    -------
    Table
        The same columns, sorted by tile and label; ``meta`` gives AREA, of the tiles' usable
        pixels, overlaps once [arcmin2], and AREAFLUX, that of the tiles whose fluxes are in it,
        where it is known.

    Raises
    ------
    ValueError
        If an id appears twice: of a tile given twice, or of two whose names happen to draw it.
    """
    merged = _concatenate(sorted(tables, key=_name))
    _check_ids(merged)
    unit = merged["flux"].unit
    territories = Territories(coverages, unit)
    merged = merged[~superfluous(merged, territories, settings.radius)]
    areas = {"AREA": territories.area(), "AREAFLUX": territories.area(unit)}
    merged.meta |= {name: round(area, 4) for name, area in areas.items() if np.isfinite(area)}
    lenses = known_lenses() if lenses is None else lenses
    position = np.asarray(merged["ra"]), np.asarray(merged["dec"])
    named = name_known(*position, lenses, settings.known_radius)
    merged["known_lens"] = Column(named, **_words(merged["known_lens"]))
    return merged


def rejected(reasons):
    """List the tiles that could not be used.

    Parameters
    ----------
    reasons : dict of str
        Why a tile is rejected, by its name; empty for a good tile.

    Returns
    -------
    Table
        ``tile`` and ``reason``, one row a rejected tile, sorted by name.
    """
    rows = sorted((tile, reason) for tile, reason in reasons.items() if reason)
    return Table(rows=rows or None, names=("tile", "reason"), dtype=("U", "U"))


def _check_ids(merged):
    """Refuse sources of one id."""
    values, counts = np.unique(np.asarray(merged["id"]), return_counts=True)
    twice = values[counts > 1]
    if len(twice):
        tiles = np.unique(merged["tile"][np.isin(merged["id"], twice)]).tolist()
        raise ValueError(f"{len(twice)} ids appear twice, in the tiles {tiles}; rename one of them")


def _concatenate(tables):
    """Stack catalogs of the same columns; a flux in another unit is NaN.

    Their unit is the calibrated one where a tile has it, else that of the most tiles.
    """
    filled = [table for table in tables if len(table)] or list(tables[:1])
    if not filled:
        return empty()
    units = Counter(str(table["flux"].unit) for table in filled)
    unit = FLUX_UNIT if FLUX_UNIT in units else max(sorted(units), key=units.get)
    stacked = []
    for name in filled[0].colnames:
        values = [_comparable(table, name, unit) for table in filled]
        words = _words(next(t for t in filled if str(t["flux"].unit) == unit)[name])
        stacked.append(Column(np.concatenate(values), **words))
    return Table(stacked, meta=filled[0].meta)


def _comparable(table, name, unit):
    """Values of a column, NaN where they are fluxes in another unit than `unit`."""
    values = np.asarray(table[name])
    if name not in FLUXES or str(table[name].unit) == unit:
        return values
    if name == "flux":
        log.warning("%s: flux is in %r, not %r: left out", _name(table), table[name].unit, unit)
    return np.full_like(values, np.nan)


def _words(column):
    """All that a column says of itself."""
    info = column.info
    return {
        "name": info.name,
        "unit": column.unit,
        "description": info.description,
        "meta": info.meta,
    }


def _name(table):
    return str(table["tile"][0]) if len(table) else ""
