"""Evidence: what a committee's votes on a hop say, beside what it said of other hops.

A vote has the utility's unit, and how far votes go differs from world to world and from hour to
hour. So a hop's votes become a score without a unit, and the score counts by its rank among the
latest ones. A rank is as likely to be high as low for whoever is like the others, in any world.
Whoever ranks low again and again harms, however little each hop does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .votes import mean_vote, voted

__all__ = ["RECENT", "harm_of", "score_of"]

RECENT = 60
"""Scores that a hop is ranked among, the latest."""

_ENOUGH = 10
"""Scores from which on a rank says something."""

_EQUAL = 1e-6
"""What two scores may differ by and be equal. Of an accuracy over few cases many are."""


def score_of(votes: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The weighted mean of votes, each at most the committee's middle one in size, in its units.

    Multiplying all votes by a constant changes nothing, and nobody says more than the middle of
    the committee does. A median would tell only what the middle sees: where examiners hold few
    classes, that is often nothing.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        A vote of NaN is an abstention.

    Returns
    -------
    float
        Between −1 and 1; NaN if nobody with weight voted, 0 if the middle vote is 0.
    """
    values, mass = voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    most = float(np.median(np.abs(values)))
    if most <= 0:
        return 0.0
    return mean_vote(values / most, mass, 1.0)


def harm_of(score: float, recent: Sequence[float]) -> float:
    """Harm of a hop by its rank among recent scores: 1 for the lowest, −1 for the highest.

    Equal scores share their rank, and what only rounding tells apart is equal. Zero where nobody
    voted, or too few are known.
    """
    if np.isnan(score) or len(recent) < _ENOUGH:
        return 0.0
    above = np.asarray(recent) - score
    below = float((above < -_EQUAL).mean() + 0.5 * (np.abs(above) <= _EQUAL).mean())
    return 1.0 - 2.0 * below
