"""How well the lens finder does, in numbers."""

from itertools import pairwise

import numpy as np

from pipeline.models import metrics
from pipeline.models.binned import bootstrap, share

FALSE_POSITIVE_RATES = 1e-2, 1e-3, 1e-4
EINSTEIN_RADII = 0.3, 0.5, 0.8, 1.2, 1.8, 3.0  # arcsec
IN_PSF_WIDTHS = 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 40.0  # the same
RATES = np.logspace(-4, 0, 33)[:-1]  # of false positives, of the ROC curve
ARC_SNRS = 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 1e5
CLEAR = 0.8, 20.0  # Einstein radius [arcsec] and S/N of arcs that anyone would see
ENOUGH = 10  # non-lenses above a threshold that is measured, or in a tail, at least
TAIL = 0.05  # share of the non-lenses that an extrapolated threshold rests on


def threshold_at(logit, rate):
    """Value that a share `rate` of non-lenses exceed.

    It is their quantile where `ENOUGH` of them or more lie above it.  Where there are too
    few, it is extrapolated from the highest `TAIL` of them (`ENOUGH` at least, a third at most, for
    the rest is no tail), taken for the tail of a logistic, as that of a logit is, or for any that
    becomes exponential (Pickands 1975, Ann. Statist. 3, 119, of shape 0).  A logistic of scale s
    exceeds what a share p is above by -s ln(1 - p) / p on average.  From k such excesses the
    distance of the threshold from that value is known to 1 / sqrt(k), if the tail goes on as it
    begins, which nothing in the sample can say.

    Parameters
    ----------
    logit : ndarray, (n,)
        Of non-lenses; not empty.
    rate : float

    Returns
    -------
    float
    """
    ranked = np.sort(np.asarray(logit, "f8"))
    n = len(ranked)
    k = min(max(round(TAIL * n), ENOUGH), n // 3)
    if rate * n >= min(k, ENOUGH):
        return float(np.quantile(ranked, 1 - rate))
    start, highest, share = ranked[n - k - 1], ranked[n - k :], k / n
    scale = np.mean(highest - start) * share / -np.log1p(-share)
    return float(start + scale * np.log(share / (1 - share) * (1 - rate) / rate))


def recall_at(p_lens, is_lens, rate):
    """Share of lenses above all but a share `rate` of the others, as of `found_before`.

    None where there are no lenses or fewer than ``1 / rate`` others, for the rate cannot be
    measured then.
    """
    n_others = np.sum(~is_lens)
    if rate * n_others < 1 or not is_lens.any():
        return None
    return found_before(p_lens, is_lens, int(rate * n_others))


def recall_before(p_lens, is_lens, n_false):
    """Share of lenses found with fewer than `n_false` false positives, as of `found_before`.

    None where there are no lenses or fewer than `n_false` others.
    TPR0 and TPR10 of Metcalf et al. (2019, A&A 625, A119) are those of 1 and of 10, of a set of
    100,000; they fall with the number of others.
    """
    if np.sum(~is_lens) < n_false or not is_lens.any():
        return None
    return found_before(p_lens, is_lens, n_false - 1)


def found_before(score, is_lens, n_false):
    """Share of the lenses that score above all but `n_false` of the others, with its error.

    Had the sample been another, the score that `n_false` of the others exceed would be that which
    by a factor of about exp(1 / sqrt(n_false + 1)) more or fewer exceed in this one: the error is
    half of what that makes of the share, together with the lenses' own.  (For logistic scores it
    is right within a third, and half too large where none is false.)

    Returns
    -------
    dict
        ``value``, ``error`` and ``n``, the number of lenses.
    """
    lenses, others = score[is_lens], np.sort(score[~is_lens])[::-1]
    found = share(lenses > (others[n_false] if n_false < len(others) else -np.inf))
    factor, ranks = np.exp((n_false + 1) ** -0.5), np.arange(len(others))
    most, least = (n_false + 1) * factor - 1, (n_false + 1) / factor - 1
    above = [np.mean(lenses > np.interp(rank, ranks, others)) for rank in (most, least)]
    spread = (above[0] - above[1]) / 2 if least >= 0 else above[0] - found["value"]
    return found | {"error": float(np.hypot(found["error"], spread))}


def completeness(is_found, value, edges):
    """Share of lenses found in bins of a value, each with its standard error.

    Returns
    -------
    list of dict
        ``from``, ``to``, ``n``, ``recall`` and ``error``; bins without lenses are left out.
    """
    rows = []
    for low, high in pairwise(edges):
        inside = (value >= low) & (value < high)
        if inside.any():
            found = share(is_found[inside])
            said = {"n": found["n"], "recall": found["value"], "error": found["error"]}
            rows.append({"from": low, "to": high, **said})
    return rows


def score(logit, p_lens, stamps, truth):
    """All scores of the lens finder.

    Parameters
    ----------
    logit, p_lens : ndarray, (n,)
        The network's logit, and the calibrated probability at the set's own prevalence.
    stamps : ndarray, (n, y, x, 2)
        Flux and ivar.
    truth : Table
        As `pipeline.scenes.lenses.draw_batch` has it.

    Returns
    -------
    dict
        Numbers, each with its error as `pipeline.models.binned.bootstrap` gives it, None where they
        cannot be measured; and lists of `completeness` at a false-positive rate of 1e-2.
    """
    is_lens = np.asarray(truth["is_lens"], bool)
    radius, snr = (np.asarray(truth[name], "f8") for name in ("theta_e", "arc_snr"))
    said = {"n_lenses": int(is_lens.sum()), "n_others": int((~is_lens).sum())}
    said["auroc"] = bootstrap(metrics.roc_auc, logit, is_lens)
    for name, alone in {
        "snr": truth["snr"],
        "size": truth["re"],
        "brightness": brightness(stamps),
    }.items():
        said[f"auroc_of_{name}_alone"] = bootstrap(metrics.roc_auc, alone, is_lens)
    for rate in FALSE_POSITIVE_RATES:
        said[f"recall_at_fpr_{rate:.4f}".rstrip("0")] = recall_at(logit, is_lens, rate)
    kept = ~is_lens | ((radius > CLEAR[0]) & (snr > CLEAR[1]))
    clear = recall_at(logit[kept], is_lens[kept], FALSE_POSITIVE_RATES[0])
    said["recall_of_clear_arcs_at_fpr_0.01"] = clear
    said["roc"] = {"all": roc(logit, is_lens), "clear": roc(logit[kept], is_lens[kept])}
    said["tpr0"], said["tpr10"] = (recall_before(logit, is_lens, n) for n in (1, 10))
    said["calibration_error"] = bootstrap(metrics.calibration_error, p_lens, is_lens)
    said["reliability"] = metrics.diagram(p_lens, is_lens)
    said["log_loss"] = bootstrap(log_loss, p_lens, is_lens)
    constant = np.full(len(is_lens), is_lens.mean())
    said["log_loss_of_a_constant"] = bootstrap(log_loss, constant, is_lens)
    widths = radius / np.asarray(truth["pixel_scale"] * truth["fwhm"], "f8")
    said["completeness_at_fpr_0.01"] = _curves(logit, is_lens, radius, widths, snr)
    seen = np.asarray(truth["rings"], bool)
    said["through_rings"] = _ranked(logit[seen], is_lens[seen])
    kind = np.asarray(truth["kind"])[~is_lens]
    said["false_positives_at_fpr_0.01"] = false_positives(logit[~is_lens], kind)
    return said


def _ranked(logit, is_lens):
    """How well some of the stamps are told apart, by a threshold of their own."""
    return {
        "auroc": bootstrap(metrics.roc_auc, logit, is_lens),
        "recall_at_fpr_0.01": recall_at(logit, is_lens, FALSE_POSITIVE_RATES[0]),
    }


def false_positives(logit, kind):
    """What passes for a lens: of each kind of non-lenses, the share above a rate of 1e-2.

    Returns
    -------
    dict
        Of each kind ``share``, ``error`` and ``n``; a share above that is of a kind that is
        harder than the others.
    """
    if not len(logit):
        return {}
    is_found, rows = logit > _highest_but(logit, int(1e-2 * len(logit))), {}
    for name in sorted(set(kind)):
        found = share(is_found[kind == name])
        rows[str(name)] = {"share": found["value"], "error": found["error"], "n": found["n"]}
    return rows


def log_loss(p, truth):
    """Mean cross-entropy of probabilities and what came true [nat]."""
    p = np.clip(np.asarray(p, "f8"), 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(truth, np.log(p), np.log1p(-p))))


def brightness(stamps):
    """Flux in the middle quarter of each stamp, in units of its noise; (n,)."""
    flux, ivar = np.moveaxis(np.asarray(stamps), -1, 0)
    quarter = flux.shape[1] * 3 // 8
    middle = np.s_[:, quarter : flux.shape[1] - quarter, quarter : flux.shape[2] - quarter]
    weight = np.sqrt(np.median(ivar, axis=(1, 2)))
    return flux[middle].sum((1, 2)) * weight


def roc(logit, is_lens):
    """Share of lenses found at each of `RATES` that can be measured.

    Returns
    -------
    dict of list
        ``fpr`` and ``tpr``.
    """
    found = [(float(rate), recall_at(logit, is_lens, rate)) for rate in RATES]
    measured = [(rate, recall["value"]) for rate, recall in found if recall]
    return {"fpr": [rate for rate, _ in measured], "tpr": [recall for _, recall in measured]}


def _curves(logit, is_lens, radius, widths, snr):
    """Completeness against Einstein radius and arc S/N, at a false-positive rate of 1e-2.

    `radius` is in arcsec, `widths` is the same in widths of the PSF.
    """
    others = logit[~is_lens]
    if not (len(others) and is_lens.any()):
        return {}
    is_found = logit[is_lens] > _highest_but(others, int(1e-2 * len(others)))
    return {
        "einstein_radius_arcsec": completeness(is_found, radius[is_lens], EINSTEIN_RADII),
        "einstein_radius_fwhm": completeness(is_found, widths[is_lens], IN_PSF_WIDTHS),
        "arc_snr": completeness(is_found, snr[is_lens], ARC_SNRS),
    }


def _highest_but(values, n):
    """Value that `n` of the values exceed, or fewer where some are equal."""
    return np.partition(values, len(values) - 1 - n)[len(values) - 1 - n]
