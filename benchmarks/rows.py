"""The tests of `make external`: what others reach, what is wanted, and where it is measured."""

from math import inf
from typing import NamedTuple

from pipeline.models.anomaly import SPOILT


class Row(NamedTuple):
    """One test.

    Attributes
    ----------
    test : str
    published : str
        What peers and papers reach.
    wanted : tuple of (float, float)
        Least and greatest value wanted of the first numbers.
    places : tuple of str
        ``file: key: ...: format`` of each number, where `file` is one of build/external or
        ``card.NETWORK``, the scores in a model card; ``%`` is a percentage, ``+`` has its sign,
        a digit says how many decimals.
    """

    test: str
    published: str
    wanted: tuple[tuple[float, float], ...]
    places: tuple[str, ...]


def at_most(*values):
    """Bounds of numbers that are to be small."""
    return tuple((-inf, value) for value in values)


def at_least(*values):
    """Bounds of numbers that are to be large."""
    return tuple((value, inf) for value in values)


def pairs(scale, kind, *numbers):
    """Places of numbers of the pairs at a pixel scale."""
    return tuple(f"pairs_{scale}: {kind}: {number}" for number in numbers)


DEBLENDING = (
    Row(
        'pairs at 0.06", each galaxy centred in its stamp: MAPE',
        "SEP 25.6 %, photutils 24.2 %; 7.6 % (b2m2f)",
        at_most(0.05),
        pairs("0.06", "given_unet", "mape: %"),
    ),
    Row(
        'pairs at 0.06": NMAD; beyond 0.75 mag',
        "SEP 0.233; 5.2 %. 0.081; 0.10 % (b2m2f)",
        at_most(0.06, 0.001),
        pairs("0.06", "given_unet", "nmad_dm: 3", "outliers: %"),
    ),
    Row(
        'pairs at 0.06": mean IoU of the two masks, U-Net; probabilistic U-Net',
        "SEP 0.57, photutils 0.60, oracle hard partition 0.73",
        at_least(0.88, 0.88),
        (*pairs("0.06", "given_unet", "iou: 3"), *pairs("0.06", "given_punet", "iou: 3")),
    ),
    Row(
        'pairs at 0.06": coverage of the 68 % interval',
        "none has one",
        (),
        pairs("0.06", "given_unet", "coverage_68: %"),
    ),
    Row(
        'pairs at 0.10": mean IoU; MAPE',
        "SEP 0.52; 31 %",
        (*at_least(0.85), *at_most(0.06)),
        pairs("0.10", "given_unet", "iou: 3", "mape: %"),
    ),
    Row(
        'pairs at 0.20", PSF 0.7": mean IoU; MAPE',
        "",
        (*at_least(0.75), *at_most(0.1)),
        pairs("0.20", "given_unet", "iou: 3", "mape: %"),
    ),
    Row(
        'its own detection, 0.06": mean IoU, missed = 0',
        "SEP 0.57",
        at_least(0.82),
        pairs("0.06", "own_unet", "iou: 3"),
    ),
    Row(
        'its own detection, 0.06": recall; precision',
        "SEP 0.84",
        at_least(0.93, 0.97),
        pairs("0.06", "own_unet", "recall: 3", "precision: 3"),
    ),
    Row(
        "HSC blends, 105 injected sources, i band, true less measured: median (below 0: too faint);"
        " NMAD; beyond 0.75 mag",
        "scarlet -0.045; 0.108; 4 %",
        ((-0.02, 0.02), *at_most(0.09, 0.03)),
        ("hsc: given: median_dm: +", "hsc: given: nmad_dm: 3", "hsc: given: outliers: %"),
    ),
    Row(
        "HSC: median of those brighter than mag 24.5; of the fainter",
        "",
        (),
        ("hsc: given: median_dm_bright: +", "hsc: given: median_dm_faint: +"),
    ),
    Row(
        "HSC: these two of scarlet, from its own published numbers",
        "",
        (),
        ("hsc: scarlet: median_dm_bright: +", "hsc: scarlet: median_dm_faint: +"),
    ),
    Row(
        "HSC, its own detection: found; median; NMAD; beyond 0.75 mag",
        "",
        (),
        tuple(f"hsc: own: {k}" for k in ("recall: %", "median_dm: +", "nmad_dm: 3", "outliers: %")),
    ),
    Row(
        "HSC, SEP with Kron fluxes: found; median; NMAD; beyond 0.75 mag",
        "",
        (),
        tuple(f"hsc: sep: {k}" for k in ("recall: %", "median_dm: +", "nmad_dm: 3", "outliers: %")),
    ),
    Row(
        "HSC, its own detection, all sources: seconds a blend",
        "scarlet 120",
        at_most(0.1),
        ("hsc: own: seconds: 3",),
    ),
    Row("HSC: coverage of the 68 % interval", "", at_least(0.6), ("hsc: given: coverage_68: %",)),
    Row(
        "simulated test: coverage of the 68 % and 95 % flux intervals",
        "",
        ((0.66, 0.70), (0.94, 0.96)),
        ("card.photometry: coverage_68: 3", "card.photometry: coverage_95: 3"),
    ),
    Row(
        "simulated test: of the 68 %, in bins of S/N and of separation/Re and /FWHM: the least;"
        " the most",
        "",
        (*at_least(0.62), *at_most(0.74)),
        tuple(f"card.photometry: coverage_68_in_bins: {k}: 3" for k in ("least", "most")),
    ),
    Row(
        "simulated test: of the 68 %, of those with a neighbour within one PSF width, which is"
        " known; which is not",
        "",
        (),
        tuple(f"card.photometry: coverage_68_of_close: {k}: 3" for k in ("known", "unknown")),
    ),
    Row(
        "simulated test: of the 68 %, of diffuse galaxies (S/N < 30, half-light radius > 4 pixels);"
        " their median Δm",
        "",
        (),
        ("card.photometry: diffuse: coverage_68: 3", "card.photometry: diffuse: median_dm: +"),
    ),
    Row(
        "simulated test: ECE on the masks' union; AUROC of spread against error",
        "",
        (*at_most(0.02), *at_least(0.9)),
        (
            "card.punet: calibration_error_on_union: 3",
            "card.punet: auroc_of_spread_against_error: 3",
        ),
    ),
    Row(
        'pairs at 0.06": ECE on the union of masks; AUROC of spread against error',
        "",
        (),
        pairs("0.06", "pixels", "ece_punet: 3", "auroc_of_spread: 3"),
    ),
)
FINDING = (
    Row(
        "challenge (simulated one-band stamps as in the Lens Finding Challenge): AUROC; TPR0; TPR10"
        "; of how many non-lenses",
        "0.9325; 0.221; 0.357 (three winners, of the challenge's own 100,000 stamps)",
        at_least(0.97, 0.3, 0.45),
        (
            "challenge: auroc: 4",
            "challenge: tpr0: 3",
            "challenge: tpr10: 3",
            "challenge: n_others: 0",
        ),
    ),
    Row(
        "challenge: TPR at FPR 1e-2; 1e-3; 1e-4",
        "",
        (),
        tuple(f"challenge: tpr_at_fpr_{rate}: 3" for rate in ("0.01", "0.001", "0.0001")),
    ),
    Row(
        'challenge: TPR at FPR 1e-2 for Einstein radius > 0.8" and arc S/N > 20',
        "",
        at_least(0.9),
        ("challenge: tpr_of_clear_arcs_at_fpr_0.01: %",),
    ),
    Row(
        "challenge: AUROC of S/N alone; of size alone",
        "",
        at_most(0.6, 0.6),
        ("challenge: auroc_of_snr_alone: 3", "challenge: auroc_of_re_alone: 3"),
    ),
    Row(
        "calibration error at balanced classes: its own test set; the challenge's",
        "",
        at_most(0.01, 0.01),
        ("card.lens: calibration_error: 3", "challenge: calibration_error: 3"),
    ),
    Row(
        "challenge: slope of the log odds found against those stated, 1 if they are right",
        "",
        (),
        ("challenge: odds_slope: 2",),
    ),
    Row(
        "its own test set, through PSFs with an Airy pattern's rings: AUROC; TPR at FPR 1e-2",
        "",
        (),
        (
            "card.lens: through_rings: auroc: 3",
            "card.lens: through_rings: recall_at_fpr_0.01: 3",
        ),
    ),
    Row(
        'challenge, in Hubble\'s pixels (0.05", PSF 0.07"): AUROC, binned as the chain does; not',
        "",
        (),
        ("challenge_hubble: auroc: 3", "challenge_hubble_unbinned: auroc: 3"),
    ),
    Row(
        "SLACS lenses against their own controls: pairs ranked right; by the flux alone, to which"
        " arcs add",
        "38 % (Wilde+22's network, measured on 50 pairs, of which these are 25)",
        at_least(0.85),
        ("lenses: pairs_ranked_right: %", "lenses: pairs_ranked_right_by_flux: %"),
    ),
    Row(
        "SLACS: AUROC; of the flux alone",
        "",
        (),
        ("lenses: auroc: 3", "lenses: auroc_of_flux_alone: 3"),
    ),
    Row(
        "SLACS: the 27 lenses above the threshold of FPR 1e-3 on validation; those with visible"
        " arcs",
        "0.41 at low FPR (HOLISMOKES XV, HST, one band)",
        at_least(0.6, 0.75),
        ("lenses: above_threshold: %", "lenses: above_threshold_visible: %"),
    ),
    Row(
        "SLACS: their controls, models of the galaxies with traces of the arcs in some, above it",
        "",
        (),
        ("lenses: controls_above_threshold: %",),
    ),
    Row(
        "false positives among real galaxies of S/N > 16 (COSMOS, four survey fields) at that"
        " threshold",
        "",
        at_most(0.01),
        ("lenses: false_positives: %",),
    ),
    Row(
        "false positives, one by one: COSMOS; KiDS; DECaLS; VISTA; VIKING",
        "",
        (),
        tuple(
            f"lenses: false_positives_{k}: %"
            for k in ("cosmos", "kids", "decals", "vista", "viking")
        ),
    ),
    Row(
        "`anomaly`, AUROC: cosmic rays; trails; saturated stars; wrong PSF; wrong noise; light"
        " turned negative",
        "",
        at_least(*[0.9] * len(SPOILT)),
        tuple(f"card.anomaly: auroc_{k}: 3" for k in SPOILT),
    ),
)
