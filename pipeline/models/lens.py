"""Is there a strong lens in the stamp?"""

import numpy as np
from astropy.table import Table
from scipy.optimize import minimize
from scipy.special import expit, logit

from pipeline.models import metrics
from pipeline.models.stamps import one_band

KIND = "lenses"


def target(stamps, truth, light=None):
    """1 for a lens, 0 for anything else; (n, 1)."""
    return np.asarray(truth["is_lens"], "f4")[:, None]


def inputs(cutouts, networks=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def calibrate(network, stamps, truth):
    """Scale and shift of the mean logit that make it a probability (Platt 1999), on validation."""
    mean = network("main", stamps).mean(1)
    said = np.asarray(truth["is_lens"], float)

    def loss(parameters):
        z = parameters[0] * mean + parameters[1]
        return np.mean(np.logaddexp(0, z) - said * z)

    scale, shift = minimize(loss, [1.0, 0.0]).x
    found = {"scale": float(scale), "shift": float(shift), "prevalence": float(said.mean())}
    return {"calibration": found}


def apply(network, cutouts, settings):
    """Score the stamps.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    settings : pipeline.config.Lens
        The prevalence for which the probability is meant (Saerens et al. 2002, eq. 4).

    Returns
    -------
    Table
        ``id``, ``p_lens``, and ``p_lens_std``, the spread of the members' probabilities.
    """
    found = network.card["calibration"]
    logits = network("main", inputs(cutouts))
    shift = found["shift"] + logit(settings.prevalence) - logit(found["prevalence"])
    members = expit(found["scale"] * logits + shift)
    p_lens = expit(found["scale"] * logits.mean(1) + shift)
    return Table({"id": cutouts.id, "p_lens": p_lens, "p_lens_std": members.std(1)})


def score(network, stamps, truth, light=None):
    """Area under the ROC curve, recall at low false-positive rates, calibration error."""
    found = network.card["calibration"]
    logits = network("main", stamps).mean(1)
    p_lens = expit(found["scale"] * logits + found["shift"])
    is_lens = np.asarray(truth["is_lens"], bool)
    clear = is_lens & (np.asarray(truth["arc_snr"]) > 20) & (np.asarray(truth["theta_e"]) > 0.8)
    cut = np.quantile(p_lens[~is_lens], 0.99)
    return {
        "auroc": metrics.roc_auc(p_lens, is_lens),
        "auroc_of_snr_alone": metrics.roc_auc(np.asarray(truth["snr"]), is_lens),
        "auroc_of_size_alone": metrics.roc_auc(np.asarray(truth["re"]), is_lens),
        "recall_at_fpr_0.01": float(np.mean(p_lens[is_lens] > cut)),
        "recall_of_clear_arcs_at_fpr_0.01": float(np.mean(p_lens[clear] > cut)),
        "calibration_error": metrics.calibration_error(p_lens, is_lens),
    }
