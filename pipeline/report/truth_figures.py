"""Figures of the comparison with the truth."""

import numpy as np

from pipeline.report.figures import COLOURS, log_scale, panel

MEASURED = {
    "delta_auto": ("flux_auto", "^"),
    "delta_flux": ("flux (deblended)", "o"),
    "delta_p50": ("flux_p50 (posterior)", "s"),
}


def completeness_and_purity(scored):
    """Draw completeness against true, and purity against measured magnitude."""
    figure, ax = panel()
    kinds = (
        ("completeness_mag", "galaxies found", "o"),
        ("purity_mag", "sources that are real", "s"),
    )
    for (name, label, marker), colour in zip(kinds, COLOURS, strict=False):
        bins = scored[name]
        rate = np.asarray(bins["rate"])
        bars = [rate - bins["rate_low"], bins["rate_high"] - rate]
        middle = (np.asarray(bins["low"]) + np.asarray(bins["high"])) / 2
        style = {"fmt": f"{marker}-", "ms": 4, "lw": 1, "color": colour, "capsize": 2}
        ax.errorbar(middle, rate, np.clip(bars, 0, 1), label=label, **style)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("magnitude [AB]: true of galaxies, deblended of sources")
    ax.set_ylabel("share (68 % Wilson interval)")
    ax.legend(fontsize=8, loc="lower left")
    return figure


def positions(pairs):
    """Draw measured less true positions of the galaxies that are alone, above S/N 10."""
    near = pairs[pairs["alone"]]
    if not len(near):
        return None
    figure, ax = panel((5.2, 4.2))
    east, north = np.asarray(near["ra_offset"]), np.asarray(near["dec_offset"])
    colours = np.log10(near["snr"])
    points = ax.scatter(east, north, s=4, c=colours, cmap="viridis", lw=0, rasterized=True)
    bar = figure.colorbar(points, ax=ax, label="log10 S/N", shrink=0.75)
    bar.ax.tick_params(labelsize=8)
    radius = float(np.median(np.hypot(east, north)))
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = radius * np.cos(angle), radius * np.sin(angle)
    ax.plot(*circle, color=COLOURS[1], lw=1.5, label=f'median {radius:.3f}"')
    reach = max(1.05 * float(np.quantile(np.hypot(east, north), 0.99)), 0.01)
    ax.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal")
    ax.set_xlabel("offset to the east [arcsec]")
    ax.set_ylabel("offset to the north [arcsec]")
    ax.legend(fontsize=8)
    return figure


def flux_residuals(pairs):
    """Draw measured less true magnitude, median and 68 % of each magnitude, of what was found."""
    figure, ax = panel()
    pairs = pairs[pairs["clean"]]
    mag = np.asarray(pairs["mag"])
    if not len(mag):
        return None
    edges = np.arange(np.floor(mag.min()), mag.max() + 1)
    for i, (name, (label, marker)) in enumerate(MEASURED.items()):
        delta, rows = np.asarray(pairs[name]), []
        for low in edges:
            inside = delta[(mag >= low) & (mag < low + 1) & np.isfinite(delta)]
            if len(inside) > 4:
                rows.append((low + 0.5, *np.quantile(inside, [0.16, 0.5, 0.84])))
        if rows:
            x, p16, p50, p84 = np.transpose(rows)
            x = x + 0.08 * (i - 1)
            style = {"fmt": f"{marker}-", "ms": 4, "lw": 1, "color": COLOURS[i], "capsize": 2}
            ax.errorbar(x, p50, [p50 - p16, p84 - p50], label=label, **style)
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set_ylim(-0.8, 0.8)
    ax.set_xlabel("true magnitude [AB]")
    ax.set_ylabel("measured − true magnitude")
    if ax.containers:
        ax.legend(fontsize=8)
    return figure


def roc(curve):
    """Draw the recall of the lenses against the false-positive rate."""
    figure, ax = panel((4.6, 3.9))
    floor = 0.5 / curve["n_others"]
    false = np.maximum(curve["false_rate"], floor)
    ax.plot(false, curve["recall"], drawstyle="steps-post", color=COLOURS[0], lw=1.8)
    ax.plot(np.geomspace(floor, 1, 50), np.geomspace(floor, 1, 50), color="0.5", lw=0.8, ls="--")
    log_scale(ax, "x")
    ax.set(xlim=(floor, 1), ylim=(0, 1.03))
    ax.set_xlabel("false-positive rate")
    ax.set_ylabel("recall of simulated lenses")
    ax.set_title(
        f"AUROC {curve['auroc']:.4f}: {curve['n_lenses']} lenses, {curve['n_others']} others",
        fontsize=9,
    )
    return figure
