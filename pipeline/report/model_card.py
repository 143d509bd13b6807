"""Model cards as a page to read: what each network learnt from, how well, and where it fails."""

from itertools import chain

from pipeline.models import NETWORKS

INTRODUCTION = """# Model cards

Written from the `card.json` of each network, which holds all numbers here, and more: the losses of
every epoch, the calibration, scores in every bin. Scores are of simulated stamps of other seeds and
other galaxies than those of training and calibration; errors are standard errors. Of a network that
learnt in several trainings the first is the first row; scenes changed in between, so the losses of
two rows need not compare. What they make of other people's images is in the tables of README.md.
"""
SCENES = {
    "blends": "Simulated sources among their neighbours (`pipeline/scenes/blends.py`): discs, "
    "bulges and single Sersic laws, with arms and knots, and stars; alone, in groups, in crowded "
    "fields and in halos of light; seen as surveys from the ground and from space see the sky: "
    "PSFs, depths, correlated noise, lost pixels (`pipeline/scenes/conditions.py`). No real image.",
    "lenses": "Simulated galaxies, half of them lenses (`pipeline/scenes/lenses.py`): elliptical "
    "power laws with shear that bend the light of structured sources and of quasars. The others "
    "are galaxies of the same population without arcs, and what passes for a lens "
    "(`pipeline/scenes/impostors.py`). No real image.",
}
ABOUT = {
    "lens": (
        "Is there a strong lens?",
        "An ensemble of residual networks that looks along the ellipses of the central galaxy.",
        "It knows simulations and one band at a time: on the sky expect less than these numbers, "
        "and measure it on your own galaxies (`snakemake ... inject`).",
        "Galaxies too faint to show arcs were no lenses in training: there its odds are lowered by "
        "a rule, and are not learnt.",
        "Compact images beside a galaxy look like companions, and companions in the right places "
        "like images. Arcs within two PSF widths are found less often.",
    ),
    "unet": (
        "Which pixel is whose?",
        "A U-Net that gives masks, which may overlap, and the source's share of each pixel.",
        "Sources whose centres lie within one PSF width, or 1.5 half-light radii, of each other "
        "are divided worst.",
        "It sees a source larger than a stamp in blocks of pixels, and no finer.",
    ),
    "punet": (
        "And how sure?",
        "A probabilistic U-Net on the U-Net's features: draws of masks, and of a flux with each.",
        "Its spread is what the training scenes leave open, not that the sky may be unlike them.",
    ),
    "photometry": (
        "How bright without neighbours?",
        "A mixture density network for the total flux, relative to what the maps collect.",
        "A neighbour within one PSF width that nobody has told from the source is taken for its "
        "own light, and the interval does not know (`coverage_68_of_close: unknown`).",
        "Diffuse, faint galaxies come out too faint (`diffuse`).",
        "It knows pixel noise and blending: not a wrong zero point, nor light in a PSF's far wings "
        "or rings, nor what is wrong with the light of a giant behind the source. How often its "
        "intervals hold in your own images `snakemake ... recover` says; `calibrate` makes them.",
    ),
    "anomaly": (
        "Has training shown anything like it?",
        "A convolutional autoencoder: distance in its latent space, improbable spectra and "
        "textures of the light, and misfits, as a percentile of ordinary stamps.",
        "Noise smoother than the weight says is strange to it, and so are very crowded fields.",
        "It says that a stamp is odd, not why.",
    ),
}
TRAINING = {
    "stamps": "stamps an epoch",
    "replay": "times each",
    "epochs": "epochs",
    "batch_size": "batch",
    "learning_rate": "learning rate",
    "filters": "filters",
    "seed": "seed",
}


def model_cards(cards):
    """Write a page of model cards.

    Parameters
    ----------
    cards : dict
        Of each network's name its card, with ``scores`` or without.

    Returns
    -------
    str
        Markdown.
    """
    ordered = (name for name in NETWORKS if name in cards)
    return "\n".join([INTRODUCTION, *(_one(name, cards[name]) for name in ordered)])


def _one(name, card):
    question, method, *limits = ABOUT[name]
    scores = card.get("scores", {})
    parts = [
        f"## `{name}`\n\n{question} {method}\n",
        f"**What it learnt from.** {SCENES[NETWORKS[name].KIND]}\n",
        _trainings(card),
        f"**Where it fails.**\n\n{_items(limits)}",
        *_failures(scores),
        _table(("score", "value", "error"), _numbers(scores)),
    ]
    return "\n".join(part for part in parts if part)


def _trainings(card):
    """Table of a network's trainings, the first one first."""
    rows = []
    while card:
        settings = card["settings"]
        said = [settings.get(name, "") for name in TRAINING]
        said += [card["scenes"].get("seed", ""), *_kept(card)]
        said += [card[name] for name in ("training_seconds", "machine", "trained")]
        software = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
        rows.insert(0, [*map(_plain, said), software])
        card = card.get("before")
    ran = "scenes' seed", "share kept", "validation loss", "seconds", "machine", "date", "software"
    return _table((*TRAINING.values(), *ran), rows)


def _kept(card):
    """Share of what a training changed that was kept, and the validation loss of these weights.

    Each is empty where it is not known; else the loss is the least.
    """
    if mixed := card.get("mixed"):
        return mixed["share"], mixed["val_loss"]
    said = (epoch.get(name) for epoch in card["log"] for name in ("val_loss_before", "val_loss"))
    return "", min((loss for loss in said if loss is not None), default="")


def _failures(scores):
    """Tables of the least and largest numbers in bins, and of what passes for a lens."""
    bins = [(name, *_extremes(found)) for name, found in scores.get("bins", {}).items()]
    yield _table(("in bins", "least", "where", "most", "where"), bins)
    passed = scores.get("false_positives_at_fpr_0.01", {})
    kinds = sorted(passed.items(), key=lambda item: -item[1]["share"])
    shown = [(k, f"{v['share']:.1%}", f"{v['error']:.1%}", v["n"]) for k, v in kinds]
    yield _table(("passes for a lens at 1 % false positives", "share", "error", "of"), shown)
    found = scores.get("completeness_at_fpr_0.01", {})
    rows = ((f"{by} {_span(r['from'], r['to'])}", r) for by, of in found.items() for r in of)
    shown = [(at, f"{r['recall']:.1%}", f"{r['error']:.1%}", r["n"]) for at, r in rows]
    yield _table(("lenses found at 1 % false positives", "share", "error", "of"), shown)


def _extremes(found):
    """Least and largest value of a number, each with its bin."""
    rows = [(by, row) for by, of in found.items() if by != "all" for row in of]
    ordered = sorted(rows, key=lambda item: item[1]["value"])
    ends = (ordered[0], ordered[-1]) if ordered else ()
    said = ((_measured(row), f"{by} {_span(row['low'], row['high'])}") for by, row in ends)
    return chain.from_iterable(said)


def _measured(row):
    return f"{row['value']:.3f} ± {row['error']:.3f}"


def _span(low, high):
    """Words for a bin, either end of which may be open."""
    if low is None:
        return f"below {high:g}"
    return f"above {low:g}" if high is None else f"{low:g} to {high:g}"


def _numbers(scores, of=""):
    """Rows of every number that has an error, but for those in bins."""
    for name, found in scores.items():
        if not isinstance(found, dict) or name == "bins":
            continue
        if {"value", "error"} <= found.keys():
            yield f"{of}{name}", f"{found['value']:.4f}", f"{found['error']:.4f}"
        else:
            yield from _numbers(found, f"{of}{name}: ")


def _plain(value):
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _items(lines):
    return "".join(f"* {line}\n" for line in lines)


def _table(names, rows):
    """Table in Markdown; empty of no rows."""
    rows = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows) if len(rows) > 2 else ""
