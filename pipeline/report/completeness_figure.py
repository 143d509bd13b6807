"""Figure of completeness, fluxes and intervals, of galaxies painted onto a survey."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.report.figures import COLOURS, FEW_DECADES, log_scale

LABELS = {
    "true_mag": "magnitude [AB]",
    "true_snr": "S/N",
    "neighbour": "distance of the nearest source [PSF widths]",
    "size": "half-light radius [PSF widths]",
}
LEAST = 10  # galaxies of a bin whose fluxes are drawn
COVERED, BEYOND = 0.68, 1.6  # what intervals are to hold; a last, open bin's end over its start


def completeness_figure(table):
    """Draw completeness, errors of fluxes and coverage against brightness and the next source.

    Parameters
    ----------
    table : Table
        Of `pipeline.injection.completeness.completeness`.

    Returns
    -------
    Figure
    """
    kinds = np.asarray(table["kind"])
    brightness = "true_mag" if "true_mag" in kinds else "true_snr"
    figure = Figure(figsize=(13.6, 8))
    margins = {"left": 0.06, "right": 0.985, "bottom": 0.075, "top": 0.905}
    panels = figure.subplots(2, 3, gridspec_kw={**margins, "wspace": 0.22, "hspace": 0.25})
    for row, quantity in zip(panels, (brightness, "neighbour"), strict=True):
        rows = table[kinds == quantity]
        _complete(row[0], rows, quantity)
        _fluxes(row[1], rows[np.asarray(rows["n_clean"]) >= LEAST], quantity)
        _coverage(row[2], rows[np.asarray(rows["n_clean"]) >= LEAST], quantity)
    _by_size(panels[0, 0], table[kinds == f"{brightness} x size"], brightness)
    figure.suptitle(_title(table[kinds == "all"], table.meta.get("DEPTH50")), fontsize=11)
    return figure


def _title(everything, depth):
    """What was done, and what came of it, in two lines."""
    if not len(everything):
        return "No galaxy was painted: no tile has a PSF and observed sky"
    row = {name: everything[name][0] for name in everything.colnames}
    half = f", half of those of magnitude {depth:.2f}" if depth else ""
    return (
        f"{row['n']} galaxies painted onto the tiles, {row['completeness']:.1%} detected{half}\n"
        f"of {row['n_clean']} without the flag of a defect: median Δm {row['median_dm']:+.3f} ± "
        f"{row['median_dm_err']:.3f} mag; {row['coverage_68']:.1%} ± "
        f"{row['coverage_68_err']:.1%} of the 68 % intervals hold the truth"
    )


def _complete(ax, rows, quantity):
    _points(ax, rows, quantity, "completeness", "all sizes")
    ax.set(ylabel="share detected", ylim=(-0.03, 1.03))


def _by_size(ax, rows, brightness):
    """Completeness of each size, as lines."""
    sizes = np.unique(np.asarray(rows["size_low"]))
    for i, low in enumerate(sizes):
        some = rows[np.asarray(rows["size_low"]) == low]
        label = f"{low:.2g} to {some['size_high'][0]:.2g} PSF widths"
        style = {"lw": 1, "color": COLOURS[1 + i % 5], "label": label}
        ax.plot(_middle(some, brightness)[0], some["completeness"], **style)
    ax.legend(fontsize=8, loc="best", title="half-light radius", title_fontsize=8)


def _fluxes(ax, rows, quantity):
    middle, _ = _middle(rows, quantity)
    dm, nmad = (np.asarray(rows[name]) for name in ("median_dm", "nmad_dm"))
    ax.fill_between(middle, dm - nmad, dm + nmad, color=COLOURS[0], alpha=0.15, lw=0, label="NMAD")
    _points(ax, rows, quantity, "median_dm", "flux_p50, the total")
    style = {"color": COLOURS[1], "lw": 1, "ls": "--", "label": "flux_auto"}
    ax.plot(middle, rows["median_dm_auto"], **style)
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(ylabel="measured less true magnitude")
    ax.legend(fontsize=8, loc="best")


def _coverage(ax, rows, quantity):
    _points(ax, rows, quantity, "coverage_68", "flux_p16 to flux_p84")
    ax.axhline(COVERED, color="0.3", lw=0.8, ls="--")
    ax.set(ylabel="share of intervals that hold the truth", ylim=(0, 1.03))
    ax.legend(fontsize=8, loc="best")


def _points(ax, rows, quantity, name, label):
    """Draw one number in bins of a quantity, with errors."""
    middle, reach = _middle(rows, quantity)
    style = {"fmt": "o", "ms": 4, "lw": 1.2, "color": COLOURS[0], "label": label}
    ax.errorbar(middle, rows[name], rows[f"{name}_err"], reach, **style)
    if quantity == "true_snr" and len(rows):
        log_scale(ax, "x", FEW_DECADES)
    ax.set(xlabel=LABELS[quantity])
    ax.grid(alpha=0.3)


def _middle(rows, quantity):
    """Where bins are drawn, and how far they reach to both sides; one without end gets one."""
    low, high = (np.asarray(rows[f"{quantity}_{end}"], "f8") for end in ("low", "high"))
    high = np.where(np.isfinite(high), high, BEYOND * low)
    middle = np.sqrt(low * high) if quantity == "true_snr" else (low + high) / 2
    return middle, np.stack([middle - low, high - middle])
