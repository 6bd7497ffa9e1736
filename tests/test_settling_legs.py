"""Legs settled by hand: who pays for a hop that failed, and what its committee must be."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from flower_relay.mechanism import blocks
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.deposit import decide_deposits
from flower_relay.mechanism.payments import Tally
from flower_relay.mechanism.randomness import generator
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.silence import silent_in
from flower_relay.mechanism.state import State, begin
from flower_relay.mechanism.testing import decide_tests
from flower_relay.rules.coins import COIN
from flower_relay.settings import RelaySettings

SETTINGS = RelaySettings(examiners=4, planted=0.0, deposit_unit=1.0, first_debt=0.0)
TRAINERS, COMMITTEE = (0, 1, 2), (3, 4, 5, 6)
FEDERATION = TRAINERS + COMMITTEE


def federation(**changes: float) -> State:
    """Seven founders with five coins each; the first three will train, the others examine."""
    state = begin(blocks.Genesis(
        settings=asdict(replace(SETTINGS, **changes)), model="genesis", bound=1.0,
        participants=tuple("abcdefg"), utilities=(0.5,) * 7,
    ))  # fmt: skip
    state.who.coins[:] = 5 * COIN
    return state


def leg(*ends: str | None, name: str = "m") -> tuple[blocks.HopClaim, ...]:
    """One claim a trainer: its fault, or None for a model `m0`, `m1`, ..."""
    claims: list[blocks.HopClaim] = []
    baton = "genesis"
    for trainer, fault in enumerate(ends):
        model = None if fault else f"{name}{trainer}"
        claims.append(blocks.HopClaim(trainer=trainer, base=baton, model=model, fault=fault))
        baton = model or baton
    return tuple(claims)


def settled(
    state: State, claims: tuple[blocks.HopClaim, ...], said: dict[str, tuple[float | None, ...]]
) -> blocks.Settlement:
    """Play a leg's round: the committee says a utility of each model, 0.5 of the base."""
    number, trainers = state.round + 1, tuple(claim.trainer for claim in claims)
    terms = blocks.LaneTerms(
        base="genesis", owner=None, owner_deposit=0, trainers=trainers,
        deposits=(COIN,) * len(trainers),
    )  # fmt: skip
    apply(state, blocks.Deposit(
        round=number, cycle=state.cycle, unit=COIN, present=FEDERATION, lanes=(terms,),
    ))  # fmt: skip
    apply(state, blocks.Commitment(round=number, lanes=(claims,)))
    rows = {"genesis": (0.5,) * len(COMMITTEE), **said}
    apply(state, blocks.Testing(
        round=number, committee=COMMITTEE, audited=(), planted=(),
        models=tuple(rows), utilities=tuple(rows.values()),
    ))  # fmt: skip
    block = decide_settlement(state)
    apply(state, block)
    return block


def outcomes(block: blocks.Settlement) -> list[str]:
    return [hop.outcome for hop in block.lanes[0].hops]


@pytest.mark.parametrize("fault", ["non-finite", "error", "timeout", "unchanged"])
def test_who_fails_on_a_hop_that_is_condemned_pays_nothing_and_goes_again(fault: str) -> None:
    state = federation()
    block = settled(state, leg(None, fault, fault), {"m0": (0.0,) * 4})
    assert outcomes(block) == ["rejected", "voided", "voided"]
    # The culprit's deposit is lost, and divided among the two whose turn it spoiled.
    assert state.who.coins[:3].tolist() == [4 * COIN, 5 * COIN + COIN // 2, 5 * COIN + COIN // 2]
    assert state.who.debt[0] > 0
    assert not state.who.debt[1:3].any()
    assert state.who.had_turn[:3].tolist() == [True, False, False]


def test_who_fails_on_a_hop_that_passes_pays() -> None:
    state = federation()
    block = settled(state, leg(None, "non-finite"), {"m0": (0.6,) * 4})
    assert outcomes(block) == ["accepted", "non-finite"]
    assert state.who.coins[:2].tolist() == [5 * COIN, 4 * COIN]
    assert state.who.debt[1] > 0


def test_a_fault_before_the_hop_that_is_condemned_is_its_senders() -> None:
    state = federation()
    block = settled(state, leg("error", None, "non-finite"), {"m1": (0.0,) * 4})
    assert outcomes(block) == ["error", "rejected", "voided"]
    assert state.who.coins[:2].tolist() == [4 * COIN, 4 * COIN]


def test_who_left_after_a_condemned_hop_has_left() -> None:
    block = settled(federation(), leg(None, "left"), {"m0": (0.0,) * 4})
    assert outcomes(block) == ["rejected", "left"]


def test_who_leaves_at_one_turn_pays_nothing_and_at_the_next_like_for_any_fault() -> None:
    state = federation()
    paid = []
    for end in ("left", "left", None, "left"):
        block = settled(state, leg(end), {} if end else {"m0": (0.6,) * 4})
        assert outcomes(block) == [end or "accepted"]
        paid.append(sum(p.units for p in block.payments if p.rule == "forfeit"))
    assert paid == [0, COIN, 0, 0]
    assert state.who.rejected[0] == 1


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ((0.6, 0.6, 0.6, None), "accepted"),  # three of four is more than two thirds
        ((0.6, 0.6, None, None), "untested"),
        ((0.0, 0.0, None, None), "untested"),
    ],
)
def test_a_verdict_needs_two_thirds_of_the_weight_that_was_drawn(
    said: tuple[float | None, ...], end: str
) -> None:
    state = federation()
    assert outcomes(settled(state, leg(None), {"m0": said})) == [end]
    assert state.who.coins[0] == 5 * COIN


def test_the_weight_of_who_has_none_is_not_waited_for() -> None:
    state = federation()
    state.who.bond[5:] = 0.0
    assert outcomes(settled(state, leg(None), {"m0": (0.6, 0.6, None, None)})) == ["accepted"]


def test_who_is_asked_and_says_nothing_rests_twice_as_long_each_time() -> None:
    state = federation()
    rests = []
    for name in ("a", "b", "c"):
        state.cycle = int(state.who.rests_until[6])
        settled(state, leg(None, name=name), {f"{name}0": (0.6, 0.6, 0.6, None)})
        rests.append(int(state.who.rests_until[6]) - state.cycle)
    assert rests == [1, 3, 7]
    settled(state, leg(None, name="d"), {"d0": (0.6,) * 4})
    settled(state, leg(None, name="e"), {"e0": (0.6, 0.6, 0.6, None)})
    assert state.who.rests_until[6] - state.cycle == 1  # it had answered in between
    assert not state.who.rests_until[:6].any()


def test_who_rests_is_not_drawn_and_trains() -> None:
    state = federation()
    state.who.rests_until[6] = 2
    drawn: set[int] = set()
    trained: set[int] = set()
    for number in range(1, 20):
        block = decide_deposits(
            state, np.ones(7, bool), generator(0, number, "deposits"), most_hops=9
        )
        trained |= {*block.lanes[0].trainers}
        claim = blocks.HopClaim(
            trainer=block.lanes[0].trainers[0], base="genesis", model="m", fault=None
        )
        commitment = blocks.Commitment(round=1, lanes=((claim,),))
        drawn |= {*decide_tests(state, f"head {number}", block, commitment).committee}
    assert drawn == set(range(6))
    assert 6 in trained


def test_who_alone_is_left_examines_although_it_rests() -> None:
    state = federation()
    state.who.rests_until[:] = 2
    state.who.waits_until[:] = 2
    state.who.waits_until[0] = 0
    block = decide_deposits(state, np.ones(7, bool), generator(0, 1, "deposits"), most_hops=1)
    assert block.lanes[0].trainers == (0,)
    claim = blocks.HopClaim(trainer=0, base="genesis", model="m", fault=None)
    commitment = blocks.Commitment(round=1, lanes=((claim,),))
    assert 0 not in decide_tests(state, "head", block, commitment).committee


def test_a_nonce_that_is_not_opened_is_silence() -> None:
    state = federation()
    nonce = blocks.NonceHash(participant=4, hash="00" * 32)
    state.commitment = blocks.Commitment(round=1, lanes=(leg(None),), nonce_hashes=(nonce,))
    state.testing = blocks.Testing(
        round=1, committee=COMMITTEE, audited=(), planted=(), models=("m0",),
        utilities=((0.5,) * 4,),
    )  # fmt: skip
    assert silent_in(state) == {4}


def test_a_turn_that_took_as_long_as_others_is_sat_out_afterwards() -> None:
    state = federation()
    (claim,) = leg(None)
    settled(state, (replace(claim, turns=2),), {"m0": (0.6,) * 4})
    assert state.who.waits_until.tolist()[:3] == [3, 0, 0]  # cycles 1 and 2 go by without it


def test_who_stalls_for_nothing_sits_out_twice_as_long_each_time_until_it_hands_in_a_hop() -> None:
    state = federation()
    out, paid = [], []
    for number, end in enumerate(("left", "timeout", "timeout", None, "timeout")):
        state.cycle = int(state.who.waits_until[0])
        state.who.vote_debt[0] = 0.0  # what a debt has it wait for is not counted here
        (claim,) = leg(end, name=f"m{number}")
        said = {} if end else {f"m{number}0": (0.6,) * 4}
        block = settled(state, (replace(claim, turns=2),), said)
        out.append(int(state.who.waits_until[0]) - state.cycle - 1)
        paid.append(sum(p.units for p in block.payments if p.rule == "forfeit") // COIN)
    assert out == [6, 12, 24, 2, 6]
    assert paid == [0, 1, 1, 0, 1]


def test_a_slow_device_that_hands_in_its_hops_pays_no_coin_and_sits_out_as_long_each_time() -> None:
    state = federation()
    for number in range(4):
        state.cycle = int(state.who.waits_until[0])
        (claim,) = leg(None, name=f"m{number}")
        block = settled(state, (replace(claim, turns=3),), {f"m{number}0": (0.6,) * 4})
        assert not [p for p in block.payments if p.rule == "forfeit"]
        assert state.who.waits_until[0] - state.cycle == 4
    assert state.who.stalls[0] == 0


def test_a_fault_that_comes_at_once_is_no_stall() -> None:
    state = federation()
    settled(state, leg("error"), {})
    assert state.who.stalls[0] == 0


def test_an_examiner_who_takes_long_rests_and_sits_turns_out() -> None:
    state = federation()
    terms = blocks.LaneTerms(
        base="genesis", owner=None, owner_deposit=0, trainers=(0,), deposits=(0,)
    )
    apply(state, blocks.Deposit(round=1, cycle=0, unit=0, present=FEDERATION, lanes=(terms,)))
    apply(state, blocks.Commitment(round=1, lanes=(leg(None),)))
    apply(state, blocks.Testing(
        round=1, committee=COMMITTEE, audited=(), planted=(), models=("genesis", "m0"),
        utilities=((0.5,) * 4, (0.6,) * 4), turns=(0, 0, 3, 0),
    ))  # fmt: skip
    apply(state, decide_settlement(state))
    assert state.who.rests_until.tolist() == [0, 0, 0, 0, 0, 3, 0]
    assert state.who.waits_until[5] == 4


def test_what_somebody_owes_is_both_debts_together() -> None:
    state = federation()
    state.who.vote_debt[0], state.who.audit_debt[0] = 0.25, 0.25
    assert state.who.debt[0] == Tally(state).debt_of(0) == 0.5
    assert state.stride(0) == 0.75


def test_the_first_cycle_of_a_chain_plants_models_in_every_test_and_a_later_one_seldom() -> None:
    state = federation(planted=0.01)
    block = decide_deposits(state, np.ones(7, bool), generator(0, 1, "deposits"), most_hops=1)
    claim = blocks.HopClaim(
        trainer=block.lanes[0].trainers[0], base="genesis", model="m", fault=None
    )
    commitment = blocks.Commitment(round=1, lanes=((claim,),))

    def planted(cycle: int) -> int:
        deposit = replace(block, cycle=cycle)
        heads = [f"head {number}" for number in range(20)]
        return sum(decide_tests(state, head, deposit, commitment).plants for head in heads)

    assert planted(0) == 20
    assert planted(1) < 5
