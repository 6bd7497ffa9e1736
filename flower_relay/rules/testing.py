"""Testing: who examines, what a vote is, and what the committee decides.

DeRelayL step 6. A vote is the change of a bounded utility, so that no single case and
no single examiner can drown the others; the verdict is the bond-weighted median.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "weighted_median",
]

Arrays = Mapping[str, NDArray[Any]]


def fault_of(candidate: Arrays, base: Arrays) -> str | None:
    """Why a candidate must not reach the examiners, or None.

    Returns
    -------
    str or None
        `mis-shaped` (names, shapes or types differ), `non-finite` (NaN or infinity) or
        `unchanged` (every number equals the base's). Copies of other models are found
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
    if all(np.array_equal(array, base[name]) for name, array in candidate.items()):
        return "unchanged"
    return None


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
    voted = ~np.isnan(votes)
    if not voted.any():
        return float("nan")
    values, mass = votes[voted], weights[voted]
    if mass.sum() <= 0:
        mass = np.ones_like(values)
    order = np.argsort(values, kind="stable")
    values, below = values[order], np.cumsum(mass[order]) / mass.sum()
    first = int(np.searchsorted(below, 0.5 - 1e-12))
    if abs(below[first] - 0.5) <= 1e-12 and first + 1 < len(values):
        heavier = first + 1 + int(np.argmax(mass[order][first + 1 :] > 0))
        return float((values[first] + values[heavier]) / 2)
    return float(values[first])


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
        leg's base; NaN where that model was not tested.
    votes : tuple of float
        Each hop's own (marginal) vote; where a hop was not measured, the even share of
        the leg's; NaN when nobody voted.
    """

    passed: bool | None
    kept: int
    culprits: tuple[int, ...]
    rises: tuple[float, ...]
    votes: tuple[float, ...]


def judge_leg(
    utilities: NDArray[np.float64], weights: NDArray[np.float64], tolerance: float
) -> LegVerdict:
    """Judge a leg from the utilities of its base and of each hop's model.

    Parameters
    ----------
    utilities : array of shape (hops + 1, examiners)
        Row 0 is the base. Rows of untested models are NaN; the last row is always
        tested, and all rows are once the leg as a whole has failed.
    weights : array of shape (examiners,)
        Bonds.
    tolerance : float
        The leg (and each prefix) passes when its median rise is at least −tolerance.

    Notes
    -----
    The culprit is the hop with the lowest marginal median vote, not the first below the
    line (measured: 4 honest hops blamed against 11, design section 2). The prefix
    before it is judged again, so that two attackers in a leg are both found.
    """
    num_hops = len(utilities) - 1
    rises = _medians(utilities[1:] - utilities[0], weights)
    whole = rises[-1] if num_hops else float("nan")
    marginals = _medians(np.diff(utilities, axis=0), weights)
    if np.isnan(whole):
        unknown = tuple(float("nan") for _ in range(num_hops))
        return LegVerdict(passed=None, kept=0, culprits=(), rises=rises, votes=unknown)
    votes = tuple(whole / num_hops if np.isnan(vote) else vote for vote in marginals)
    kept, culprits = num_hops, []
    while kept > 0 and rises[kept - 1] < -tolerance:
        kept = int(np.argmin(votes[:kept]))
        culprits.append(kept)
    return LegVerdict(
        passed=not culprits, kept=kept, culprits=tuple(culprits), rises=rises, votes=votes
    )


def _medians(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(weighted_median(row, weights) for row in rows)
