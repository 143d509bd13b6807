"""Split a survey's galaxies for the lens finder to learn from, and say what it gained."""

from functools import partial

import numpy as np

from pipeline.catalogs.sphere import nearest
from pipeline.config.inject import FEWEST
from pipeline.injection.inject import lots
from pipeline.models import metrics
from pipeline.models.binned import pooled
from pipeline.models.lens_scores import log_loss, recall_at

SHARES = {"train": 0.5, "validation": 0.2, "held_out": 0.3}
SALT = 0x5EED  # the lot that chose the galaxies must not also say which set they belong to
RATES = 0.1, 0.01
RESAMPLINGS = 200


def drawn(ids, most):
    """At most so many of the galaxies' ids, the same ones whatever the tiles that they are in."""
    return ids[np.argsort(lots(ids), kind="stable")[:most]]


def sets(ids):
    """Name the set that each galaxy belongs to, always the same for an id; (n,), str."""
    ends = np.cumsum(list(SHARES.values()))[:-1]
    return np.array(list(SHARES))[np.searchsorted(ends, lots(np.asarray(ids, "i8") ^ SALT))]


def kept_sets(galaxies, card, radius):
    """Name the set that each galaxy belongs to: the one that a card's lens finder knows it in.

    So what that learnt from is not held out, whatever the galaxies' ids are now.  Others, and those
    whose places are unknown, are in the sets of their ids.  Parameters are those of `unlearnt`.

    Returns
    -------
    ndarray, (n,), str
    """
    found = sets(galaxies["id"])
    for name in reversed(SHARES):  # where two galaxies meet, both were learnt from
        for said in _adaptations(card):
            found[_known(galaxies, said, [name], radius)] = name
    return found


def places(galaxies):
    """Places [ra, dec] of galaxies [deg], each once, to 0.04 arcsec; unknown ones left out."""
    where = _where(galaxies)
    return np.unique(where[np.isfinite(where).all(1)].round(5), axis=0).tolist()


def unlearnt(galaxies, card, radius):
    """Whether the lens finder of a card, and those that it began with, learnt nothing from these.

    A galaxy is known by its place: its id changes with the settings of detection, and is another
    in a tile that overlaps.  Where it has no place, or the card tells none, the id's set decides.

    Parameters
    ----------
    galaxies : Table, (n,)
        ``id``, ``ra``, ``dec`` [deg].
    card : dict
    radius : float
        Greatest distance of two detections of one galaxy [arcsec].

    Returns
    -------
    ndarray, (n,), bool
    """
    held_out, found = sets(galaxies["id"]) == "held_out", np.ones(len(galaxies), bool)
    for said in _adaptations(card):
        is_placed = np.isfinite(_where(galaxies)).all(1) & ("places" in said)
        learnt = _known(galaxies, said, ["train", "validation"], radius)
        found &= np.where(is_placed, ~learnt, held_out)
    return found


def _known(galaxies, said, names, radius):
    """Whether galaxies are where an adaptation says that those of its sets `names` are; (n,)."""
    there = [place for name in names for place in said.get("places", {}).get(name, [])]
    return nearest(*_where(galaxies).T, np.reshape(there, (-1, 2)).T, radius) >= 0


def _where(galaxies):
    """Right ascension and declination of galaxies [deg], NaN where unknown; (n, 2)."""
    return np.column_stack([np.asarray(galaxies[name], "f8") for name in ("ra", "dec")])


def has_adapted(card):
    """Whether the lens finder of a card, or one that it began with, learnt from a survey."""
    return any(True for _ in _adaptations(card))


def _adaptations(card):
    """What a card says of each time that its network, or one it began with, learnt from a survey.

    One that was adapted twice says the former time ``before`` the latter.
    """
    if "adapted" in card:
        yield card["adapted"]
        yield from _adaptations(card["adapted"])
    if "before" in card:
        yield from _adaptations(card["before"])


def too_few(n):
    """Say what to do where there are too few galaxies to learn from; empty for enough."""
    if n >= FEWEST:
        return ""
    return (
        f"adapt: {n} galaxies of the survey are fit to bear arcs, {FEWEST} are needed at least: "
        "bright, larger than the PSF, whole, of tiles whose pixel scale is known. Lower "
        "inject.min_snr or inject.min_size, or give more tiles"
    )


def balanced(is_lens):
    """Rows in which stamps without arcs are repeated until they are as many as those with."""
    is_lens = np.asarray(is_lens, bool)
    times = max(1, round(is_lens.sum() / max((~is_lens).sum(), 1)))
    return np.sort(np.concatenate([np.flatnonzero(is_lens), *[np.flatnonzero(~is_lens)] * times]))


def gained(before, after, is_lens, galaxy):
    """Compare the lens finder before and after, on galaxies that it did not learn from.

    Parameters
    ----------
    before, after : tuple of ndarray, (n,)
        Logits, and the probabilities that they are said to mean.
    is_lens : ndarray, (n,), bool
        Whether the stamp has arcs.
    galaxy : ndarray, (n,)
        Identifier of each stamp's galaxy: galaxies are drawn anew for the error of the gain.

    Returns
    -------
    dict
        Numbers of galaxies and stamps; ``before`` and ``after``, with ``auroc``, ``log_loss`` and
        recalls at false-positive rates, None where there are too few galaxies to measure these;
        and ``auroc_gain``: each a dict of ``value``, ``error`` and ``n``.
    """
    names, member = np.unique(galaxy, return_inverse=True)
    resampled = partial(pooled, member=member, n_draws=RESAMPLINGS)

    def gain(one, other, truth):
        return metrics.roc_auc(other, truth) - metrics.roc_auc(one, truth)

    def recall(logit, truth, rate):
        found = recall_at(logit, truth, rate)
        return found["value"] if found else np.nan

    def completeness(logit, rate):
        if recall_at(logit, is_lens, rate) is None:
            return None
        return resampled(partial(recall, rate=rate), logit, is_lens)

    counts = {"galaxies": len(names), "stamps_with_arcs": int(is_lens.sum())}
    scores = {
        when: {"auroc": resampled(metrics.roc_auc, logit, is_lens)}
        | {"log_loss": resampled(log_loss, stated, is_lens)}
        | {f"recall_at_fpr_{rate:g}": completeness(logit, rate) for rate in RATES}
        for when, (logit, stated) in {"before": before, "after": after}.items()
    }
    return counts | scores | {"auroc_gain": resampled(gain, before[0], after[0], is_lens)}
