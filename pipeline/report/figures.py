"""Figures of the catalog: where the sources are, how many, how bright, how well measured."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

# Okabe & Ito's palette, which the colour-blind can tell apart.
COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
SIZE = 5.4, 3.9
FEW_DECADES = 1, 2, 5  # ticks of a logarithmic axis that spans one or two
LEAST_P_LENS = 1e-6  # of the histogram; what is below is counted there
MARGINS = {"left": 0.15, "right": 0.97, "bottom": 0.13, "top": 0.93}


def sky_map(catalog, threshold, n_all):
    """Draw the sources on the sky, with the lens candidates and the known lenses."""
    figure, ax = panel((6.2, 5.6))
    ra, dec = (np.asarray(catalog[k]) for k in ("ra", "dec"))
    placed = np.isfinite(ra) & np.isfinite(dec)
    if not placed.any():
        return None
    middle = np.degrees(np.angle(np.exp(1j * np.radians(ra[placed])).mean())) % 360
    ra = middle + (ra - middle + 180) % 360 - 180  # a field may lie across the meridian
    size = float(np.clip(4e4 / max(len(catalog), 1), 0.3, 8))
    ax.scatter(ra[placed], dec[placed], s=size, c="0.45", lw=0, rasterized=True, label="source")
    for special, marker, colour, label in (
        (np.asarray(catalog["p_lens"]) > threshold, "o", COLOURS[1], f"p_lens > {threshold:.2g}"),
        (np.asarray(catalog["known_lens"]) != "", "s", COLOURS[0], "known lens"),
    ):
        rows = special & placed
        if rows.any():
            style = {"marker": marker, "facecolors": "none", "edgecolors": colour, "lw": 1.3}
            ax.scatter(ra[rows], dec[rows], s=46, label=label, **style)
    ax.invert_xaxis()
    ax.set_aspect(1 / np.cos(np.radians(np.median(dec[placed]))), adjustable="datalim")
    ax.set_xlabel("right ascension [deg]")
    ax.set_ylabel("declination [deg]")
    ax.ticklabel_format(useOffset=False)
    if ra[placed].min() < 0 or ra[placed].max() > 360:
        ax.xaxis.set_major_formatter(lambda value, _: f"{value % 360:g}")
    ax.tick_params(labelsize=8)
    shown = f", {len(catalog)} shown" if len(catalog) < n_all else ""
    ax.set_title(f"{n_all} sources{shown}", fontsize=10)
    ax.legend(fontsize=8, loc="upper right", framealpha=0.95)
    return figure


def number_counts(catalog, bands, area):
    """Draw the sources per magnitude and area [arcmin2], one line a band.

    Without magnitudes it counts against the logarithm of the flux.
    """
    figure, ax = panel()
    mag, is_mag = _brightness(catalog)
    if not np.isfinite(mag).any():
        return None
    width = 0.5 if is_mag else 0.2
    low, high = np.nanmin(mag), np.nanmax(mag)
    edges = np.arange(np.floor(low / width), np.floor(high / width) + 2) * width
    per = 1 / (width * area) if is_mag and area > 0 else 1.0
    for i, band in enumerate(bands):
        n = np.histogram(mag[:, i][np.isfinite(mag[:, i])], edges)[0]
        keep = n > 0
        middle = (edges[:-1] + edges[1:])[keep] / 2
        style = {"fmt": "o-", "ms": 3.5, "lw": 1, "color": COLOURS[i % len(COLOURS)]}
        ax.errorbar(middle, per * n[keep], per * np.sqrt(n[keep]), label=band, **style)
    log_scale(ax, "y")
    unit = catalog["flux"].unit
    ax.set_xlabel("deblended magnitude [AB]" if is_mag else f"log10 of the deblended flux [{unit}]")
    ax.set_ylabel("sources / mag / arcmin²" if per != 1 else "sources in a bin")
    ax.legend(title="band", fontsize=8)
    return figure


def errors(catalog, bands):
    """Draw S/N of the deblended flux against brightness, one colour a band."""
    figure, ax = panel()
    mag, is_mag = _brightness(catalog)
    flux, error = (_columns(catalog, name) for name in ("flux", "flux_err"))
    good = np.isfinite(mag) & (error > 0) & (flux > 0)
    if not good.any():
        return None
    for i, band in enumerate(bands):
        k = good[:, i]
        snr = flux[k, i] / error[k, i]
        colour = COLOURS[i % len(COLOURS)]
        ax.scatter(mag[k, i], snr, s=2, c=colour, lw=0, alpha=0.5, rasterized=True, label=band)
    for snr in (5, 10):
        ax.axhline(snr, color="0.3", lw=0.8, ls="--")
        ax.annotate(f"S/N {snr}", (0.01, snr), xycoords=("axes fraction", "data"), fontsize=8)
    log_scale(ax, "y")
    unit = catalog["flux"].unit
    ax.set_xlabel("deblended magnitude [AB]" if is_mag else f"log10 of the deblended flux [{unit}]")
    ax.set_ylabel("flux / flux_err")
    if is_mag:
        figure.subplots_adjust(right=0.83)
        second = ax.secondary_yaxis("right", functions=(_mag_error, _mag_error))
        second.set_ylabel("mag_err")
        _plain_numbers(second.yaxis)
    ax.legend(title="band", fontsize=8, markerscale=4)
    return figure


def scores(catalog):
    """Draw the distributions of the lens probability and of the anomaly."""
    figure = Figure(figsize=(SIZE[0] * 1.6, 3.2))
    margins = {"left": 0.08, "right": 0.99, "bottom": 0.15, "top": 0.97, "wspace": 0.2}
    panels = figure.subplots(1, 2, gridspec_kw=margins)
    for ax, name, label in zip(
        panels, ("p_lens", "anomaly"), ("lens probability p_lens", "anomaly"), strict=True
    ):
        values = np.asarray(catalog[name], "f8")  # `LEAST_P_LENS` in 4 bytes is below the first bin
        values = values[np.isfinite(values)]
        if not len(values):
            return None
        edges = 40
        if name == "p_lens":
            edges, values = np.geomspace(LEAST_P_LENS, 1, 41), np.maximum(values, LEAST_P_LENS)
            log_scale(ax, "x")
        ax.hist(values, edges, color=COLOURS[0])
        log_scale(ax, "y")
        ax.set_ylim(bottom=0.6)
        ax.set_xlabel(label)
        ax.set_ylabel("sources")
        ax.grid(alpha=0.3)
    return figure


def _brightness(catalog):
    """Magnitudes (n, band); or log10 of the flux where there are none, and then False."""
    mag = _columns(catalog, "mag")
    if np.isfinite(mag).any() or not len(mag):
        return mag, True
    flux = _columns(catalog, "flux")
    return np.log10(np.where(flux > 0, flux, np.nan)), False


def _columns(catalog, name):
    """Values (n, band) of a column."""
    values = np.asarray(catalog[name], "f8")
    return values if values.ndim == 2 else values[:, None]


def _mag_error(snr):
    """Error of a magnitude of the given S/N; and the other way round."""
    return 2.5 / np.log(10) / np.maximum(snr, 1e-9)


def panel(size=SIZE):
    """Make a figure of `size` [inch] with one axes.

    Its margins are fixed: to fit them to the labels draws everything twice.
    """
    figure = Figure(figsize=size)
    ax = figure.subplots()
    figure.subplots_adjust(**MARGINS)
    ax.grid(alpha=0.3)
    return figure, ax


def log_scale(ax, which, ticks=(1,)):
    """Make the axis "x" or "y" logarithmic, with plain numbers, which are quicker than powers.

    Each decade is labelled at these `ticks`.
    """
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=ticks))
    _plain_numbers(axis)


def _plain_numbers(axis):
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
