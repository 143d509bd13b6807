"""Write the page."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from astropy.table import Table
from jinja2 import Environment, StrictUndefined

from pipeline.catalogs.catalog import COLUMNS
from pipeline.comparison.truth import ALONE, BRIGHT, FAINTEST
from pipeline.flags import DEFECT, MEANING
from pipeline.report import expectation, figures, truth_figures
from pipeline.report.choose import SYSTEM, thin
from pipeline.report.facts import doubts, left_out
from pipeline.report.mosaic import gallery, mosaic

STRANGE = 0.98  # anomaly above which p_lens may mean little
LIMITS = {"alone": ALONE, "bright": BRIGHT, "faintest": FAINTEST, "system": SYSTEM}
LIMITS |= {"strange": STRANGE}
MAX_TILES = 300  # rows of the table of tiles
DPI = 110


class Findings(NamedTuple):
    """All that the page shows.

    Attributes
    ----------
    name : str
        Of the run.
    catalog : Table
        The merged one.
    tiles : list of TileFacts
    threshold : float
        ``p_lens`` above which a source is called a candidate.
    chosen : dict
        Rows of the catalog, as `pipeline.report.choose.choose` gives them.
    lenses, strangest : dict
        Stamps by id, as `pipeline.report.stamps.pick` gives them.
    blends : dict
        Panels by id, as `pipeline.report.stamps.blend_panels` gives them.
    scored : dict or None
        What `pipeline.comparison.truth.compare` says; None where the truth is not known.
    provenance : dict
    settings : config.Report
    """

    name: str
    catalog: Table
    tiles: list
    threshold: float
    chosen: dict
    lenses: dict
    strangest: dict
    blends: dict
    scored: dict | None
    provenance: dict
    settings: object


def write_page(found):
    """Write the report.

    Parameters
    ----------
    found : Findings

    Returns
    -------
    str
        HTML that needs nothing else: no script, no other file.
    """
    source = Path(__file__).with_name("page.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "percent": _percent}
    bands = found.catalog.meta.get("BANDS", "").split(",")
    expected = expectation.expect(found.catalog["p_lens"][found.chosen["systems"]])
    summary = _summary(found, expected)
    pictures = _pictures(found, bands)
    pictures["expectation"] = expectation.expectation_figure(expected)
    pictures = {k: data_uri(f) for k, f in pictures.items() if f is not None}
    return environment.from_string(source).render(
        found=found,
        pictures=pictures,
        summary=summary,
        bands=bands,
        detected=_detected(found.catalog, bands),
        candidates=_rows(found.catalog, found.chosen["lenses"]),
        flags=_flags(found.catalog),
        known=_known(found),
        expected=expected,
        columns=COLUMNS,
        widths=_widths(found.lenses),
        limits=LIMITS,
        defects=", ".join(flag.name for flag in DEFECT),
        max_tiles=MAX_TILES,
    )


def _detected(catalog, bands):
    """Name of the detection band; empty where there is but one, or nothing was detected."""
    number = catalog.meta.get("DETBAND")
    return "" if number is None or len(bands) == 1 else bands[int(number)]


def data_uri(figure):
    """PNG of a figure, to stand in the page itself."""
    buffer = io.BytesIO()
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _pictures(found, bands):
    catalog = found.catalog
    rows = thin(len(catalog), found.settings.points)
    some, special = catalog[rows], np.asarray(catalog["p_lens"]) > found.threshold
    special |= np.asarray(catalog["known_lens"]) != ""
    mapped = catalog[np.union1d(rows, np.flatnonzero(special))]
    pictures = {
        "sky": figures.sky_map(mapped, found.threshold, len(catalog)),
        "counts": figures.number_counts(catalog, bands, catalog.meta.get("AREAFLUX", np.nan)),
        "errors": figures.errors(some, bands),
        "scores": figures.scores(catalog),
        "lenses": _mosaic(found, "lenses", _says_lens),
        "strangest": _mosaic(found, "strangest", _says_strange),
        "blends": gallery(list(found.blends.values())),
    }
    if found.scored:
        pairs = found.scored["pairs"]
        pictures |= {
            "completeness": truth_figures.completeness_and_purity(found.scored),
            "positions": truth_figures.positions(pairs),
            "residuals": truth_figures.flux_residuals(pairs),
        }
        if found.scored["roc"]:
            pictures["roc"] = truth_figures.roc(found.scored["roc"])
    return pictures


def _mosaic(found, kind, caption):
    stamps = getattr(found, kind)
    rows = [row for row in found.catalog[found.chosen[kind]] if int(row["id"]) in stamps]
    return mosaic([stamps[int(row["id"])][0] for row in rows], [caption(row) for row in rows])


def _says_lens(row):
    known = f"\n{row['known_lens']}" if row["known_lens"] else ""
    return f"{row['id']}\np = {row['p_lens']:.3f}, spread {row['p_lens_std']:.3f}{known}"


def _says_strange(row):
    return f"{row['id']}\nanomaly {row['anomaly']:.2f}"


def _summary(found, expected):
    """Numbers at the top of the page."""
    good = [tile for tile in found.tiles if not tile.rejected]
    systems = found.chosen["systems"]
    odd = np.asarray(found.catalog["anomaly"])[systems] > STRANGE
    return {
        "tiles": len(found.tiles),
        "good": len(good),
        "rejected": [tile for tile in found.tiles if tile.rejected],
        "doubts": [(tile.name, doubt) for tile in good for doubt in _doubts(tile, found.catalog)],
        "odd": float(np.nansum(found.catalog["p_lens"][systems][odd])),
        "sources": len(found.catalog),
        "area": found.catalog.meta.get("AREA", np.nan),
        "depth": _median([tile.depth for tile in good]),
        "seeing": _median([tile.psf_fwhm for tile in good]),
        "candidates": expected.above(found.threshold),
        "expected": float(expected.lenses[-1]) if len(expected.lenses) else 0.0,
    }


def _doubts(tile, catalog):
    """What to check of a tile, its unit of flux among it."""
    unit = str(catalog["flux"].unit or "")
    return [*doubts(tile.notes), *left_out(tile.n_sources, tile.unit, unit)]


def _median(values):
    values = [value for value in values if np.isfinite(value)]
    return float(np.median(values)) if values else np.nan


def _rows(catalog, rows):
    """Chosen sources as plain mappings of their columns."""
    names = "id", "tile", "label", "ra", "dec", "p_lens", "p_lens_std", "anomaly", "known_lens"
    some = catalog[rows]
    columns = [np.asarray(some[name]).tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _flags(catalog):
    """Each flag with its bit, how many sources have it, and its meaning."""
    flags = np.asarray(catalog["flags"])
    counts = {flag: int(((flags & int(flag)) > 0).sum()) for flag in MEANING}
    share = 1 / max(len(flags), 1)
    return [(f.name, int(f), n, n * share, MEANING[f]) for f, n in counts.items()]


def _known(found):
    """Known lenses on the tiles: name, and the largest p_lens of the sources there, or None.

    Those without a source come first, for no file has them.
    """
    names = np.asarray(found.catalog["known_lens"])
    says = np.asarray(found.catalog["p_lens"])
    recovered = set(names[names != ""])
    there = sorted({name for tile in found.tiles for name in tile.known} | recovered)
    there.sort(key=recovered.__contains__)
    return [(name, says[names == name].max() if (names == name).any() else None) for name in there]


def _widths(stamps):
    """Sides of the stamps shown, in words."""
    widths = sorted({f"{width:.1f}″" for _, width in stamps.values() if np.isfinite(width)})
    return " or ".join(widths)


def _number(value, digits=2):
    """Write a number; a dash where it is not known."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def _percent(value):
    return f"{100 * value:.1f} %" if np.isfinite(value) else "–"
