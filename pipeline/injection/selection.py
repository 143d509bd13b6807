"""Which lenses a lens finder finds: completeness on injections, and false positives without."""

import math

import numpy as np
from astropy.table import Table, vstack

from pipeline.injection.tables import limits, of_bins
from pipeline.models.binned import wilson, worth

MAGNITUDES = np.arange(10.0, 36.0, 1.0)
DEFLECTOR_SNRS = 10 ** np.arange(1, 5.01, 0.25)
BINS = 8  # of Einstein radius and of arc S/N
QUANTITIES = {  # unit, UCD and meaning
    "theta_e": ("arcsec", "phys.angSize", "Einstein radius"),
    "arc_mag": ("mag", "phot.mag", "AB magnitude of all arcs together"),
    "arc_snr": ("", "stat.snr", "S/N of the arcs"),
    "deflector_mag": ("mag", "phot.mag", "AB magnitude of the galaxy"),
    "deflector_snr": ("", "stat.snr", "S/N of the galaxy"),
}
TOGETHER = ("theta_e", "arc_mag"), ("theta_e", "arc_snr")
COUNTS = {  # unit, UCD and meaning
    "n": ("", "meta.number", "Stamps that the finder saw"),
    "n_found": ("", "meta.number", "Those of them above the threshold"),
    "n_faint": ("", "meta.number", "Arcs as bright, but of too low an S/N to be painted: missed"),
    "n_galaxies": ("", "meta.number", "Galaxies that the stamps show"),
    "share": ("", "stat.value", "n_found / (n + n_faint): completeness; without arcs, false ones"),
    "share_low": ("", "stat.value;stat.min", "Lower end of 68 % interval (Wilson; galaxies count)"),
    "share_high": ("", "stat.value;stat.max", "Upper end of the 68 % interval"),
}
_SUMS = 7  # of each bin: see `_sums`


def selection(tables, threshold, settings):
    """Count how many of the injected arcs were found, in bins.

    Galaxies that pass for lenses without arcs are left out: what is painted onto them tells
    nothing.  The intervals are binomial (Wilson 1927, JASA 22, 209), of as many stamps as the
    scatter between galaxies is worth: sets of arcs on one galaxy are not independent (the design
    effect of Kish 1965, Survey Sampling).  Where none or all were found, each galaxy counts once.

    Parameters
    ----------
    tables : iterable of Table
        Of each tile, as `pipeline.injection.inject.inject` makes them; only one is held at a time.
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

    Notes
    -----
    Of one magnitude shallow tiles have arcs below the least S/N, which are not painted.  They count
    as missed, or the faint bins would tell of the deep tiles alone.  The bright ones tell of the
    shallow tiles alone: arcs above the largest S/N are not painted either, and nobody knows how
    many of them are found.  Galaxies too faint for such an S/N have as many arcs in fewer
    magnitudes, and weigh more there.
    """
    edges = _edges(settings)
    kinds = [(), *((name,) for name in QUANTITIES), *TOGETHER]
    shapes = {kind: [len(edges[name]) - 1 for name in kind] for kind in kinds}
    sums = {kind: np.zeros((_SUMS, *shape)) for kind, shape in shapes.items()}
    controls = np.zeros(_SUMS)
    for table in tables:
        stamps = Table({name: np.asarray(table[name]) for name in ("id", *QUANTITIES)})
        stamps["is_found"], stamps["n_faint"] = np.asarray(table["p_lens"]) > threshold, 0.0
        has_arcs = np.isfinite(stamps["theta_e"])
        bare, arcs = stamps[~has_arcs], stamps[has_arcs]
        controls += _count(bare, (), edges)
        arcs = arcs[~np.isin(arcs["id"], bare["id"][bare["is_found"]])]
        every = vstack([arcs, _too_faint(arcs, edges)])
        for kind in kinds:
            sums[kind] += _count(every if "arc_mag" in kind else arcs, kind, edges)
    rows = [_row("no arcs", {}, controls)] if controls[0] else []
    for kind, count in sums.items():
        for at in np.argwhere(count[2] > 0):
            bounds = {name: edges[name][i : i + 2] for name, i in zip(kind, at, strict=True)}
            rows.append(_row(" x ".join(kind) or "all", bounds, count[(slice(None), *at)]))
    return of_bins(rows, QUANTITIES, COUNTS, PLENSMIN=float(threshold))


def _edges(settings):
    """Edges of each quantity's bins: those drawn evenly in logarithm, magnitudes, decades."""
    radii, snrs = (
        np.geomspace(*ends, BINS + 1) for ends in (settings.einstein_radius, settings.arc_snr)
    )
    snrs = np.append(0.0, snrs)  # arcs held below their galaxy's light are faint
    magnitudes = {"arc_mag": MAGNITUDES, "deflector_mag": MAGNITUDES}
    decades = {"deflector_snr": np.concatenate([[0.0], DEFLECTOR_SNRS, [np.inf]])}
    return {"theta_e": radii, "arc_snr": snrs} | magnitudes | decades


def _too_faint(arcs, edges):
    """Expect as many arcs below the least S/N, in a bin of magnitude, as were drawn above it.

    Returns
    -------
    Table
        As `arcs`: each once in every bin that it would reach into, with ``n_faint`` of them.
    """
    snr, low, high = np.asarray(arcs["arc_snr"]), MAGNITUDES[:-1], MAGNITUDES[1:]
    of_unit_snr = np.asarray(arcs["arc_mag"]) + 2.5 * np.log10(np.where(snr > 0, snr, np.nan))
    faintest, brightest = (of_unit_snr - 2.5 * np.log10(edges["arc_snr"][i]) for i in (1, -1))
    drawn = faintest - np.fmax(brightest, arcs["deflector_mag"])  # none outshines its galaxy
    below = np.clip(high - np.maximum(low, faintest[:, None]), 0, None)
    expected = below / np.where(drawn > 0, drawn, np.inf)[:, None]
    row, at = np.nonzero(expected > 0)
    faint = arcs[row]
    faint["arc_mag"], faint["n_faint"], faint["is_found"] = low[at], expected[row, at], False
    return faint


def _count(table, kind, edges):
    """`_sums` of the stamps in bins of the quantities of `kind`; (_SUMS, ...)."""
    shape = [len(edges[name]) - 1 for name in kind]
    places, known = np.zeros(len(table), int), np.ones(len(table), bool)
    for name, n in zip(kind, shape, strict=True):
        values = np.asarray(table[name], "f8")
        at = np.digitize(values, edges[name]) - 1
        known &= np.isfinite(values) & (at >= 0) & (at < n)
        places = places * n + at
    return _sums(table[known], places[known], math.prod(shape)).reshape(_SUMS, *shape)


def _sums(stamps, places, n_places):
    """Sums over each bin's galaxies; (_SUMS, n_places).

    Those are of arcs n, found f, 1 if stamps show it, n n, f n, f f and of arcs that are too faint,
    which n has too.  A galaxy is in one table alone, so that sums of all tables add up.
    """
    faint = np.asarray(stamps["n_faint"])
    galaxies, galaxy = np.unique(stamps["id"], return_inverse=True)
    pairs, pair = np.unique(places * max(len(galaxies), 1) + galaxy, return_inverse=True)
    n_faint, n_shown, f = (
        np.bincount(pair, weights, minlength=len(pairs))
        for weights in (faint, faint == 0, stamps["is_found"])
    )
    n, place = n_shown + n_faint, pairs // max(len(galaxies), 1)
    parts = n, f, n_shown > 0, n * n, f * n, f * f, n_faint
    return np.array([np.bincount(place, part, minlength=n_places) for part in parts])


def _row(kind, bounds, sums):
    """One row of the table, of a bin's `_sums`."""
    n, n_found, n_galaxies, n_faint = sums[[0, 1, 2, -1]]
    share = n_found / n
    low, high = wilson(share, worth(sums[:6]))
    counts = round(n - n_faint), n_found, round(n_faint), n_galaxies, share, low, high
    return {"kind": kind} | limits(bounds, QUANTITIES) | dict(zip(COUNTS, counts, strict=True))
