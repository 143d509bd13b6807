"""Which lenses a lens finder finds: completeness on injections, and false positives without."""

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import Column, Table

MAGNITUDES = np.arange(10.0, 36.0, 1.0)
DEFLECTOR_SNRS = 10 ** np.arange(1, 5.01, 0.25)
BINS = 8  # of Einstein radius and of arc S/N
QUANTITIES = {  # unit and meaning
    "theta_e": ("arcsec", "Einstein radius"),
    "arc_mag": ("mag", "AB magnitude of all arcs together"),
    "arc_snr": ("", "S/N of the arcs"),
    "deflector_mag": ("mag", "AB magnitude of the galaxy"),
    "deflector_snr": ("", "S/N of the galaxy"),
}
TOGETHER = ("theta_e", "arc_mag"), ("theta_e", "arc_snr")
_UCDS = {
    "theta_e": "phys.angSize",
    "arc_mag": "phot.mag",
    "arc_snr": "stat.snr",
    "deflector_mag": "phot.mag",
    "deflector_snr": "stat.snr",
}
COUNTS = {  # UCD and meaning
    "n": ("meta.number", "Stamps that the finder saw"),
    "n_found": ("meta.number", "Those of them above the threshold"),
    "share": ("stat.value", "n_found / n: completeness; the false positives' share without arcs"),
    "share_low": ("stat.value;stat.min", "Lower end of Wilson's interval of 68 %"),
    "share_high": ("stat.value;stat.max", "Upper end of Wilson's interval of 68 %"),
}


def selection(tables, threshold, settings):
    """Count how many of the injected arcs were found, in bins.

    The intervals are binomial (Wilson 1927, JASA 22, 209); sets of arcs on one galaxy count as
    independent, which they are but for the galaxy.

    Parameters
    ----------
    tables : iterable of Table
        Of each tile, as `pipeline.inject.inject` makes them; only one is held at a time.
    threshold : float
        Of ``p_lens``.
    settings : pipeline.config.Inject

    Returns
    -------
    Table
        One row a bin that holds anything.  ``kind`` says what the row is binned in: "all", the
        name of a quantity or two ("theta_e x arc_snr"), or "no arcs", the galaxies as they are.
        Then come the limits of each of `QUANTITIES`, ``..._low`` and ``..._high`` (NaN where it
        is not binned in), and `COUNTS`.
    """
    edges = _edges(settings)
    kinds = [(), *((name,) for name in QUANTITIES), *TOGETHER]
    counts = {kind: np.zeros((2, *(len(edges[name]) - 1 for name in kind)), int) for kind in kinds}
    controls = np.zeros(2, int)
    for table in tables:
        is_found = np.asarray(table["p_lens"]) > threshold
        has_arcs = np.isfinite(np.asarray(table["theta_e"]))
        controls += [np.sum(~has_arcs), np.sum(is_found & ~has_arcs)]
        for kind in kinds:
            counts[kind] += _count(table, has_arcs, is_found, kind, edges)
    rows = [_row("no arcs", {}, *controls)]
    for kind, count in counts.items():
        for at in np.argwhere(count[0] > 0):
            limits = {name: edges[name][i : i + 2] for name, i in zip(kind, at, strict=True)}
            rows.append(_row(" x ".join(kind) or "all", limits, *count[(slice(None), *at)]))
    return _table([row for row in rows if row["n"]], threshold)


def _edges(settings):
    """Edges of each quantity's bins: those drawn evenly in logarithm, magnitudes, decades."""
    radii, snrs = (
        np.geomspace(*limits, BINS + 1) for limits in (settings.einstein_radius, settings.arc_snr)
    )
    # Rounding must not lose the largest; arcs held below their galaxy's light are faint.
    radii[-1] *= 1 + 1e-9
    snrs = np.concatenate([[0.0], snrs[:-1], [snrs[-1] * (1 + 1e-9)]])
    radii[0] *= 1 - 1e-9
    magnitudes = {"arc_mag": MAGNITUDES, "deflector_mag": MAGNITUDES}
    decades = {"deflector_snr": np.concatenate([[0.0], DEFLECTOR_SNRS, [np.inf]])}
    return {"theta_e": radii, "arc_snr": snrs} | magnitudes | decades


def _count(table, has_arcs, is_found, kind, edges):
    """Numbers of all and of found arcs, (2, ...), in bins of the quantities of `kind`."""
    values = np.column_stack([np.asarray(table[name], "f8") for name in kind] or [has_arcs])
    limits = [edges[name] for name in kind]
    known = has_arcs & np.isfinite(values).all(axis=1)
    both = [known, known & is_found]
    if not kind:
        return np.array([rows.sum() for rows in both])
    return np.array([np.histogramdd(values[rows], limits)[0] for rows in both]).astype(int)


def _row(kind, limits, n, n_found):
    """One row of the table."""
    row = {"kind": kind, "n": int(n), "n_found": int(n_found)}
    for name in QUANTITIES:
        row[f"{name}_low"], row[f"{name}_high"] = limits.get(name, (np.nan, np.nan))
    return row


def _table(rows, threshold):
    """Table of the rows, with shares and their intervals."""
    kinds = [row["kind"] for row in rows]
    columns = [Column(kinds, "kind", "U20", description="What the row is binned in")]
    columns[0].meta["ucd"] = "meta.id"
    for name, (unit, meaning) in QUANTITIES.items():
        for end in ("low", "high"):
            values = np.array([row[f"{name}_{end}"] for row in rows], "f8")
            said = {"unit": unit or None, "description": f"{meaning}: {end} limit of the bin"}
            said["meta"] = {"ucd": _UCDS[name]}
            columns.append(Column(values, f"{name}_{end}", **said))
    n, found = (np.array([row[name] for row in rows], int) for name in ("n", "n_found"))
    low, high = binom_conf_interval(found, n, interval="wilson") if len(n) else np.zeros((2, 0))
    low = np.where(found == 0, 0, low)  # but for rounding
    for name, values in zip(COUNTS, (n, found, found / np.maximum(n, 1), low, high), strict=True):
        ucd, meaning = COUNTS[name]
        columns.append(Column(values, name, description=meaning, meta={"ucd": ucd}))
    return Table(columns, meta={"PLENSMIN": float(threshold)})
