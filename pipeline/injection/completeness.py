"""How complete detection is, and how right fluxes are, of galaxies painted onto a survey."""

from itertools import product

import numpy as np

from pipeline.flags import DEFECT
from pipeline.injection.tables import limits, of_bins, place_of
from pipeline.models import metrics
from pipeline.models.binned import bootstrap, pooled, share

BINS, SIZES = 8, 4  # of the S/N and of the size, where they are drawn evenly in logarithm
FAR = 1e6  # PSF widths, where there is no other source
MAGNITUDES = np.arange(10.0, 36.0, 0.5)
NEIGHBOURS = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 10.0, np.inf])
QUANTITIES = {  # unit, UCD and meaning
    "true_mag": ("mag", "phot.mag", "AB magnitude"),
    "true_snr": ("", "stat.snr", "S/N (see recovered.fits)"),
    "size": ("", "phys.angSize", "Half-light radius in widths (FWHM) of the PSF"),
    "neighbour": ("", "pos.angDistance", "Distance of the nearest source in such widths"),
}
TOGETHER = ("true_mag", "size"), ("true_snr", "size")
HALF = 0.5
MEASURES = {  # unit, UCD and meaning
    "n": ("", "meta.number", "Galaxies that were painted"),
    "n_faint": ("", "meta.number", "As bright, but of too low an S/N to be painted: missed"),
    "completeness": ("", "stat.value", "Share of both that were detected"),
    "completeness_err": ("", "stat.error", "Standard error of completeness"),
    "n_clean": ("", "meta.number", "Galaxies detected, without the flag of a defect"),
    "median_dm": ("mag", "stat.median", "Their flux_p50 against the truth; above 0: too faint"),
    "median_dm_err": ("mag", "stat.error", "Standard error of median_dm"),
    "nmad_dm": ("mag", "stat.stdev", "Scatter of that (1.4826 median absolute deviations)"),
    "median_dm_auto": ("mag", "stat.median", "Their flux_auto against the truth"),
    "coverage_68": ("", "stat.value", "Share of flux_p16 to flux_p84 that hold the truth"),
    "coverage_68_err": ("", "stat.error", "Standard error of coverage_68"),
}


def completeness(tables, settings):
    """Count the galaxies that were detected, and measure their fluxes, in bins.

    Parameters
    ----------
    tables : iterable of Table
        Of each tile, as `pipeline.injection.recover.recovered` makes them.
    settings : pipeline.config.Recover

    Returns
    -------
    Table
        One row a bin that holds anything.  ``kind`` says what the row is binned in: "all", the
        name of one of `QUANTITIES` or of two ("true_mag x size").  Then come the limits of each of
        these, ``..._low`` and ``..._high`` (NaN where it is not binned in), and `MEASURES`, errors
        of shares from Wilson's interval, of medians from a bootstrap, both of places: galaxies of
        several passes that share one are alike.  ``DEPTH50`` of its meta is the magnitude at which
        half of the galaxies are detected, if there is one.

    Notes
    -----
    Of one magnitude shallow tiles have galaxies below the least S/N, which are not painted.  They
    count as missed, or the faint bins would tell of the deep tiles alone.
    """
    parts = [_known(table, i) for i, table in enumerate(tables)]
    known = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    edges, rows = _edges(settings), []
    for kind in ((), *((name,) for name in QUANTITIES), *TOGETHER):
        for bounds, inside, n_faint in _bins(known, kind, edges):
            named = {"kind": " x ".join(kind) or "all", **limits(bounds, QUANTITIES)}
            rows.append(named | _measured(inside, n_faint))
    depth = _depth([row for row in rows if row["kind"] == "true_mag"])
    return of_bins(rows, QUANTITIES, MEASURES, **depth)


def _depth(rows):
    """Magnitude from which on less than half is detected, if there is one, by its keyword."""
    at = [(row["true_mag_low"] + row["true_mag_high"]) / 2 for row in rows]
    shares = [row["completeness"] for row in rows]
    last = max((i for i, share in enumerate(shares) if share >= HALF), default=len(rows))
    if last + 1 >= len(rows):
        return {}
    ends = [last + 1, last]
    return {"DEPTH50": float(np.interp(HALF, *(np.take(v, ends) for v in (shares, at))))}


def _known(table, i):
    """What is needed of the galaxies of a tile, and of that its number; arrays (n,)."""
    known = {name: np.asarray(table[name], "f4") for name in QUANTITIES}
    known["of_unit_snr"] = known["true_mag"] + 2.5 * np.log10(known["true_snr"])
    known["neighbour"] = np.minimum(known["neighbour"], FAR)
    known["place"] = place_of(table, i)
    known["found"] = np.asarray(table["found"], bool)
    known["clean"] = known["found"] & (np.asarray(table["flags"]) & int(DEFECT) == 0)
    low, middle, high, auto, true = (
        np.asarray(table[name], "f8")
        for name in ("flux_p16", "flux_p50", "flux_p84", "flux_auto", "true_flux")
    )
    known["holds"] = (low <= true) & (true <= high)
    for name, flux in (("dm", middle), ("dm_auto", auto)):
        ratio = np.where(flux > 0, flux, np.nan) / true
        known[name] = (-2.5 * np.log10(ratio)).astype("f4")
    return known


def _edges(settings):
    """Edges of each quantity's bins."""
    snr, size = np.geomspace(*settings.snr, BINS + 1), np.geomspace(*settings.size, SIZES + 1)
    return {"true_mag": MAGNITUDES, "true_snr": snr, "size": size, "neighbour": NEIGHBOURS}


def _bins(known, kind, edges):
    """Limits of each bin of `kind`, what is known of its galaxies, and how many are too faint."""
    at = {name: np.digitize(known[name], edges[name]) - 1 for name in kind}  # of NaN: the last
    for place in product(*(range(len(edges[name]) - 1) for name in kind)):
        inside, alike = np.ones((2, len(known["found"])), bool)
        for name, i in zip(kind, place, strict=True):
            inside &= at[name] == i
            alike &= (at[name] == i) | (name == "true_mag")
        limits = {name: edges[name][i : i + 2] for name, i in zip(kind, place, strict=True)}
        if inside.any():
            faint = _n_faint(known["of_unit_snr"][alike], limits, edges["true_snr"])
            yield limits, {name: values[inside] for name, values in known.items()}, faint


def _n_faint(of_unit_snr, limits, snr):
    """Expect how many galaxies in the limits of a magnitude are below the least S/N."""
    if "true_mag" not in limits:
        return 0
    (low, high), per_mag = limits["true_mag"], 0.4 / np.log10(snr[-1] / snr[0])
    inside = high - np.maximum(low, of_unit_snr - 2.5 * np.log10(snr[0]))
    return round(float(np.nansum(np.clip(inside, 0, None))) * per_mag)


def _measured(known, n_faint):
    """`MEASURES` of the galaxies of a bin."""
    n, n_clean = len(known["found"]), int(known["clean"].sum())
    row = {"n": n, "n_faint": n_faint, "n_clean": n_clean}
    clean = {name: values[known["clean"]] for name, values in known.items()}
    told = np.isfinite(clean["dm"])
    dm, auto = clean["dm"][told], clean["dm_auto"][np.isfinite(clean["dm_auto"])]
    faint = -1 - np.arange(n_faint)  # each in a place of its own
    found = share(np.pad(known["found"], (0, n_faint)), np.concatenate([known["place"], faint]))
    holds, middle = share(clean["holds"], clean["place"]), _median(dm, clean["place"][told])
    row["nmad_dm"] = metrics.nmad(dm) if len(dm) else np.nan
    row["median_dm_auto"] = np.median(auto) if len(auto) else np.nan
    for name, number in (("completeness", found), ("median_dm", middle), ("coverage_68", holds)):
        row[name], row[f"{name}_err"] = number["value"], number["error"]
    return row


def _median(values, place):
    """Median with its error, of values of which those of one place are alike."""
    places, member = np.unique(place, return_inverse=True)
    if len(places) == len(values):
        return bootstrap(np.median, values)
    return pooled(np.median, values, member=member, n_draws=100)
