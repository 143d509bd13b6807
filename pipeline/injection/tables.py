"""Tables of what was painted: each column with unit, UCD and meaning."""

import numpy as np
from astropy.table import Column, Table

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT


def described(columns, values, flux_unit, **meta):
    """Make a table of columns with units.

    Parameters
    ----------
    columns : dict
        Unit ("flux" for that of the exposure), UCD and meaning of each column, by name.
    values : Table or dict of ndarray, (n,)
    flux_unit : str
    **meta
        Of the table.

    Returns
    -------
    Table
    """
    made = []
    for name, (unit, ucd, meaning) in columns.items():
        said = {"unit": flux_unit if unit == "flux" else unit or None, "meta": {"ucd": ucd}}
        made.append(Column(np.asarray(values[name]), name, description=meaning, **said))
    return Table(made, meta=meta)


def magnitude(flux, unit):
    """AB magnitudes (n,) of fluxes; NaN where there are none, or no zero point."""
    return AB_ZERO_POINT - 2.5 * np.log10(np.where((flux > 0) & (unit == FLUX_UNIT), flux, np.nan))


def place_of(table, tile):
    """Numbers of the places of a survey that galaxies were painted in, of a tile's number; (n,)."""
    return np.asarray(table["place"], "i8") + (tile << 32)
