"""Votes: who examines, how a metric becomes a utility, and what a committee says together.

DeRelayL step 6. A utility is bounded, so that no single case and no single examiner can
drown the others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounded_utility", "draw_committee", "is_quorate", "mean_step", "weighted_median"]


_NOVICES = 4
"""One seat in so many may be a novice's, where there are others for it."""


_QUORUM = 2 / 3
"""The part of the weight drawn that has to vote for a verdict."""


_MOST_SAID = 3.0
"""How many of its usual votes on a step an examiner can say at once."""


def draw_committee(
    eligible: NDArray[np.int64],
    size: int,
    rng: np.random.Generator,
    novice: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Draw at most `size` examiners, each eligible participant of a kind equally likely.

    Novices, whose votes weigh nothing yet, have at most a quarter of the seats while there are
    others for them: fresh names would else crowd out those who decide.

    Parameters
    ----------
    eligible : integer array
        Who may examine.
    size : int
        Seats.
    rng : numpy.random.Generator
        Draws.
    novice : boolean array of the shape of `eligible`, optional
        Whose votes weigh nothing yet; nobody's by default.
    """
    if novice is None or not novice.any():
        return np.sort(rng.choice(eligible, size=min(size, len(eligible)), replace=False))
    fresh, others = eligible[novice], eligible[~novice]
    seats = min(len(fresh), max(size // _NOVICES, size - len(others)))
    chosen = rng.choice(others, size=min(size - seats, len(others)), replace=False)
    return np.sort(np.concatenate([chosen, rng.choice(fresh, size=seats, replace=False)]))


def bounded_utility(value: float, bound: float, rises: bool) -> float:
    """A metric as a utility between 0 (as bad as counts) and 1.

    A loss is clipped to [0, bound] and turned over; a metric that rises is clipped to
    the same interval. What is not a number is as bad as counts.
    """
    if not math.isfinite(value):
        return 0.0
    share = min(1.0, max(0.0, float(value / bound)))
    return share if rises else 1.0 - share


def is_quorate(heard: NDArray[np.bool_], weights: NDArray[np.float64]) -> bool:
    """Whether those who were heard are two thirds of the weight that was drawn, or more.

    With less, who keeps the others from voting would decide in their place.
    """
    drawn = float(weights.sum())
    return drawn > 0 and float(weights[heard].sum()) >= _QUORUM * drawn - 1e-12


def weighted_median(votes: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The vote at which half of the weight lies on either side; NaN if nobody with weight voted.

    Abstentions (NaN) do not count, and votes without weight decide nothing. At an exact
    half the two neighbours are averaged.
    """
    values, mass = _voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    order = np.argsort(values, kind="stable")
    values, below = values[order], np.cumsum(mass[order]) / mass.sum()
    first = int(np.searchsorted(below, 0.5 - 1e-12))
    if abs(below[first] - 0.5) <= 1e-12 and first + 1 < len(values):
        heavier = first + 1 + int(np.argmax(mass[order][first + 1 :] > 0))
        return float((values[first] + values[heavier]) / 2)
    return float(values[first])


def mean_step(
    votes: NDArray[np.float64], weights: NDArray[np.float64], usual: NDArray[np.float64]
) -> float:
    """What a step is worth to all examiners together, none of whom says more than another.

    The weighted mean of votes, each in units of its examiner's usual one, and at most three of
    those; in units of the usual vote of the middle of them. A median says what a step is worth to
    the middle itself: with very unusual data an honest step helps a few much and costs most a
    little, and a free rider's costs nobody anything. A mean of votes as they are belongs to
    whoever exaggerates.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        A vote of NaN is an abstention.
    usual : array of shape (examiners,)
        Root mean squares of each one's votes on steps; 0 for who never saw a difference.

    Returns
    -------
    float
        NaN if nobody with weight voted.
    """
    values, mass = _voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    own = usual[~np.isnan(votes)]
    differ = own > 0
    if not differ.any():
        return 0.0
    said = np.divide(values, own, out=np.zeros_like(values), where=differ)
    bounded = np.clip(said, -_MOST_SAID, _MOST_SAID)
    return float(np.average(bounded, weights=mass) * np.median(own[differ]))


def _voted(
    votes: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The votes that are not abstentions, and their weights."""
    voted = ~np.isnan(votes)
    return votes[voted], weights[voted]
