"""Tables of what was painted: each column with unit, UCD and meaning."""

import numpy as np
from astropy.table import Column, Table

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT

ENDS = "low", "high"
KINDS = {"meta.id": "U20", "meta.number": int}  # of a bin's columns that are no floats, by UCD


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


def of_bins(rows, quantities, measures, **meta):
    """Make a table of bins.

    Parameters
    ----------
    rows : list of dict
        Of each bin ``kind``, what it is binned in, its `limits`, and `measures`.
    quantities, measures : dict
        Unit, UCD and meaning of what may be binned in, and of the numbers of a bin, by name.
    **meta
        Of the table.

    Returns
    -------
    Table
    """
    columns = {"kind": ("", "meta.id", "What the row is binned in")}
    for name, (unit, ucd, meaning) in quantities.items():
        for end in ENDS:
            columns[f"{name}_{end}"] = unit, ucd, f"{meaning}: {end} limit of the bin"
    columns |= measures
    values = {
        name: np.array([row[name] for row in rows], KINDS.get(ucd, float))
        for name, (_, ucd, _) in columns.items()
    }
    return described(columns, values, None, **meta)


def limits(edges, quantities):
    """Limits of a bin by their columns: `edges` by quantity, NaN of those it is not binned in."""
    ends = {name: edges.get(name, (np.nan, np.nan)) for name in quantities}
    return {f"{k}_{end}": v for k, pair in ends.items() for end, v in zip(ENDS, pair, strict=True)}


def magnitude(flux, unit):
    """AB magnitudes (n,) of fluxes; NaN where there are none, or no zero point."""
    return AB_ZERO_POINT - 2.5 * np.log10(np.where((flux > 0) & (unit == FLUX_UNIT), flux, np.nan))


def place_of(table, tile):
    """Numbers of the places of a survey that galaxies were painted in, of a tile's number; (n,)."""
    return np.asarray(table["place"], "i8") + (tile << 32)
