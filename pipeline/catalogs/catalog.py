"""The catalog: what its columns are, and how the stages' tables become one."""

import hashlib
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import Column as TableColumn
from astropy.table import Table

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT

LARGEST_LABEL = 2**22 - 1
EXACT = 2**53  # a float holds every integer below, and JavaScript makes floats of all numbers


class Column(NamedTuple):
    """One column of the catalog."""

    name: str
    unit: str
    ucd: str
    description: str


COLUMNS = (
    Column(
        "id",
        "",
        "meta.id;meta.main",
        "Identifier: the same in every run with the same tiles and settings",
    ),
    Column("tile", "", "meta.id;meta.dataset", "Name of the tile the source was measured in"),
    Column("label", "", "meta.id.part", "Number of the source in the tile's segmentation image"),
    Column("ra", "deg", "pos.eq.ra;meta.main", "Right ascension (ICRS)"),
    Column("dec", "deg", "pos.eq.dec;meta.main", "Declination (ICRS)"),
    Column("pos_err", "arcsec", "stat.error;pos.eq", "Standard error of a position along an axis"),
    Column(
        "x",
        "pix",
        "pos.cartesian.x;instr.det",
        "Windowed centroid, or that of the core; first pixel is 0",
    ),
    Column(
        "y",
        "pix",
        "pos.cartesian.y;instr.det",
        "Windowed centroid, or that of the core; first pixel is 0",
    ),
    Column(
        "flux_auto",
        "nJy",
        "phot.flux.density",
        "Flux in the Kron aperture, opposite pixels in place of neighbours'",
    ),
    Column(
        "flux_auto_err",
        "nJy",
        "stat.error;phot.flux.density",
        "Standard error of flux_auto, of pixel noise in that aperture",
    ),
    Column(
        "flux",
        "nJy",
        "phot.flux.density;meta.main",
        "Deblended flux: the source's share of the light in that aperture",
    ),
    Column(
        "flux_err",
        "nJy",
        "stat.error;phot.flux.density",
        "Standard error of flux, of noise, also in the shares",
    ),
    Column("flux_p16", "nJy", "phot.flux.density;stat.min", "16th percentile of the total flux"),
    Column(
        "flux_p50",
        "nJy",
        "phot.flux.density;stat.median",
        "Median of the posterior of the total flux",
    ),
    Column("flux_p84", "nJy", "phot.flux.density;stat.max", "84th percentile of the total flux"),
    Column("mag", "mag", "phot.mag", "AB magnitude of flux; flux_p50 is the total"),
    Column("mag_err", "mag", "stat.error;phot.mag", "Standard error of mag, that of flux"),
    Column(
        "snr", "", "stat.snr", "Of detection: a point source's in the matched filter; NaN if lost"
    ),
    Column("a", "pix", "phys.angSize.smajAxis", "Semi-major axis, rms of the filtered light"),
    Column("b", "pix", "phys.angSize.sminAxis", "Semi-minor axis, rms of the filtered light"),
    Column("theta", "deg", "pos.posAng;instr.det", "Angle of a, anticlockwise from the x axis"),
    Column("pa", "deg", "pos.posAng", "Position angle of a on the sky, from north to east"),
    Column("r50", "pix", "phys.angSize;stat.median", "Radius that holds half of flux_auto"),
    Column(
        "broadening",
        "",
        "src.class.starGalaxy",
        "How wide it is: 0 as a star, 1.3 as a PSF 1.3 times as wide",
    ),
    Column(
        "broadening_err",
        "",
        "stat.error;src.class.starGalaxy",
        "Standard error of broadening, of pixel noise; inf if untold",
    ),
    Column("pixel_scale", "arcsec", "instr.scale", "Side of a pixel, for x, y, a, b and r50"),
    Column("p_lens", "", "stat.probability", "Probability of a lens at prevalence PREVALEN"),
    Column(
        "p_lens_std",
        "",
        "stat.stdev;stat.probability",
        "How far the ensemble disagrees on p_lens; not what noise does to it",
    ),
    Column(
        "anomaly",
        "",
        "stat.value",
        "Share of the training set that looks less odd: 1 is oddest",
    ),
    Column("blend_fraction", "", "stat.value", "Share of the footprint others claim"),
    Column(
        "n_neighbours", "", "meta.number", "Sources whose footprints overlap or touch this one's"
    ),
    Column(
        "mask_uncertainty",
        "",
        "stat.error",
        "Spread of the drawn masks over their mean; NaN without a mask",
    ),
    Column("known_lens", "", "meta.id.cross", "Known strong lens here, of lenscat; else empty"),
    Column("flags", "", "meta.code.qual", "Bit mask; README and report list the bits"),
)
FLUXES = tuple(column.name for column in COLUMNS if column.unit == FLUX_UNIT)
PER_BAND = (*FLUXES, "mag", "mag_err")
_DTYPES = {
    **dict.fromkeys(("id",), "i8"),
    **dict.fromkeys(("label", "n_neighbours", "flags"), "i4"),
    **dict.fromkeys(("ra", "dec", "x", "y"), "f8"),
    **dict.fromkeys(("tile", "known_lens"), "U"),
}


def number(found, tile_name):
    """Give every source its identifier and its tile's name.

    Parameters
    ----------
    found : Table
        Sources of one tile, with ``label``, 1 to n.
    tile_name : str

    Returns
    -------
    Table
        `found` with ``id`` (int64, positive, below 2**53) and ``tile``: the id is a number drawn by
        the name's digest, plus the label, so it depends on nothing else in the survey.  Of N tiles
        with n sources each any two share an id with a probability of N**2 n / 2**53 (1 in 9,000 for
        10,000 tiles of 10,000 sources); `pipeline.catalogs.merge` refuses that.

    Raises
    ------
    ValueError
        If a label is not positive, or above `LARGEST_LABEL`.
    """
    label = np.asarray(found["label"], "i8")
    if len(label) and not (label.min() > 0 and label.max() <= LARGEST_LABEL):
        raise ValueError(
            f"tile {tile_name}: labels must lie between 1 and {LARGEST_LABEL}, "
            f"got {label.min()} to {label.max()}; cut the tile into smaller ones"
        )
    digest = int.from_bytes(hashlib.sha256(tile_name.encode()).digest()[:8], "big")
    numbered = found.copy()
    numbered["id"] = digest % (EXACT - LARGEST_LABEL) + label
    numbered["tile"] = np.full(len(found), tile_name, dtype=f"U{len(tile_name)}")
    return numbered


def assemble(tables, tile_name):
    """Join the stages' tables of one tile on ``id``, one row a source.

    Parameters
    ----------
    tables : sequence of Table
        The sources first; each with ``id`` (n,), in any order, and its own columns.
        Every ``flags`` column is kept: they are OR-ed.
    tile_name : str
        For the messages.

    Returns
    -------
    Table
        `COLUMNS`, in order and in their units.  Fluxes are (n, band) where there are several
        bands, else (n,); they keep the image's unit where it is no flux density, and ``mag``
        is NaN then.  ``known_lens`` is empty: `pipeline.catalogs.known` fills it.

    Raises
    ------
    ValueError
        If the tables do not hold the same ids, or no table gives a column.
    """
    ids = np.asarray(tables[0]["id"])
    columns = {"id": ids, "known_lens": np.full(len(ids), "", "U1")}
    flags = np.zeros(len(ids), "i4")
    for table in tables:
        rows = _rows_of(ids, np.asarray(table["id"]), tile_name)
        columns |= {n: _take(table[n], rows) for n in table.colnames if n not in columns}
        if "flags" in table.colnames:
            flags |= np.asarray(table["flags"], "i4")[rows]
    columns["flags"] = flags
    missing = {c.name for c in COLUMNS} - {*columns, "mag", "mag_err"}
    if missing:
        raise ValueError(f"tile {tile_name}: no stage gave the columns {sorted(missing)}")
    columns["mag"], columns["mag_err"] = magnitudes(columns["flux"], columns["flux_err"])
    meta = {key: tables[0].meta[key] for key in ("BANDS", "DETBAND") if key in tables[0].meta}
    return Table([_describe(column, columns[column.name]) for column in COLUMNS], meta=meta)


def magnitudes(flux, flux_err):
    """AB magnitudes and their errors of fluxes [nJy]; NaN where there is no flux to take them of.

    Parameters
    ----------
    flux, flux_err : Quantity or Column, (n,) or (n, band)

    Returns
    -------
    mag, mag_err : ndarray, like `flux`
        NaN where the flux is not positive, or its unit is no flux density.
    """
    scale = _to_njy(flux.unit)
    values, errors = (scale * np.asarray(column, "f8") for column in (flux, flux_err))
    values = np.where(values > 0, values, np.nan)
    return AB_ZERO_POINT - 2.5 * np.log10(values), 2.5 / np.log(10) * errors / values


def empty(bands=("",)):
    """Make a catalog without rows, for a survey without tiles."""
    shape = (0,) if len(bands) == 1 else (0, len(bands))
    values = {c.name: np.zeros(shape if c.name in PER_BAND else 0) for c in COLUMNS}
    meta = {"BANDS": ",".join(bands)}
    return Table([_describe(column, values[column.name]) for column in COLUMNS], meta=meta)


def detection_band(catalog, name):
    """Values (n,) of a column in the detection band; in a catalog of one band, the column."""
    values = np.asarray(catalog[name])
    return values if values.ndim == 1 else values[:, int(catalog.meta.get("DETBAND", 0))]


def flux_snr(catalog, name):
    """S/N (n,) of a flux, as ``flux_auto``, in the detection band; 0 where there is none."""
    flux, error = (detection_band(catalog, column) for column in (name, f"{name}_err"))
    snr = np.divide(flux, error, out=np.zeros(len(flux)), where=error > 0)
    return np.where(np.isfinite(snr), snr, 0)


def _rows_of(ids, others, tile_name):
    """Where each of `ids` is among `others`, which must be the same ids."""
    order = np.argsort(others, kind="stable")
    ranked = others[order]
    if len(np.unique(ids)) != len(ids) or not np.array_equal(np.sort(ids), ranked):
        raise ValueError(
            f"tile {tile_name}: the stages' tables must hold the same ids, each once; "
            f"got {len(ids)} and {len(others)} rows, {len(np.intersect1d(ids, others))} ids shared"
        )
    return order[np.searchsorted(ranked, ids)]


def _take(column, rows):
    """Rows of a column with their unit, without a band axis of length one."""
    taken = column[rows]
    return taken[:, 0] if taken.ndim == 2 and taken.shape[1] == 1 else taken


def _to_njy(unit):
    """Return how many nJy `unit` is; NaN where it is no flux density."""
    unit = u.Unit(unit or "", parse_strict="silent")
    return unit.to(FLUX_UNIT) if unit.is_equivalent(FLUX_UNIT) else np.nan


def _describe(column, values):
    """Make a table's column of `values`, brought to its unit and type."""
    unit = getattr(values, "unit", None)
    plain = np.asarray(values)
    if column.name in FLUXES and unit is not None:
        scale = _to_njy(unit)
        unit, plain = (unit, plain) if np.isnan(scale) else (FLUX_UNIT, scale * plain)
    else:
        if unit and column.unit:
            plain = plain * u.Unit(unit).to(column.unit)
        unit = column.unit or None
    return TableColumn(
        plain.astype(_DTYPES.get(column.name, "f4")),
        column.name,
        unit=unit,
        description=column.description,
        meta={"ucd": column.ucd},
    )
