"""What to expect of a list of lens candidates: its purity and completeness at any threshold."""

from typing import NamedTuple

import numpy as np

from pipeline.report.figures import COLOURS, log_scale, panel

THRESHOLDS = 0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001
FAINTEST = 1e-6  # p_lens, below which no threshold is drawn


class Expectation(NamedTuple):
    """Candidates of a survey, from the most probable down.

    Attributes
    ----------
    p_lens : ndarray, (n,)
        Of the most probable source of each system; sorted.
    lenses : ndarray, (n,)
        Lenses expected among this one and all before it: the sum of their probabilities.
    """

    p_lens: np.ndarray
    lenses: np.ndarray

    def rows(self, candidate):
        """Each threshold that systems exceed, that of candidates among them, and what lies above.

        Returns
        -------
        list of dict
            ``threshold``, ``n``, ``lenses``, ``purity`` (lenses among those n) and
            ``completeness`` (share of all lenses expected in the catalog).
        """
        said = []
        for threshold in sorted({*THRESHOLDS, candidate}, reverse=True):
            n = self.above(threshold)
            if n:
                lenses = float(self.lenses[n - 1])
                row = {"threshold": threshold, "n": n, "lenses": lenses, "purity": lenses / n}
                said.append(row | {"completeness": lenses / float(self.lenses[-1])})
        return said

    def above(self, p_lens):
        """How many are more probable."""
        return int(np.searchsorted(-self.p_lens, -p_lens))


def expect(p_lens):
    """Count the lenses expected among candidates.

    The probabilities are taken at their word: of systems with ``p_lens`` 0.1, one in ten is a
    lens.  That holds where the survey's lenses and others are like the simulated ones, at the
    prevalence that the config states.

    Parameters
    ----------
    p_lens : array_like, (n,)
        Of `pipeline.report.choose.systems`, from the most probable down.

    Returns
    -------
    Expectation
    """
    ranked = np.asarray(p_lens, "f8")
    return Expectation(ranked, np.cumsum(ranked))


def expectation_figure(expected):
    """Draw expected purity and completeness against the threshold of p_lens.

    Parameters
    ----------
    expected : Expectation

    Returns
    -------
    Figure or None
        None where no source has a probability to speak of.
    """
    shown = expected.p_lens > FAINTEST
    if shown.sum() < 2:
        return None
    figure, ax = panel()
    threshold, lenses = expected.p_lens[shown], expected.lenses[shown]
    purity = lenses / np.arange(1, len(lenses) + 1)
    lines = {"purity": purity, "completeness": lenses / expected.lenses[-1]}
    for colour, (label, line) in zip(COLOURS, lines.items(), strict=False):
        ax.step(threshold, line, color=colour, label=label, where="pre", lw=1.5)
    log_scale(ax, "x")
    ax.set(xlabel="threshold of p_lens", ylabel="expected share", ylim=(-0.02, 1.02))
    ax.legend(fontsize=8)
    return figure
