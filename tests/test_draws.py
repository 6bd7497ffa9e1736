"""Who bring the nonces of a draw: nobody's choice, and what becomes of a draw without enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

from flwr.app import Context, Message
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Admission, Commitment, Deposit, Genesis, Settlement
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.mechanism.deposit import decide_next_deposit
from flower_relay.mechanism.eligible import decide_nonces, nonce_bringers, nonces_needed
from flower_relay.mechanism.identity import participant_name
from flower_relay.mechanism.state import State, begin
from flower_relay.rules.outcomes import Outcome
from flower_relay.settings import RelaySettings
from tests.signers import (
    NODES,
    OPERATOR,
    App,
    descending,
    first,
    fixed_keys,
    found_in,
    play,
    verify,
)

SIGNING = 20


def named(number: int) -> str:
    return participant_name(f"{number + 1:062x}01")


def federation(nodes: int = SIGNING, run: str = "a1" * 32) -> State:
    """A run of participants who all sign, before its first round."""
    genesis = Genesis(
        settings=asdict(RelaySettings()), model="00" * 32, bound=1.0,
        participants=tuple(named(number) for number in range(nodes)), utilities=(None,) * nodes,
        operator="0b" * 32, run=run,
    )  # fmt: skip
    return begin(genesis)


def deposit_of(state: State, present: Sequence[int]) -> Deposit:
    found = decide_next_deposit(state, present, 0)
    assert found is not None
    return found


@given(st.sets(st.integers(0, SIGNING - 1), max_size=15), st.integers(1, 1000))
def test_whoever_is_missing_changes_nobody_elses_place(missing: set[int], round: int) -> None:
    state = federation()
    here = [n for n in range(SIGNING) if n not in missing]
    all_here = deposit_of(state, range(SIGNING))
    before = set(nonce_bringers(state, replace(all_here, round=round)))
    after = set(nonce_bringers(state, replace(all_here, round=round, present=tuple(here))))
    assert before - missing <= after
    assert len(after - before) <= len(before & missing)


def test_those_drawn_follow_from_run_round_and_names_and_everybody_has_turns() -> None:
    state, other = federation(), federation(run="b2" * 32)
    deposit = deposit_of(state, range(SIGNING))
    rows = [nonce_bringers(state, replace(deposit, round=number)) for number in range(1, 201)]
    assert rows == [
        nonce_bringers(state, replace(deposit, round=number)) for number in range(1, 201)
    ]
    assert rows != [
        nonce_bringers(other, replace(deposit, round=number)) for number in range(1, 201)
    ]
    training = set(deposit.lanes[0].trainers)
    assert {index for row in rows for index in row} == set(range(SIGNING)) - training
    assert all(len(row) == 4 and list(row) == sorted(row) for row in rows)


def test_names_that_weigh_nothing_bring_no_nonce_however_many_they_are() -> None:
    state = federation()
    apply(state, Admission(round=0, participants=tuple(named(100 + n) for n in range(200))))
    deposit = deposit_of(state, range(SIGNING + 200))
    for number in range(1, 51):
        assert max(nonce_bringers(state, replace(deposit, round=number))) < SIGNING


def test_one_of_those_drawn_may_be_missing_and_two_are_never_one() -> None:
    needed = {}
    for nodes in range(2, 8):
        state = federation(nodes)
        deposit = deposit_of(state, range(nodes))
        needed[len(nonce_bringers(state, deposit))] = nonces_needed(state, deposit)
    assert needed == {1: 1, 2: 2, 3: 2, 4: 3}


def test_who_told_no_nonce_is_not_replaced_by_another() -> None:
    state = federation()
    deposit = deposit_of(state, range(SIGNING))
    drawn = nonce_bringers(state, deposit)
    told = set(range(SIGNING)) - {drawn[1]}
    assert decide_nonces(state, deposit, told) == (drawn[0], *drawn[2:])


def test_an_operator_with_two_friends_of_twenty_never_chooses_alone() -> None:
    state = federation()
    deposit = deposit_of(state, range(SIGNING))
    everybody = range(SIGNING)
    for number in range(1, 301):
        at = replace(deposit, round=number)
        drawn = nonce_bringers(state, at)
        for friends in combinations(everybody, 2):
            assert len(set(drawn) & set(friends)) < nonces_needed(state, at)


def silent_about_nonces(silent: set[int]) -> App:
    """Some nodes open no nonce."""
    app = descending()

    def answering(message: Message, context: Context) -> Message:
        config = message.content["config"]
        number = int(context.node_config["partition-id"])
        if "relay-reveal" in config and number in silent:
            raise RuntimeError("no nonce")
        return app(message, context)

    return answering


def test_one_who_opens_no_nonce_stops_no_draw(tmp_path: Path) -> None:
    app = silent_about_nonces({2})
    strategy = play(app, fixed_keys(tmp_path, NODES), rounds=8, run_id="90" * 32)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert (verdict.draws_with_nonces, verdict.draws_void) == (8, 0)
    assert verdict.nonces_withheld > 0


def test_without_enough_nonces_hops_stay_untested_and_the_run_goes_on(tmp_path: Path) -> None:
    app = silent_about_nonces({1, 2, 3})
    strategy = play(app, fixed_keys(tmp_path, NODES), rounds=10, run_id="90" * 32)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.draws_void > 0 < verdict.draws_with_nonces
    tested = [block for block in strategy.chain if isinstance(block, Examined)]
    settled = [block for block in strategy.chain if isinstance(block, Settlement)]
    for test, settlement in zip(tested, settled, strict=True):
        outcomes = {hop.outcome for lane in settlement.lanes for hop in lane.hops}
        assert (outcomes == {Outcome.UNTESTED}) == (test.committee == ())


def test_a_ledger_whose_draw_left_out_all_but_one_nonce_is_found(tmp_path: Path) -> None:
    chain = MemoryChain(OPERATOR)
    play(descending(), fixed_keys(tmp_path, NODES), rounds=1, chain=lambda: chain)
    blocks = list(chain)
    at = first(Commitment, blocks)
    block, tested = blocks[at : at + 2]
    assert isinstance(block, Commitment) and isinstance(tested, Examined)
    alone = [*blocks[: at + 1], replace(tested, nonces=tested.nonces[:1])]
    assert found_in(alone)[0] == at + 1
    only = replace(block, nonce_hashes=block.nonce_hashes[:1])
    verdict = verify([*blocks[:at], only])
    assert verdict.ok and verdict.nonces_withheld == 3


def test_an_opening_tells_the_next_nonce(tmp_path: Path) -> None:
    strategy = play(descending(), fixed_keys(tmp_path, NODES), rounds=20)
    drawn = [block for block in strategy.chain if isinstance(block, Commitment)]
    assert all(len(block.nonce_hashes) == 4 for block in drawn)
    assert verify(strategy.chain).nonces_withheld == 0
