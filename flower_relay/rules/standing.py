"""Standing: bonds weigh votes, debts delay turns and raise deposits.

Neither is a coin and neither can be handed on. Bonds make lying examiners weightless; what
joined a running federation has weight only as far as its own accepted hops have earned it.
Debts grow where somebody's hops rank low among everybody's (`rules.evidence`). A trainer in debt
takes shorter strides and is measured more finely, and waits when a hop of its own is rejected.
Departure from the paper, which has no memory of behaviour: docs/robustness.md.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "A_HOP",
    "BOND_GAIN",
    "DEBT_ALLOWANCE",
    "NEWCOMER_BOND",
    "deposit_due",
    "earned_weights",
    "forgiven",
    "is_cautious",
    "new_bonds",
    "new_debt",
    "resting_until",
    "sat_out",
    "stride_of",
    "vote_weights",
    "waiting_cycles",
]


DEBT_ALLOWANCE = 0.3
"""Debt that every hop is forgiven where examiners hold all of their bonds (`forgiven`)."""

BOND_GAIN = 0.2
"""How far one clear vote moves its examiner's bond."""

NEWCOMER_BOND = 0.1
"""The bond of who joined after genesis, after its first accepted hop."""

A_HOP = 0.05
"""Weight that each of its accepted hops earns, up to 1."""

_HELD = 0.95
"""The part of their bonds that examiners hold where they agree."""

_RISEN = 0.5
"""Tolerances that a run has risen by when its model knows something."""

_CYCLES = 2
"""Cycles after which bonds tell in any case."""

_OF_THE_OTHERS = 0.5
"""What those who still earn weigh together, at most, as a part of what the others weigh."""

_FOR_NOTHING = 3
"""Hops that others could have trained in the time of a further turn."""

_MOST_DOUBLINGS = 20  # 2²⁰ cycles is for ever, and keeps the integers small


def is_cautious(bonds: NDArray[np.float64], risen: float, tolerance: float, cycle: int) -> bool:
    """Whether first debts count, all seats of a committee are taken, and every hop is audited.

    Who lies is found out and loses its bond: by planted models at once, by votes on hops once the
    model knows something. Until it does, honest and hostile hops look alike as well. So a run is
    cautious until it has risen, or two cycles are over; and whenever bonds were lost. Else nobody
    lies, and a few say the same as all would.

    Parameters
    ----------
    bonds : array of shape (examiners,)
        Of those who have examined so far, are here, and have earned full weight.
    risen : float
        The highest level so far, as a fraction of the utility's bound.
    tolerance : float
        The setting.
    cycle : int
    """
    # Exactly rounded, and with slack: bonds move by tenths, so that the limit itself is common.
    agree = len(bonds) > 0 and math.fsum(bonds) >= _HELD * len(bonds) - 1e-9
    return not (agree and (risen >= _RISEN * tolerance or cycle >= _CYCLES))


def forgiven(bonds: NDArray[np.float64]) -> float:
    """Debt that a hop is forgiven now: 0.3 times the part of their bonds that examiners hold.

    Where two fifths of the hops harm, the honest ones rank higher without doing anything. Forgiving
    0.3 then lets those through who harm a little. Whoever harms mostly lies as an
    examiner, too. So bonds that were lost tell about how many there are.

    Parameters
    ----------
    bonds : array of shape (examiners,)
        As for `is_cautious`; before anybody has examined, all are held.
    """
    # Exactly rounded: the same on every machine.
    return DEBT_ALLOWANCE * (math.fsum(bonds) / len(bonds) if len(bonds) else 1.0)


def new_debt(debt: float, harm: float, allowance: float = DEBT_ALLOWANCE) -> float:
    """Debt after a hop: max(0, d + harm − allowance).

    Of a participant like all others, harm is anything between −1 and 1, equally often. Where 0.3
    is forgiven, each of its two debts then is below 1 in eleven hops of twelve, whatever the
    world. With both together it takes three quarters of each hop on average
    (`tests/test_rules_standing.py`).

    Parameters
    ----------
    debt : float
        Debt before.
    harm : float
        1 for a hop that was rejected or gave no candidate; else from its rank
        (`evidence.harm_of`).
    allowance : float
        What a hop is forgiven now (`forgiven`).
    """
    return max(0.0, debt + harm - allowance)


def stride_of(debt: float) -> float:
    """The part of a hop that is taken: 1, ½, ¼, … at a debt of 0, 1, 2, …, evenly in between.

    So little evidence counts a little, at once. An honest trainer with unusual data goes on
    teaching what only it knows, without overthrowing what the others taught, and gets out of
    debt; an attacker's hops shrink.
    """
    debt = min(debt, float(_MOST_DOUBLINGS))
    halvings = int(debt)  # and no power of a fraction: the last bit is the same on every machine
    return float(2.0**-halvings * (1.0 - (debt - halvings) / 2))


def waiting_cycles(debt: float) -> int:
    """Cycles to sit out after a hop that was rejected: 2^⌊d⌋ − 1, none below a debt of one."""
    return int(2 ** min(int(debt), _MOST_DOUBLINGS) - 1)


def resting_until(cycle: int, silences: int) -> int:
    """The cycle in which who said nothing so often in a row is asked again: 1, 3, 7 later.

    It trains meanwhile: what it says nothing about is not what it can teach.
    """
    return cycle + int(2 ** min(silences, _MOST_DOUBLINGS) - 1)


def sat_out(turns: int, stalls: int) -> int:
    """Cycles to sit out for a turn that took long; more, and each time twice as many, for nothing.

    A device that is slow and hands in a hop sits out one cycle for three times what is usual. Who
    has the others wait for nothing sits out one for each time that somebody could have trained,
    and twice as many for each such turn in a row. Nobody pays a coin for it.

    Parameters
    ----------
    turns : int
        Further turns that its time used up.
    stalls : int
        Such turns of its in a row, this one included; 0 where it handed in a hop.
    """
    if not stalls:
        return turns
    return turns * _FOR_NOTHING * int(2 ** min(stalls - 1, _MOST_DOUBLINGS))


def deposit_due(debt: float, unit: int) -> int:
    """Units to lock before a hop: u · 2^⌊d⌋."""
    return int(unit * 2 ** min(int(debt), _MOST_DOUBLINGS))


def earned_weights(
    founders: NDArray[np.bool_], accepted: NDArray[np.int64], a_hop: float
) -> NDArray[np.float64]:
    """The most that each participant's vote may weigh: 1 for a founder, else what it earned.

    Founders rest on the operator's word: it says who was there at genesis. Who joined later has
    what its own accepted hops have earned, and examining earns none of it.

    Parameters
    ----------
    founders : boolean array of shape (participants,)
        Who is named in the genesis block.
    accepted : integer array of shape (participants,)
        Accepted hops of each.
    a_hop : float
        What one of them earns.
    """
    earned: NDArray[np.float64] = np.where(founders, 1.0, np.minimum(1.0, a_hop * accepted))
    return earned


def vote_weights(bonds: NDArray[np.float64], earned: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the votes of a committee weigh: bond times what was earned.

    Those who have not earned all of it weigh together at most half of what the others do, a
    third of the committee, however many they are; without the others they weigh nothing.

    Parameters
    ----------
    bonds, earned : arrays of shape (examiners,)
    """
    weights = bonds * earned
    earning = earned < 1
    most, theirs = _OF_THE_OTHERS * weights[~earning].sum(), weights[earning].sum()
    if theirs > most:
        weights[earning] *= most / theirs
    return weights


def new_bonds(
    bonds: NDArray[np.float64],
    votes: NDArray[np.float64],
    verdict: float,
    *,
    tolerance: float,
    gain: float = BOND_GAIN,
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
        What the committee says (`gate.said_by`); for planted models, −tolerance.
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
