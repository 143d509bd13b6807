"""Figure of the selection function."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.report.figures import COLOURS, FEW_DECADES, log_scale

LABELS = {
    "theta_e": "Einstein radius [arcsec]",
    "arc_mag": "magnitude of the arcs [AB]",
    "arc_snr": "S/N of the arcs",
    "deflector_mag": "magnitude of the galaxy [AB]",
    "deflector_snr": "S/N of the galaxy",
}
LINEAR = "arc_mag", "deflector_mag"


def selection_figure(table):
    """Draw completeness against Einstein radius, arcs and galaxies, with 68 % intervals.

    Parameters
    ----------
    table : Table
        Of `pipeline.injection.selection.selection`.

    Returns
    -------
    Figure
    """
    kinds = set(np.asarray(table["kind"]))
    brightness = "mag" if "arc_mag" in kinds else "snr"
    drawn = "theta_e", f"arc_{brightness}", f"deflector_{brightness}"
    figure = Figure(figsize=(10.4, 8))
    margins = {"left": 0.075, "right": 0.98, "bottom": 0.07, "top": 0.91}
    panels = figure.subplots(2, 2, gridspec_kw={**margins, "wspace": 0.2, "hspace": 0.24})
    control = _rows(table, "no arcs")
    for ax, name in zip(panels.flat, drawn, strict=False):
        _curve(ax, _rows(table, name), name)
        for row in control:
            ax.axhline(
                row["share"],
                color=COLOURS[1],
                lw=1,
                ls="--",
                label="galaxies without arcs, left out",
            )
        ax.legend(fontsize=8, loc="best")
    kind = "theta_e x arc_mag" if brightness == "mag" else "theta_e x arc_snr"
    _plane(panels[1, 1], _rows(table, kind), f"arc_{brightness}")
    figure.suptitle(_title(table, control), fontsize=11)
    return figure


def _rows(table, kind):
    return table[np.asarray(table["kind"]) == kind]


def _title(table, control):
    """What was done, and what came of it, in two lines."""
    everything = _rows(table, "all")
    which = "galaxies that it did not learn from" if table.meta.get("HELDOUT") else "galaxies"
    if not len(control):
        return f"No {which} are bright and large enough for arcs to be painted onto them"
    passing, galaxies = int(control["n_found"][0]), int(control["n"][0])
    threshold = table.meta["PLENSMIN"]
    false = f"{passing} of {galaxies} {which} pass without arcs, and are left out"
    if not len(everything):
        return f"{false}: none is left at p_lens > {threshold:.3g}"
    n, share = int(everything["n"][0]), float(everything["share"][0])
    return f"{n} sets of arcs, {share:.0%} of them found at p_lens > {threshold:.3g}\n{false}"


def _curve(ax, rows, name):
    """Completeness in bins of one quantity."""
    low, high = (np.asarray(rows[f"{name}_{end}"]) for end in ("low", "high"))
    least, most = _shown(low, high)
    middle = (least + most) / 2 if name in LINEAR else np.sqrt(least * most)
    share = np.asarray(rows["share"])
    error = share - np.asarray(rows["share_low"]), np.asarray(rows["share_high"]) - share
    style = {"fmt": "o", "ms": 4, "lw": 1.2, "color": COLOURS[0], "label": "with arcs"}
    ax.errorbar(middle, share, np.clip(error, 0, None), [middle - least, most - middle], **style)
    if name not in LINEAR and len(rows):
        log_scale(ax, "x", FEW_DECADES)
    ax.set(xlabel=LABELS[name], ylabel="share found", ylim=(-0.03, 1.03))
    ax.grid(alpha=0.3)


def _shown(low, high):
    """Limits of bins as drawn: none goes to 0 or to infinity."""
    high = np.where(np.isfinite(high), high, 2 * low)
    return np.where(low > 0, low, high / 2), high


def _plane(ax, rows, name):
    """Completeness in bins of the Einstein radius and the arcs' brightness."""
    ax.set(xlabel=LABELS["theta_e"], ylabel=LABELS[name])
    if not len(rows):
        return
    x0, x1, y0, y1 = (
        np.asarray(rows[f"{q}_{end}"]) for q in ("theta_e", name) for end in ("low", "high")
    )
    y0, y1 = _shown(y0, y1)
    xs, ys = np.unique([x0, x1]), np.unique([y0, y1])
    plane = np.full((len(ys) - 1, len(xs) - 1), np.nan)
    for a, b, share in zip(x0, y0, np.asarray(rows["share"]), strict=True):
        plane[np.searchsorted(ys, b), np.searchsorted(xs, a)] = share
    drawn = ax.pcolormesh(xs, ys, plane, cmap="viridis", vmin=0, vmax=1)
    log_scale(ax, "x", FEW_DECADES)
    if name not in LINEAR:
        log_scale(ax, "y")
    ax.figure.colorbar(drawn, ax=ax, label="share found")
