"""Sitting out what a turn took is counted in hops as well: cycles become short where all wait."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from flower_relay.mechanism import blocks
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.deposit import decide_next_deposit
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.state import State, begin
from flower_relay.rules.outcomes import Fault
from flower_relay.settings import RelaySettings

NODES = 4


def federation() -> State:
    """Four founders of whom nobody tests anything, so that a round is what its claims say."""
    settings = RelaySettings(examiners=0, deposit_unit=0.0, max_leg=1)
    return begin(blocks.Genesis(
        settings=asdict(settings), model="00" * 32, bound=1.0, participants=tuple("abcd"),
        utilities=(0.5,) * NODES,
    ))  # fmt: skip


def turn(state: State, number: int, *, stallers: set[int], turns: int = 1) -> int:
    """Play a round of one hop; its trainer. A staller's turn takes long and brings nothing."""
    deposit = decide_next_deposit(state, range(NODES), state.hops)
    assert deposit is not None
    (trainer,) = deposit.lanes[0].trainers
    apply(state, deposit)
    claim = blocks.HopClaim(
        trainer=trainer, base=deposit.lanes[0].base, model=f"{number + 1:064x}", fault=None
    )
    if trainer in stallers:
        claim = replace(claim, model=None, fault=Fault.LEFT, turns=turns)
    apply(state, blocks.Commitment(round=deposit.round, lanes=((claim,),)))
    apply(state, decide_settlement(state))
    return trainer


def turns_of(state: State, hops: int, *, stallers: set[int], turns: int = 1) -> list[int]:
    return [turn(state, number, stallers=stallers, turns=turns) for number in range(hops)]


def gaps(order: list[int], trainer: int) -> list[int]:
    places = [place for place, one in enumerate(order) if one == trainer]
    return [after - before for before, after in pairwise(places)]


def test_everybody_has_turns_where_nobody_stalls() -> None:
    assert sorted(turns_of(federation(), 8, stallers=set())) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_who_stalls_lets_the_others_train_three_cycles_worth_of_hops_then_six() -> None:
    order = turns_of(federation(), 60, stallers={0})
    (first, second, *_) = gaps(order, 0)
    assert first > 3 * NODES and second > 6 * NODES


def test_hops_are_waited_for_even_where_the_cycles_are_over_at_once() -> None:
    state = federation()
    while turn(state, state.hops, stallers={0}) != 0:
        pass
    since = state.hops
    for _ in range(2 * NODES):
        state.cycle += 100  # as where everybody waits, and cycles pass without hops
        assert turn(state, state.hops, stallers=set()) != 0
    assert state.who.sits_until[0] == since + 3 * NODES


def test_a_slow_device_that_hands_in_its_hop_sits_out_one_cycles_worth() -> None:
    state = federation()
    deposit = decide_next_deposit(state, range(NODES), 0)
    assert deposit is not None
    apply(state, deposit)
    (trainer,) = deposit.lanes[0].trainers
    claim = blocks.HopClaim(
        trainer=trainer, base=deposit.lanes[0].base, model="11" * 32, fault=None, turns=1
    )
    apply(state, blocks.Commitment(round=1, lanes=((claim,),)))
    apply(state, decide_settlement(state))
    assert state.who.sits_until[trainer] == 1 + NODES


@pytest.mark.parametrize("turns", [1, 3])
def test_where_everybody_stalls_the_turns_go_on(turns: int) -> None:
    order = turns_of(federation(), 12, stallers=set(range(NODES)), turns=turns)
    assert len(order) == 12 and set(order) == set(range(NODES))
