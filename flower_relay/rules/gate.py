"""The gate: when a hop passes, all of it on one page.

A vote is the change of a bounded utility. A hop's own vote is the lower of its committee's weighted
median and mean. The hop passes when that is not below its line: minus the tolerance, and minus what
hops usually cost here and now, for the part of the hop that is taken. A leg is judged hop by hop,
and the culprit is the hop that is farthest below its line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .votes import is_quorate, mean_vote, weighted_median

__all__ = [
    "EXPECTED",
    "LegVerdict",
    "allowed",
    "judge_leg",
    "said_by",
    "squared",
    "usual_cost",
    "usual_margin",
]


MOST_SAID = 3.0
"""What a vote counts in a mean at most: three times what noise of the hop's length may cost."""


_LEG = 2.0
"""Tolerances by which a whole leg may fall: its hops may each fall by one, but not add up."""


@dataclass(frozen=True, kw_only=True)
class LegVerdict:
    """What the committee decided about one leg of k hops.

    Attributes
    ----------
    passed : bool or None
        Whether the whole leg passed; None when too few voted.
    kept : int
        Length of the recognised prefix.
    culprits : tuple of int
        Positions of the hops that are blamed, latest first.
    rises : tuple of float
        For the base's successor at each position, the committee's vote on the rise over the
        leg's base; NaN where nobody judged that model.
    votes : tuple of float
        Each hop's own (marginal) vote; where nobody judged a hop, the even share of the
        leg's; NaN when nobody voted.
    lines : tuple of float
        Below which vote each hop does not pass.
    """

    passed: bool | None
    kept: int
    culprits: tuple[int, ...]
    rises: tuple[float, ...]
    votes: tuple[float, ...]
    lines: tuple[float, ...]


def said_by(votes: NDArray[np.float64], weights: NDArray[np.float64], line: float) -> float:
    """What a committee says together: the lower of the weighted median and the weighted mean.

    A median hides what less than half of the weight sees. Where examiners hold few classes, a
    model that forgets one of two helps half of them a little, and costs the others all they have.
    A mean tells. It is easier to move, so no vote counts more than three times the line: a third
    of the weight has to see clear harm. And harm that the median sees cannot be talked away.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        A vote of NaN is an abstention.
    line : float
        What the hop may fall by, before what is usual is added. It shrinks with the hop: a cut that
        stayed as it is would let one liar of five reject every short hop.

    Returns
    -------
    float
        NaN if nobody with weight voted.
    """
    return min(weighted_median(votes, weights), mean_vote(votes, weights, MOST_SAID * line))


Saying = Callable[[NDArray[np.float64], NDArray[np.float64], float], float]
"""What a committee says together, of its votes, their weights and the line."""

Allowing = Callable[[float, float], float]
"""The tolerances that a hop may fall by, of its stride and what hops usually cost."""


def allowed(stride: float, usual: float) -> float:
    """Tolerances that a hop may fall by: s² + s · u for a stride of s where hops usually cost u.

    What a step in no direction in particular costs grows with the square of its length. A tolerance
    that shrank like the stride would let noise through as soon as it is short (measured with 40 %
    noise: final accuracy 0.619 instead of 0.906; docs/robustness.md). What an honest step gains,
    and what it costs those who hold other data, goes with its length. So does what is usual: where
    it shrank like the square, honest hops were rejected for being short.

    Parameters
    ----------
    stride : float
        The part of the hop that was taken; all of it unless its trainer is in debt.
    usual : float
        What whole hops usually cost, in tolerances (`usual_cost`).
    """
    return squared(stride) + stride * usual


def squared(stride: float) -> float:
    """The part of the tolerance itself that a hop has: its stride's square."""
    return stride**2


def judge_leg(
    utilities: NDArray[np.float64],
    weights: NDArray[np.float64],
    tolerance: float,
    strides: Sequence[float],
    usual: float,
    says: Saying = said_by,
    allows: Allowing = allowed,
) -> LegVerdict:
    """Judge a leg from the utilities of its base and of each hop's model.

    Parameters
    ----------
    utilities : array of shape (hops + 1, examiners)
        Row 0 is the base.
    weights : array of shape (examiners,)
        What each vote weighs; 0 for who was not asked. Two thirds of it have to vote on the
        whole leg.
    tolerance : float
        A hop passes when its vote is at least minus the tolerance times what it is `allowed`, a leg
        (and each prefix) when moreover its rise is at least minus two tolerances of a whole hop.
    strides : sequence of float
        The part of each hop that is taken.
    usual : float
        What whole hops usually cost here and now, in tolerances (`usual_cost`).
    says, allows : callable
        What a committee says together, and what a hop may fall by; others in experiments only.

    Notes
    -----
    All hops of a leg are measured, not only its end: what an attacker does inside a leg
    that passes as a whole would else be shared by all of it. The culprit is the hop with
    the lowest vote beside its line, not the first below it (measured: 4 honest hops
    blamed against 11, design section 2). The prefix before it is judged again, so that two
    attackers in a leg are both found.
    """
    num_hops = len(utilities) - 1
    rises = [says(row, weights, _LEG * tolerance) for row in utilities[1:] - utilities[0]]
    whole = rises[-1] if num_hops else float("nan")
    heard = ~np.isnan(utilities[-1] - utilities[0])
    marginals = [
        says(row, weights, tolerance * squared(stride))
        for row, stride in zip(np.diff(utilities, axis=0), strides, strict=True)
    ]
    falls = [tolerance * allows(stride, usual) for stride in strides]
    lines = tuple(-fall for fall in falls)
    if np.isnan(whole) or not is_quorate(heard, weights):
        unknown = tuple(float("nan") for _ in range(num_hops))
        return LegVerdict(
            passed=None, kept=0, culprits=(), rises=tuple(rises), votes=unknown, lines=lines
        )
    votes = tuple(whole / num_hops if np.isnan(vote) else vote for vote in marginals)
    fails = [vote < line for vote, line in zip(votes, lines, strict=True)]
    least = -_LEG * tolerance * allows(1.0, usual)
    kept, culprits = num_hops, []
    while kept > 0 and (any(fails[:kept]) or rises[kept - 1] < least):
        kept = int(np.argmin([v / f for v, f in zip(votes[:kept], falls[:kept], strict=True)]))
        culprits.append(kept)
    return LegVerdict(
        passed=not culprits,
        kept=kept,
        culprits=tuple(culprits),
        rises=tuple(rises),
        votes=votes,
        lines=lines,
    )


EXPECTED = (-1.5,) * 3
"""Margins that a run begins with: until there are others, a hop may cost so many tolerances.

In a federation that knows nothing yet every hop overthrows what the others taught; without
these, most of the first trainers with unusual data were rejected (docs/robustness.md).
"""


_MOST_USUAL = 3.0
"""Tolerances that are allowed at most for what hops usually cost."""


def usual_margin(margins: Sequence[float]) -> float:
    """The median of the latest margins, those that a run begins with included.

    A shortened hop's vote is divided by its stride.

    Where everybody's data differ, everybody's hops cost the others something for a while.
    What tells an attacker is that its hops cost more than is usual, and as long as attackers
    are fewer than half, what is usual is set by the others.
    """
    return float(np.median(margins))


def usual_cost(margin: float) -> float:
    """What a whole hop usually costs the others, in tolerances: min(3, max(0, −margin)).

    With one class of ten each, everybody's hop costs nine tenths of the others more than a
    tolerance at first, and a gate that knew only zero would reject all of them (measured: final
    accuracy 0.10 instead of 0.97 at a learning rate of 0.2). What is usual is given at most for
    three tolerances, so that falling together does not carry on.
    """
    return min(_MOST_USUAL, max(0.0, -margin))
