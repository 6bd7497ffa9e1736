"""Speculation: what the next deposit will be, if the legs under test pass.

The tests of a leg take about as long as a hop. Supposing that everybody on the committee
answers and vouches, everything that the next deposit depends on is known before they do: who
has a turn left, what examining earns, the baton. So the next legs can begin, and `verify` can
tell who was to train on them.
"""

from __future__ import annotations

from dataclasses import replace

from ..blocks import Deposit, Testing
from ..rules.auction import auction_order
from ..settings import RelaySettings
from ..state import State, apply
from .deposits import Turns, decide_next_deposit
from .publication import Averages, decide_publication
from .settlement import decide_settlement

__all__ = ["can_be_supposed", "decide_ahead", "fails"]

_VOUCHED, _DROWNED = 1.0, 0.0
"""Utilities that are supposed of every model, and of a planted one."""


def can_be_supposed(settings: RelaySettings) -> bool:
    """Whether a leg that passes says what the next ones start from.

    Where candidates or lanes are ranked, only the votes say which of them are gone on with.
    """
    alone = settings.lanes == 1 or settings.lanes_meet == "average"
    return settings.topology == "chain" and settings.examiners > 0 and alone


def decide_ahead(
    state: State,
    testing: Testing,
    averages: Averages,
    hops: int,
    turns: Turns = auction_order,
) -> tuple[State, Deposit] | None:
    """The deposit that follows if everybody asked vouches, and the state that it leads to.

    Parameters
    ----------
    state : State
        After a commitment; it is not changed.
    testing : Testing
        The committee and the models that it is asked about; its votes are not looked at.
    averages : Averages
        Its trails are not looked at.
    hops : int
        Hops of the run so far, the committed ones included.

    Returns
    -------
    (state, deposit) or None
        None where it cannot be told: after a cycle pay that depends on votes decides who goes
        first, and without budget or a committee nothing follows.
    """
    deposit = state.deposit
    if deposit is None or not testing.committee or not can_be_supposed(state.settings):
        return None
    supposed = state.copy()
    apply(supposed, _vouched(testing))
    apply(supposed, decide_settlement(supposed))
    apply(supposed, decide_publication(supposed, averages))
    following = decide_next_deposit(supposed, deposit.present, hops, turns)
    paid = state.settings.rewards == "contribution"
    if following is None or (paid and following.cycle > state.cycle):
        return None
    return apply(supposed, following), following


def fails(state: State, testing: Testing) -> bool:
    """Whether the votes of a test undo a leg, the state being that after its commitment."""
    settled = decide_settlement(apply(state.copy(), testing))
    return any(lane.passed is False for lane in settled.lanes)


def _vouched(testing: Testing) -> Testing:
    said = (_VOUCHED,) * len(testing.committee)
    drowned = (_DROWNED,) * len(testing.committee)
    return replace(
        testing,
        utilities=tuple(drowned if m == testing.planted else said for m in testing.models),
        ahead=(),
    )
