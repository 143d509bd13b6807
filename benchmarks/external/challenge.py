"""Score the lens finder as the Strong Lens Finding Challenge did (Metcalf et al. 2019)."""

from dataclasses import replace

import numpy as np
from astropy.table import Table

from benchmarks.external import chain
from pipeline.data import Exposure
from pipeline.models import metrics
from pipeline.models.binned import bootstrap
from pipeline.models.lens_scores import CLEAR, found_before
from pipeline.simulate.challenge import EUCLID, draw_challenge
from pipeline.stamps.cutouts import bin_blocks, lens_binning

STAMPS = 96  # side of what the finder sees; the challenge gave 101 [pixel]
AT_ONCE, SEED = 5000, 2019
RATES = 1e-2, 1e-3, 1e-4
THETA_E = 0.3, 0.5, 0.8, 1.2, 1.6, 2.0, 3.0  # Einstein radius [arcsec]
ARC_SNR = 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, np.inf


def draw_scored(n, networks=None, telescope=EUCLID, binning=None):
    """Draw a set like the challenge's, cut stamps of it as the chain does, and score them.

    Parameters
    ----------
    n : int
        Number of stamps.
    networks : str, optional
        Folder of networks; the shipped ones if left out.
    telescope : Telescope
        That sees the set.
    binning : int, optional
        Pixels binned into one; what the chain would choose if left out.

    Returns
    -------
    p_lens : ndarray, (n,)
        At balanced classes.
    truth : Table
        ``is_lens``, ``theta_e`` [arcsec], ``arc_snr`` and what else the simulation tells.
    """
    from astropy.table import vstack

    from pipeline.models import lens

    options = chain.settings(networks, lens={"prevalence": 0.5})
    network = chain.opened(networks, "lens", options.apply)
    block = chosen_binning(telescope, options.cut)
    at_once, scores, tables = AT_ONCE // block**2, [], []
    for part, start in enumerate(range(0, n, at_once)):
        rng = np.random.default_rng((SEED, part))
        cutouts, truth = draw_challenge(min(at_once, n - start), STAMPS * block, rng, telescope)
        cutouts = _binned(cutouts, binning or block)
        scores.append(np.asarray(lens.apply(network, cutouts, options.lens)["p_lens"]))
        tables.append(truth)
    return np.concatenate(scores), vstack(tables, metadata_conflicts="silent")


def chosen_binning(telescope, settings):
    """Pixels that the chain would bin into one in the images of a telescope."""
    exposure = replace(
        Exposure.empty(("sim",), "drawn as stamps"), pixel_scale=telescope.pixel_scale
    )
    return lens_binning(exposure, Table(meta={"PSFFWHM": telescope.fwhm}), settings)


def _binned(cutouts, block):
    """The middle of stamps, of `STAMPS` blocks."""
    edge = (cutouts.flux.shape[1] - STAMPS * block) // 2
    window = np.s_[:, edge : edge + STAMPS * block, edge : edge + STAMPS * block]
    flux, ivar = bin_blocks(cutouts.flux[window], cutouts.ivar[window], block)
    return replace(cutouts, flux=flux, ivar=ivar, binning=block)


def summary(score, truth):
    """Numbers of the table.

    Returns
    -------
    dict
        Of each number ``value``, ``error`` and ``n``.  TPR0 of the challenge is that with no false
        positive, TPR10 with fewer than ten; ``n_others`` says of how many non-lenses, for with
        more of them both are less.
    """
    is_lens = np.asarray(truth["is_lens"], bool)
    n_false = int((~is_lens).sum())
    rows = {
        "n_others": {"value": n_false, "error": None, "n": None},
        "auroc": bootstrap(metrics.roc_auc, score, is_lens, n_draws=50),
        "tpr0": found_before(score, is_lens, 0),
        "tpr10": found_before(score, is_lens, 9),
        "calibration_error": bootstrap(metrics.calibration_error, score, is_lens, n_draws=50),
        "odds_slope": bootstrap(metrics.odds_slope, score, is_lens, n_draws=50),
    }
    for rate in RATES:
        if rate * n_false >= 1:
            rows[f"tpr_at_fpr_{rate:g}"] = found_before(score, is_lens, int(rate * n_false))
    theta_e, arc_snr = (np.asarray(truth[k], "f8") for k in ("theta_e", "arc_snr"))
    kept = ~is_lens | ((theta_e > CLEAR[0]) & (arc_snr > CLEAR[1]))
    clear = found_before(score[kept], is_lens[kept], int(RATES[0] * n_false))
    rows["tpr_of_clear_arcs_at_fpr_0.01"] = clear
    for name in ("snr", "re"):
        alone = np.asarray(truth[name], "f8")
        rows[f"auroc_of_{name}_alone"] = bootstrap(metrics.roc_auc, alone, is_lens, n_draws=50)
    return rows
