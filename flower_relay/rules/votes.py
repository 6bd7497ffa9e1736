"""Votes: who examines, how a metric becomes a utility, and what a committee says together.

DeRelayL step 6. A utility is bounded, so that no single case and no single examiner can
drown the others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEW",
    "best_is_bound",
    "bounded_utility",
    "draw_committee",
    "is_quorate",
    "mean_vote",
    "voted",
    "weighted_median",
]


_NOVICES = 4
"""One seat in so many may be a novice's, where there are others for it."""


_QUORUM = 2 / 3
"""The part of the weight drawn that has to vote for a verdict."""


FEW = 5
"""Seats of a committee while the run need not be cautious."""


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

    A metric is clipped to the interval between 0 and its bound. What is not a number is as bad as
    counts. A unit cancels out: a metric and its bound may be multiplied by any number, and by a
    negative one if the direction is turned round as well.

    Parameters
    ----------
    value : float
        As a node reports it.
    bound : float
        On the side of zero on which the metric lies: below 0 for the negative of a loss.
    rises : bool
        Whether a larger value is better.
    """
    if not math.isfinite(value):
        return 0.0
    share = min(1.0, max(0.0, float(value / bound)))
    return share if best_is_bound(bound, rises) else 1.0 - share


def best_is_bound(bound: float, rises: bool) -> bool:
    """Whether the bound is a metric's best value, as of an accuracy; of a loss it is 0."""
    return rises == (bound > 0)


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
    values, mass = voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    order = np.argsort(values, kind="stable")
    values, below = values[order], np.cumsum(mass[order]) / mass.sum()
    first = int(np.searchsorted(below, 0.5 - 1e-12))
    if abs(below[first] - 0.5) <= 1e-12 and first + 1 < len(values):
        heavier = first + 1 + int(np.argmax(mass[order][first + 1 :] > 0))
        return float((values[first] + values[heavier]) / 2)
    return float(values[first])


def mean_vote(votes: NDArray[np.float64], weights: NDArray[np.float64], most: float) -> float:
    """The weighted mean of votes, each at most `most` in size; NaN if nobody with weight voted."""
    values, mass = voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    return float(np.average(np.clip(values, -most, most), weights=mass))


def voted(
    votes: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The votes that are not abstentions, and their weights."""
    voted = ~np.isnan(votes)
    return votes[voted], weights[voted]
