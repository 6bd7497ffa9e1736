"""Settlement: rank, recognise, and divide what a culprit forfeits (DeRelayL step 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .outcomes import Fault, Outcome

__all__ = ["compensation", "is_forgiven", "num_recognised", "rank"]


def rank(scores: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions by score, best first; ties keep their order, the unscored come last."""
    values = np.asarray(scores, dtype=np.float64)
    order: NDArray[np.int64] = np.argsort(
        np.where(np.isnan(values), np.inf, -values), kind="stable"
    )
    return order


def num_recognised(candidates: int, share: float, *, at_least: int = 1) -> int:
    """How many of the ranked candidates are recognised: ⌊share · candidates⌋.

    The paper's floor() can recognise nobody, and then the economy has no owners left
    and dies; `at_least = 0` is the paper's rule, 1 is ours.
    """
    return min(candidates, max(int(share * candidates), at_least))


def is_forgiven(fault: Fault | Outcome, left_before: int) -> bool:
    """Whether a hop without a candidate is nobody's fault: it was late, or its trainer left, once.

    Networks and machines fail. Who leaves at the next turn, too, may say so only; from then on it
    counts like any other fault, until a turn of its ends in another way. To be late says only that
    others were faster.

    Parameters
    ----------
    fault : Fault or Outcome
        What became of the hop.
    left_before : int
        Turns in a row before this one in which its trainer left.
    """
    return fault == Fault.LATE or (fault == Fault.LEFT and left_before == 0)


def compensation(forfeit: int, voided: int) -> tuple[int, int]:
    """Divide a culprit's forfeit evenly among those whose work it voided.

    Returns
    -------
    (each, burned) : tuple of int
        Units for each voided trainer, and what is left over and leaves circulation.
    """
    if voided == 0:
        return 0, forfeit
    return forfeit // voided, forfeit % voided
