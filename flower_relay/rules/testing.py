"""Testing: who examines, what a vote is, and what the committee decides.

DeRelayL step 6. A vote is the change of a bounded utility, so that no single case and
no single examiner can drown the others; the verdict is the bond-weighted median.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LegVerdict",
    "bounded_utility",
    "draw_committee",
    "fault_of",
    "judge_leg",
    "mean_step",
    "shortened",
    "weighted_median",
]

Arrays = Mapping[str, NDArray[Any]]

_LEG = 2.0
"""Tolerances by which a whole leg may fall: its hops may each fall by one, but not add up."""

_MOST_SAID = 3.0
"""How many of its usual votes on a step an examiner can say at once."""

_STILL = 1e-6
"""A change smaller than this part of the weights is none: it takes a few low bits to look new."""


def fault_of(candidate: Arrays, base: Arrays) -> str | None:
    """Why a candidate must not reach the examiners, or None.

    Returns
    -------
    str or None
        `mis-shaped` (names, shapes or types differ), `non-finite` (NaN or infinity) or
        `unchanged` (nothing but low bits differs from the base). Copies of other models are found
        by their hash, not here.
    """
    if candidate.keys() != base.keys():
        return "mis-shaped"
    for name, array in candidate.items():
        if array.shape != base[name].shape or array.dtype != base[name].dtype:
            return "mis-shaped"
    for array in candidate.values():
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            return "non-finite"
    return None if _moved(candidate, base) else "unchanged"


def _moved(candidate: Arrays, base: Arrays) -> bool:
    """Whether a candidate is more than its base with a few low bits turned."""
    change = size = 0.0
    for name, array in candidate.items():
        wide, before = array.astype(np.float64), base[name].astype(np.float64)
        change += float(np.square(wide - before).sum())
        size += float(np.square(before).sum())
    return change > _STILL**2 * size


def shortened(base: Arrays, candidate: Arrays, stride: float) -> dict[str, NDArray[Any]]:
    """The base and a part of the way to a candidate; counters are the candidate's."""
    return {
        name: _between(base[name], array, stride)
        if np.issubdtype(array.dtype, np.inexact)
        else array
        for name, array in candidate.items()
    }


def _between(base: NDArray[Any], end: NDArray[Any], stride: float) -> NDArray[Any]:
    half = end / 2 - base / 2  # the whole of it may be too large a number
    return np.asarray(base + 2 * stride * half, end.dtype)


def draw_committee(
    eligible: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw at most `size` examiners, each eligible participant equally likely."""
    drawn = rng.choice(eligible, size=min(size, len(eligible)), replace=False)
    return np.sort(drawn)


def bounded_utility(value: float, bound: float, rises: bool) -> float:
    """A metric as a utility between 0 (as bad as counts) and 1.

    A loss is clipped to [0, bound] and turned over; a metric that rises is clipped to
    the same interval. What is not a number is as bad as counts.
    """
    share = float(np.clip(value / bound, 0.0, 1.0)) if np.isfinite(value) else float(not rises)
    return share if rises else 1.0 - share


def weighted_median(votes: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The vote at which half of the weight lies on either side; NaN if nobody voted.

    Abstentions (NaN) do not count. Where nobody who voted has weight (a committee of
    newcomers only) all weigh the same. At an exact half the two neighbours are averaged.
    """
    values, mass = _voted(votes, weights)
    if not len(values):
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
        NaN if nobody voted.
    """
    values, mass = _voted(votes, weights)
    if not len(values):
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
    """The votes that are not abstentions, and their weights: alike where nobody has any."""
    voted = ~np.isnan(votes)
    values, mass = votes[voted], weights[voted]
    return values, mass if mass.sum() > 0 else np.ones_like(values)


@dataclass(frozen=True, kw_only=True)
class LegVerdict:
    """What the committee decided about one leg of k hops.

    Attributes
    ----------
    passed : bool or None
        Whether the whole leg passed; None when nobody voted.
    kept : int
        Length of the recognised prefix.
    culprits : tuple of int
        Positions of the hops that are blamed, latest first.
    rises : tuple of float
        For the base's successor at each position, the committee's median rise over the
        leg's base; NaN where nobody judged that model.
    votes : tuple of float
        Each hop's own (marginal) vote; where nobody judged a hop, the even share of the
        leg's; NaN when nobody voted.
    """

    passed: bool | None
    kept: int
    culprits: tuple[int, ...]
    rises: tuple[float, ...]
    votes: tuple[float, ...]


def judge_leg(
    utilities: NDArray[np.float64],
    weights: NDArray[np.float64],
    tolerance: float,
    patience: Sequence[float],
) -> LegVerdict:
    """Judge a leg from the utilities of its base and of each hop's model.

    Parameters
    ----------
    utilities : array of shape (hops + 1, examiners)
        Row 0 is the base.
    weights : array of shape (examiners,)
        Bonds.
    tolerance : float
        A hop passes when its vote is at least −tolerance times its patience, a leg (and each
        prefix) when moreover its median rise is at least −2 · tolerance.
    patience : sequence of float
        The part of the tolerance that each hop has (`standing.patience_with`).

    Notes
    -----
    All hops of a leg are measured, not only its end: what an attacker does inside a leg
    that passes as a whole would else be shared by all of it. The culprit is the hop with
    the lowest marginal median vote, not the first below the line (measured: 4 honest hops
    blamed against 11, design section 2). The prefix before it is judged again, so that two
    attackers in a leg are both found.
    """
    num_hops = len(utilities) - 1
    rises = _medians(utilities[1:] - utilities[0], weights)
    whole = rises[-1] if num_hops else float("nan")
    marginals = _medians(np.diff(utilities, axis=0), weights)
    if np.isnan(whole):
        unknown = tuple(float("nan") for _ in range(num_hops))
        return LegVerdict(passed=None, kept=0, culprits=(), rises=rises, votes=unknown)
    votes = tuple(whole / num_hops if np.isnan(vote) else vote for vote in marginals)
    fails = [vote < -tolerance * part for vote, part in zip(votes, patience, strict=True)]
    kept, culprits = num_hops, []
    while kept > 0 and (any(fails[:kept]) or rises[kept - 1] < -_LEG * tolerance):
        kept = int(np.argmin([v / p for v, p in zip(votes[:kept], patience[:kept], strict=True)]))
        culprits.append(kept)
    return LegVerdict(
        passed=not culprits, kept=kept, culprits=tuple(culprits), rises=rises, votes=votes
    )


def _medians(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(weighted_median(row, weights) for row in rows)
