"""Is there a strong lens in the stamp?"""

import numpy as np
from astropy.table import Table
from scipy.special import expit, logit

from pipeline.models import lens_scores, metrics
from pipeline.models.stamps import WITH_COMPANIONS, one_band, see, turned  # noqa: F401

KIND = "lenses"
FALSE_POSITIVE_RATE = 1e-3  # at which the threshold is set
FAINTEST = 16.0  # S/N of the galaxies in training: no fainter one was a lens
STEEP = 4  # power of the S/N by which the odds of fainter ones fall
BATCH = 256  # stamps of which the polar samples are in memory at once


def target(stamps, truth, light=None):
    """1 for a lens, 0 for anything else; (n, 1)."""
    return stamps.__array_namespace__().asarray(truth["is_lens"], dtype="f4")[:, None]


def inputs(cutouts, networks=None, companions=None):
    """What the network sees of the stamps: the detection band; (n, y, x, 2)."""
    return one_band(cutouts, cutouts.reference)


def logits(network, stamps):
    """Ask every member of the ensemble; (n, member)."""
    planes = np.moveaxis(stamps, -1, 1)
    parts = [
        network("main", network("polar", planes[start : start + BATCH]))
        for start in range(0, max(len(stamps), 1), BATCH)
    ]
    return np.concatenate(parts)


def calibrate(network, stamps, truth, light=None):
    """Make a probability of the mean logit, on validation, and set the threshold.

    Scale and shift are those of Platt (1999), towards his targets: of n lenses (n + 1) / (n + 2)
    instead of 1, of n others 1 / (n + 2) instead of 0, so that no certainty comes of few.  The
    threshold is the ``p_lens``, at balanced classes, which a share `FALSE_POSITIVE_RATE` of the
    non-lenses exceed: their quantile if there are 10,000 of them or more; from fewer, an
    extrapolation of the logit's tail, see `pipeline.models.lens_scores.threshold_at`.

    Returns
    -------
    dict
        ``calibration``: ``scale``, ``shift`` (at the ``prevalence`` of the set), ``threshold``,
        and of how many ``non_lenses`` that is.

    Raises
    ------
    ValueError
        If all are lenses, or none is.
    """
    said = np.asarray(truth["is_lens"], float)
    n_lenses, n_others = said.sum(), (1 - said).sum()
    if not (n_lenses and n_others):
        raise ValueError(
            f"{n_lenses:.0f} of the {len(said)} stamps of validation are lenses: p_lens cannot be "
            "calibrated without some that are and some that are not; raise scenes.lenses"
        )
    mean = logits(network, stamps).mean(1)
    targets = np.where(said, (n_lenses + 1) / (n_lenses + 2), 1 / (n_others + 2))
    scale, shift = metrics.log_odds_line(mean, targets)
    prevalence, others = float(said.mean()), scale * mean[said == 0] + shift
    cut = lens_scores.threshold_at(others, FALSE_POSITIVE_RATE)
    found = {"scale": float(scale), "shift": float(shift), "prevalence": prevalence}
    found |= {"threshold": float(expit(cut - logit(prevalence))), "non_lenses": len(others)}
    return {"calibration": found}


def threshold(network, settings):
    """``p_lens`` above which a source is a candidate, at the prevalence of `settings`.

    Parameters
    ----------
    network : Network
    settings : pipeline.config.Lens
        Its ``threshold``; where that is left out, the one of `calibrate`.

    Raises
    ------
    ValueError
        If neither the settings nor the network's card gives one.
    """
    if settings.threshold is not None:
        return settings.threshold
    balanced = network.card["calibration"].get("threshold")
    if balanced is None:
        raise ValueError(
            f"{network.home}/card.json gives no threshold of p_lens: set lens.threshold"
        )
    return float(expit(logit(balanced) + logit(settings.prevalence)))


def apply(network, cutouts, settings, snr=np.inf):
    """Score the stamps.

    Parameters
    ----------
    network : Network
    cutouts : Cutouts
    settings : pipeline.config.Lens
        The prevalence for which the probability is meant (Saerens et al. 2002, eq. 4), and whether
        the logits are averaged over the stamp's orientations.  The calibration is that of one:
        that of eight has a scale larger by 0.4 % on 6,000 validation stamps.
    snr : ndarray, (n,), optional
        S/N of the galaxies' fluxes.  Below `FAINTEST` the odds fall as its power `STEEP`: about so
        faint a galaxy no arcs could be seen, and the network says the prevalence all the same.

    Returns
    -------
    Table
        ``id``, ``p_lens``, and ``p_lens_std``, the spread of the members' probabilities.
    """
    found = network.card["calibration"]
    stamps, views = inputs(cutouts), 8 if settings.turns else 1
    each = sum(logits(network, turned([stamps], k)[0]) for k in range(views)) / views
    fainter = np.clip(np.broadcast_to(snr, len(each)) / FAINTEST, 1e-3, 1)
    fainter = STEEP * np.log(fainter)
    members = stated(found, each, settings.prevalence, fainter[:, None])
    p_lens = stated(found, each.mean(1), settings.prevalence, fainter)
    return Table({"id": cutouts.id, "p_lens": p_lens, "p_lens_std": members.std(1)})


def stated(calibration, logit_found, prevalence, less=0.0):
    """Probability that logits mean at a prevalence, by what `calibrate` found."""
    shift = calibration["shift"] + logit(prevalence) - logit(calibration["prevalence"])
    return expit(calibration["scale"] * logit_found + shift + less)


def score(network, stamps, truth, light=None):
    """Everything of `pipeline.models.lens_scores.score`, at the prevalence of validation."""
    found = network.card["calibration"]
    mean = logits(network, stamps).mean(1)
    p_lens = stated(found, mean, found["prevalence"])
    return lens_scores.score(mean, p_lens, stamps, truth)
