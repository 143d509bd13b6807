"""Figures of what was measured, the peers in the same axes."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from benchmarks.external.scores import LEAST_FLUX
from pipeline.models import metrics
from pipeline.models.binned import bootstrap, in_bins, share
from pipeline.report.figures import FEW_DECADES, log_scale

LABELS = {
    "given": "arclet, positions given",
    "own": "arclet, own detection",
    "sep": "SEP",
    "photutils": "photutils",
    "oracle": "oracle hard partition",
    "best": "hard partition of the best masks",
}
COLOURS = dict(zip(LABELS, ("C0", "C9", "C1", "C2", "0.5", "0.75"), strict=True))
SEPARATIONS = 1.0, 1.5, 2.0, 2.5, 3.0, 4.0  # larger half-light radii
DEPTHS = 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0  # S/N of a galaxy
DIFFERENCES = -2.0, -1.2, -0.4, 0.4, 1.2, 2.0  # how much fainter the other galaxy is [mag]
LEAST = 10


def by_condition(pairs, matched):
    """Draw mask and flux of each method against separation, S/N and difference of magnitudes.

    Parameters
    ----------
    pairs : Pairs
    matched : dict of Matched
        With the keys of `LABELS`.

    Returns
    -------
    Figure
        Four rows: intersection over union (missed = 0), median and scatter of the flux's error
        [mag], and coverage of the 68 % interval.
    """
    figure = Figure((12, 12), layout="constrained")
    axes = figure.subplots(4, 3, sharex="col", sharey="row")
    for column, (name, by, edges) in zip(axes.T, _conditions(pairs), strict=True):
        for method, found in matched.items():
            for axis, (statistic, values) in zip(column, _rows(found), strict=True):
                good, number = np.isfinite(values), partial(bootstrap, statistic, n_draws=50)
                rows = in_bins(number, [values[good]], by[good], edges)
                _points(axis, rows, method)
        column[-1].set_xlabel(name)
        column[-1].axhline(0.68, color="0.7", lw=0.8)
        column[1].axhline(0, color="0.7", lw=0.8)
        if name.startswith("S/N"):
            log_scale(column[-1], "x", FEW_DECADES)
    says = "IoU, missed = 0", "median Δm [mag]", "NMAD of Δm [mag]", "coverage of 68 %"
    for axis, label in zip(axes[:, 0], says, strict=True):
        axis.set_ylabel(label)
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(fontsize="small")
    return figure


def _conditions(pairs):
    """Name, value of each galaxy (n, 2) and bins of what makes a pair hard."""
    separation = pairs.separation[:, None] / pairs.re.max(1, keepdims=True)
    fainter = pairs.mag[:, ::-1] - pairs.mag
    return (
        ("separation / larger Re", np.repeat(separation, 2, axis=1), SEPARATIONS),
        ("S/N of the galaxy", pairs.snr, DEPTHS),
        ("Δm of the other galaxy [mag]", fainter, DIFFERENCES),
    )


def _rows(found):
    """Statistic and values (n, 2) of each row of `by_condition`."""
    dm = -2.5 * np.log10(np.maximum(found.ratio, LEAST_FLUX))
    known = np.isfinite(found.low)
    inside = np.where(known, (found.low <= 1) & (found.high >= 1), np.nan)
    return (np.mean, found.iou), (np.median, dm), (metrics.nmad, dm), (np.mean, inside)


def _points(axis, rows, method):
    if not rows:
        return
    middle = [_middle(row) for row in rows]
    value, error = ([row[k] for row in rows] for k in ("value", "error"))
    style = {"color": COLOURS[method], "label": LABELS[method]}
    axis.errorbar(middle, value, error, fmt="o-", ms=3, lw=1, capsize=2, **style)


def _middle(row):
    low, high = row["low"], row["high"]
    return np.sqrt(low * high) if low >= DEPTHS[0] else (low + high) / 2


def reliability(pixels):
    """Draw the stated against the found probability of the pixels in the masks' union.

    Beside it, how often a pixel is wrong against the spread that the draws have there.

    Parameters
    ----------
    pixels : dict of ndarray, (m,)
        Of `blends.pixels_of`.
    """
    figure = Figure((10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    truth = pixels["is_true"]
    left.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    for name, label in (("unet", "U-Net"), ("punet", "probabilistic U-Net, mean")):
        stated, found, _ = metrics.reliability(pixels[name], truth)
        error = metrics.calibration_error(pixels[name], truth)
        left.plot(stated, found, "o-", ms=3, label=f"{label}: ECE {error:.3f}")
    left.set(xlabel="probability stated", ylabel="share of pixels that are the galaxy's")
    left.legend(fontsize="small")
    wrong = (pixels["punet"] > 0.5) != truth
    spread, found, _ = metrics.reliability(pixels["spread"], wrong)
    auroc = metrics.roc_auc(pixels["spread"], wrong)
    right.plot(spread, found, "o-", ms=3, label=f"AUROC {auroc:.3f}")
    right.set(xlabel="spread of the draws", ylabel="share of pixels wrong")
    right.legend(fontsize="small")
    return figure


def gallery(pairs, painted, ratio, rows):
    """Draw pairs: the image, the two true masks, those found, and their spread.

    Parameters
    ----------
    pairs : Pairs
    painted : dict of ndarray, (row, 2, y, x)
        The ``maps`` of `blends.Said`, of these rows.
    ratio : ndarray, (n, 2)
        Measured over true flux of all pairs.
    rows : sequence of int
        Which pairs.
    """
    figure = Figure((10, 2.05 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 5, squeeze=False)
    for line, k, mean, spread in zip(axes, rows, painted["punet"], painted["spread"], strict=True):
        image = np.arcsinh(pairs.image[k] / pairs.sky / 2)
        masks = np.concatenate([pairs.mask[k], mean > 0.5])
        line[0].imshow(image, cmap="gray_r", origin="lower")
        line[0].plot(*pairs.position[k].T, "+", color="C3", ms=5)
        line[0].set_ylabel(f"Δm {np.diff(pairs.mag[k])[0]:+.1f}", fontsize="small")
        for axis, two in ((line[1], masks[:2]), (line[2], masks[2:])):
            axis.imshow(_two_colours(two), origin="lower")
        for g, axis in enumerate(line[3:]):
            axis.imshow(spread[g], vmin=0, vmax=0.5, origin="lower")
            axis.set_title(f"flux {ratio[k, g]:.2f} of the truth", fontsize="x-small")
    names = "image", "true masks", "masks found", "spread of the first", "of the second"
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(f"{name}\n{axis.get_title()}".strip(), fontsize="small")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure


def _two_colours(masks):
    """Orange, blue, and violet where both are; (y, x, 3)."""
    colours = np.array([[1, 1, 1], [1, 0.6, 0.2], [0.2, 0.5, 1], [0.45, 0.1, 0.5]])
    return colours[masks[0] + 2 * masks[1]]


def injected(measured, mag):
    """Draw true less measured magnitude of the sources in HSC blends, by method.

    Parameters
    ----------
    measured : dict
        Of `hsc.measure`.
    mag : ndarray, (n,)
        True magnitudes.
    """
    figure = Figure((10, 4), layout="constrained")
    names = {"given": "arclet, positions given", "own": "arclet, own detection"}
    names |= {"scarlet": "scarlet", "sep": "SEP AUTO"}
    for axis, (name, label) in zip(figure.subplots(1, 4, sharey=True), names.items(), strict=True):
        dm = measured[name]
        good = np.isfinite(dm)
        scatter, middle = metrics.nmad(dm[good]), np.median(dm[good])
        axis.axhline(0, color="0.7", lw=0.8)
        axis.plot(mag[good], dm[good], ".", ms=4)
        axis.set_title(f"{label}\n{middle:+.3f}, NMAD {scatter:.3f}", fontsize="small")
        axis.set_xlabel("true magnitude")
    figure.axes[0].set(ylim=(-1.2, 1.2), ylabel="true - measured [mag]")
    return figure


def completeness(score, truth, edges):
    """Draw the share of lenses found, at a false-positive rate of 1e-2, and the ROC curve.

    Parameters
    ----------
    score : ndarray, (n,)
    truth : Table
        ``is_lens``, ``theta_e``, ``arc_snr``.
    edges : dict of sequence
        Bins of ``theta_e`` and ``arc_snr``.
    """
    is_lens = np.asarray(truth["is_lens"], bool)
    figure = Figure((12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    hit = score[is_lens] > np.quantile(score[~is_lens], 0.99)
    labels = "Einstein radius [arcsec]", "S/N of the arcs"
    for axis, (name, bins), label in zip(axes, edges.items(), labels, strict=False):
        value = np.asarray(truth[name], "f8")[is_lens]
        for low, high in zip(bins[:-1], bins[1:], strict=True):  # noqa: RUF007
            found = share(hit[(value >= low) & (value < high)])
            if found["n"] >= LEAST:
                middle = np.sqrt(low * min(high, 2 * low))
                axis.errorbar(middle, found["value"], found["error"], fmt="o", color="C0")
        axis.set(xlabel=label, ylabel="completeness at FPR 1e-2", ylim=(0, 1))
        log_scale(axis, "x", FEW_DECADES)
    order = np.argsort(-score)
    false, true = (np.cumsum(k[order]) / k.sum() for k in (~is_lens, is_lens))
    axes[2].plot(np.maximum(false, 0.5 / (~is_lens).sum()), true)
    axes[2].set(xscale="log", xlabel="false-positive rate", ylabel="completeness")
    return figure
