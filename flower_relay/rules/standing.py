"""Standing: bonds weigh votes, debts delay turns and raise deposits.

Neither is a coin and neither can be handed on. Bonds make lying examiners weightless;
debts stop an attacker that stays just under the tolerance at every hop. Departure from
the paper, which has no memory of behaviour: design, sections 2 and 7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["deposit_due", "new_bonds", "new_debt", "waiting_cycles"]

_MOST_DOUBLINGS = 20  # 2²⁰ cycles is for ever, and keeps the integers small


def new_debt(debt: float, vote: float, tolerance: float, allowance: float) -> float:
    """Debt after a hop: max(0, d + clip(−vote / tolerance, −1, 1) − allowance).

    Parameters
    ----------
    debt : float
        Debt before, in tolerances.
    vote : float
        The committee's median vote on the hop; a blamed hop without a candidate counts
        as −1.
    tolerance : float
        How far a vote may fall; with 0 any harm counts as a whole tolerance.
    allowance : float
        What every hop is forgiven.
    """
    harm = float(np.clip(-vote / tolerance, -1, 1)) if tolerance > 0 else float(np.sign(-vote))
    return max(0.0, debt + harm - allowance)


def waiting_cycles(debt: float) -> int:
    """Cycles to sit out after a hop: 2^⌊d⌋ − 1."""
    return int(2 ** min(int(debt), _MOST_DOUBLINGS) - 1)


def deposit_due(debt: float, unit: int) -> int:
    """Units to lock before a hop: u · 2^⌊d⌋."""
    return int(unit * 2 ** min(int(debt), _MOST_DOUBLINGS))


def new_bonds(
    bonds: NDArray[np.float64],
    votes: NDArray[np.float64],
    accepted: bool,
    *,
    tolerance: float,
    vouching_penalty: float,
    condemning_penalty: float,
    condemning_margin: float,
    agreeing_gain: float,
) -> NDArray[np.float64]:
    """Bonds of a committee after a verdict.

    Vouching for what is rejected and clearly condemning what is accepted cost a share
    of the bond; agreeing restores some, never above 1. Voting a little below the line
    on an accepted hop costs nothing: data differ.

    Parameters
    ----------
    bonds, votes : arrays of shape (examiners,)
        A vote of NaN is an abstention and leaves the bond alone.
    accepted : bool
        The committee's verdict.

    Returns
    -------
    array of shape (examiners,)
    """
    vouches = votes >= -tolerance
    condemns = votes < -condemning_margin * tolerance
    factor = np.ones_like(bonds)
    if accepted:
        factor[condemns] = 1 - condemning_penalty
        factor[vouches] = 1 + agreeing_gain
    else:
        factor[vouches] = 1 - vouching_penalty
        factor[votes < -tolerance] = 1 + agreeing_gain
    return np.minimum(1.0, bonds * factor)
