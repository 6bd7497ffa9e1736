"""Standing: bonds weigh votes, debts delay turns and raise deposits.

Neither is a coin and neither can be handed on. Bonds make lying examiners weightless.
Debts grow where somebody's hops do worse than is usual here and now; who is in debt takes
shorter strides and is measured more finely, and waits when hops of its are rejected. Departure
from the paper, which has no memory of behaviour: design, section 2, and docs/robustness.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EXPECTED",
    "deposit_due",
    "leeway",
    "new_bonds",
    "new_debt",
    "patience_with",
    "stride_of",
    "usual_margin",
    "waiting_cycles",
]

_MOST_DOUBLINGS = 20  # 2²⁰ cycles is for ever, and keeps the integers small

EXPECTED = (-1.5,) * 3
"""Margins that a run begins with: until there are others, a hop may cost so many tolerances.

In a federation that knows nothing yet every hop overthrows what the others taught; without
these, most of the first trainers with unusual data were rejected (docs/robustness.md).
"""

_PROVEN = 3
"""Accepted hops from which on a trainer without debt has the benefit of the doubt."""

_BENEFIT = 2.0
"""The tolerances that are its then."""

_MOST_USUAL = 3.0
"""Tolerances below zero beyond which no more leeway is given."""


def usual_margin(margins: Sequence[float]) -> float:
    """The median of the latest margins of whole hops, those that a run begins with included.

    Where everybody's data differ, everybody's hops cost the others something for a while.
    What tells an attacker is that its hops cost more than is usual, and as long as attackers
    are fewer than half, what is usual is set by the others.
    """
    return float(np.median(margins))


def leeway(usual: float) -> float:
    """The tolerances that a hop has: 1 + min(3, max(0, −usual)).

    With one class of ten each, everybody's hop costs nine tenths of the others more than a
    tolerance at first, and a gate that knew only zero would reject all of them (measured: final
    accuracy 0.10 instead of 0.97 at a learning rate of 0.2). What is usual is given at most for
    three tolerances, so that falling together does not carry on.
    """
    return 1.0 + min(_MOST_USUAL, max(0.0, -usual))


def new_debt(debt: float, margin: float, usual: float, scale: float, allowance: float) -> float:
    """Debt after a hop: max(0, d + clip((usual − margin) / scale, −1, 1) − allowance).

    Parameters
    ----------
    debt : float
        Debt before.
    margin : float
        The committee's median vote on the hop, in tolerances of its trainer; a blamed hop
        without a candidate counts as −∞, whole harm whatever is usual.
    usual : float
        The margin that is usual now.
    scale : float
        How far below that a hop counts as whole harm, in tolerances.
    allowance : float
        What every hop is forgiven.
    """
    harm = float(np.clip((usual - margin) / scale, -1, 1))
    return max(0.0, debt + harm - allowance)


def stride_of(debt: float) -> float:
    """The part of a hop that is taken: 2^−⌊d⌋.

    An honest trainer with unusual data so goes on teaching what only it knows, without
    overthrowing what the others taught, and gets out of debt; an attacker's hops shrink.
    """
    return float(2.0 ** -min(int(debt), _MOST_DOUBLINGS))


def patience_with(stride: float, accepted: int) -> float:
    """The part of the tolerance that a hop has: its stride's square, twice of it if proven.

    What a step in no direction in particular costs grows with the square of its length, and
    what an honest step gains with its length. A tolerance that shrank like the stride would
    let noise through as soon as it is short (measured with 40 % noise: final accuracy 0.619
    instead of 0.906; docs/robustness.md).

    A class that only few have is forgotten while they wait, and whoever teaches it again costs
    the others more than a tolerance. Rejecting that keeps it forgotten, and the next try costs as
    much. So a trainer whose hops were accepted three times and who owes less than one has twice
    the tolerance; harmful hops put it into debt all the same.

    Parameters
    ----------
    stride : float
        The part of the hop that was taken; all of it unless its trainer is in debt.
    accepted : int
        Its trainer's hops that were accepted so far.
    """
    proven = stride == 1 and accepted >= _PROVEN
    return _BENEFIT if proven else stride**2


def waiting_cycles(debt: float) -> int:
    """Cycles to sit out after a hop that was rejected: 2^⌊d⌋ − 1, none below a debt of one."""
    return int(2 ** min(int(debt), _MOST_DOUBLINGS) - 1)


def deposit_due(debt: float, unit: int) -> int:
    """Units to lock before a hop: u · 2^⌊d⌋."""
    return int(unit * 2 ** min(int(debt), _MOST_DOUBLINGS))


def new_bonds(
    bonds: NDArray[np.float64],
    votes: NDArray[np.float64],
    verdict: float,
    *,
    tolerance: float,
    gain: float,
) -> NDArray[np.float64]:
    """Bonds of a committee after a hop: b + gain · v · m, between 0 and 1.

    v is an examiner's vote and m the committee's, each in tolerances and at most one. Who
    mostly sees what the others see stays at 1 however unusual its data; who mostly sees the
    opposite goes to 0, whether or not anything was rejected. Judging examiners by verdicts
    only, as we did before, teaches nothing while all that attackers do is let pass.

    Parameters
    ----------
    bonds, votes : arrays of shape (examiners,)
        A vote of NaN is an abstention and leaves the bond alone.
    verdict : float
        The committee's weighted median; for a planted model, −tolerance.
    gain : float
        What a vote on which all are clear moves a bond by.

    Returns
    -------
    array of shape (examiners,)
    """
    said = np.clip(np.nan_to_num(votes, nan=0.0) / tolerance, -1, 1)
    found = float(np.clip(verdict / tolerance, -1, 1))
    moved: NDArray[np.float64] = np.clip(bonds + gain * said * found, 0.0, 1.0)
    return moved
