"""Figures of the scores on the test sets, with what others do in the same axes."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.report.figures import COLOURS, FEW_DECADES, log_scale

LABELS = {"arclet": "arclet", "sep": "SEP", "photutils": "photutils", "oracle": "hard partition"}
CONDITIONS = {
    "separation_fwhm": "distance of the neighbour [FWHM]",
    "snr": "S/N of the target",
    "delta_m": "neighbour fainter by [mag]",
    "crowding": "sources in the stamp",
}
NUMBERS = {
    "iou_target": ("IoU of the target's mask", 0.0, 1.0),
    "median_dm": ("median Δm [mag]", -0.5, 0.5),
    "nmad_dm": ("NMAD of Δm [mag]", 0.0, 1.0),
    "coverage_68": ("coverage of 68 %", 0.4, 0.9),
}
LENSES = {
    "einstein_radius_arcsec": "Einstein radius [arcsec]",
    "einstein_radius_fwhm": "Einstein radius [FWHM of the PSF]",
    "arc_snr": "S/N of the arcs",
}
LENSES_DRAWN = {"all": "all lenses", "clear": 'arcs of S/N > 20, Einstein radius > 0.8"'}
LOGARITHMIC = "separation_fwhm", "snr", *LENSES
WIDEST = 2.0  # ratio, or difference, of the ends of a bin without end


def deblending_figure(bins):
    """Draw mask and flux errors against what makes deblending hard.

    Parameters
    ----------
    bins : dict of dict
        Of each method of `LABELS` the numbers of `pipeline.models.binned.by_condition`.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(13, 11), layout="constrained")
    axes = figure.subplots(len(NUMBERS), len(CONDITIONS), sharex="col", sharey="row")
    for line, (number, (says, low, high)) in zip(axes, NUMBERS.items(), strict=True):
        for ax, condition in zip(line, CONDITIONS, strict=True):
            for colour, (method, label) in zip(COLOURS, LABELS.items(), strict=False):
                rows = bins.get(method, {}).get(number, {}).get(condition, [])
                _curve(ax, rows, condition, {"color": colour, "label": label})
            ax.grid(alpha=0.3)
        line[0].set(ylabel=says, ylim=(low, high))
    for level, line in ((0.0, axes[1]), (0.68, axes[3])):
        for ax in line:
            ax.axhline(level, color="0.5", lw=0.8)
    for ax, (condition, says) in zip(axes[-1], CONDITIONS.items(), strict=True):
        ax.set_xlabel(says)
        if condition in LOGARITHMIC and ax.lines:
            log_scale(ax, "x", FEW_DECADES)
    axes[0, 0].legend(fontsize=8)
    return figure


def _curve(ax, rows, condition, style):
    """A point a bin, with its error."""
    if rows:
        middle = [_middle(row["low"], row["high"], condition) for row in rows]
        value, error = ([row[name] for row in rows] for name in ("value", "error"))
        ax.errorbar(middle, value, error, fmt="o-", ms=3, lw=1, capsize=2, **style)


def _middle(low, high, condition):
    """Where a bin is drawn: its middle, geometric on a logarithmic axis."""
    if condition in LOGARITHMIC:
        high = WIDEST * low if high is None else high
        return np.sqrt(low * high) if low else high / 2
    low = high - WIDEST if low is None else low
    return (low + (low + WIDEST if high is None else high)) / 2


def reliability_figure(said):
    """Draw how often pixels are the source's against what the probabilistic U-Net states.

    Parameters
    ----------
    said : dict
        Scores of `pipeline.models.punet.score`.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    ax = figure.subplots()
    _reliability(ax, said["reliability"], said["calibration_error_on_union"]["value"])
    ax.set_ylabel("share of the pixels that are the source's")
    return figure


def _reliability(ax, points, error):
    ax.plot([0, 1], [0, 1], color="0.6", lw=0.8)
    label = f"calibration error {error:.3f}"
    ax.plot(points["stated"], points["found"], "o-", ms=3.5, color=COLOURS[0], label=label)
    ax.set_xlabel("probability stated")
    ax.legend(frameon=False, fontsize=8)


def lens_figure(said):
    """Draw how many lenses are found, what passes for one, and how far p_lens holds.

    Parameters
    ----------
    said : dict
        Scores of `pipeline.models.lens_scores.score`.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(14, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    found = said["completeness_at_fpr_0.01"]
    for ax, (name, says) in zip(axes[0], LENSES.items(), strict=True):
        rows = [_bin(row) for row in found.get(name, [])]
        _curve(ax, rows, name, {"color": COLOURS[0]})
        ax.set(xlabel=says, ylabel="share found at 1 % false positives", ylim=(0, 1))
        ax.grid(alpha=0.3)
        if rows:
            log_scale(ax, "x", FEW_DECADES)
    _roc(axes[1, 0], said["roc"])
    _kinds(axes[1, 1], said.get("false_positives_at_fpr_0.01", {}))
    _reliability(axes[1, 2], said["reliability"], said["calibration_error"]["value"])
    axes[1, 2].set_ylabel("share of the stamps that are lenses")
    return figure


def _roc(ax, curves):
    """How many lenses are found at which rate of false positives."""
    for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
        ax.plot(curve["fpr"], curve["tpr"], color=colour, label=LENSES_DRAWN[name])
    ax.set(xlabel="false-positive rate", ylabel="share of lenses found", ylim=(0, 1))
    log_scale(ax, "x")
    ax.set_xlim(right=1)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=8, loc="lower right")


def _kinds(ax, kinds):
    """What passes for a lens at 1 % false positives."""
    share, error = ([kind[key] for kind in kinds.values()] for key in ("share", "error"))
    ax.barh(list(kinds), share, xerr=error, color=COLOURS[1], capsize=2)
    ax.axvline(0.01, color="0.5", lw=0.8)
    ax.set(xlabel="share of each kind that passes for a lens", xlim=(0, None))


def _bin(row):
    """A row of completeness as `_curve` takes it; the last bin is wider than it is drawn."""
    high = min(row["to"], WIDEST**2 * row["from"])
    return {"low": row["from"], "high": high, "value": row["recall"], "error": row["error"]}
