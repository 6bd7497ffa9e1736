"""Runs in which participants sign: what is on record then, and what it proves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Context, Message

from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Block, Commitment, Deposit
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.mechanism.identity import participant_name
from flower_relay.mechanism.state import begin
from flower_relay.mechanism.testing import decide_tests
from flower_relay.node.keys import load_or_create
from flower_relay.store import MemoryStore
from flower_relay.wire.statements import public_hex
from tests.signers import (
    NODES,
    OPERATOR,
    descending,
    first,
    fixed_keys,
    genesis_of,
    play,
    sealed,
    verify,
)


def test_who_signs_is_named_by_its_key_and_everything_it_did_is_signed(
    ledger: list[Block], keys: Path
) -> None:
    verdict = verify(ledger)
    assert verdict.ok, verdict.first_problem
    genesis, _ = genesis_of(ledger)
    held = {participant_name(public_hex(load_or_create(path))) for path in keys.glob("*.key")}
    assert set(genesis.participants) == held and len(held) == NODES
    assert genesis.utilities == (None,) * NODES
    hops = [c for b in ledger if isinstance(b, Commitment) for lane in b.lanes for c in lane]
    assert (verdict.hops_signed, verdict.hops_attested) == (len(hops), 0)
    cast = [s for b in ledger if isinstance(b, Examined) for row in b.signatures for s in row if s]
    assert (verdict.votes_signed, verdict.votes_attested) == (len(cast), 0) and cast
    assert (verdict.draws_with_nonces, verdict.draws_without) == (4, 0)
    assert verdict.nonces_withheld == 0


def test_every_draw_has_nonces_of_its_own(ledger: list[Block]) -> None:
    openings = [block.nonces for block in ledger if isinstance(block, Examined)]
    assert [len(nonces) for nonces in openings] == [4, 4, 4, 4]  # three are needed
    assert len({item.nonce for nonces in openings for item in nonces}) == 16


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_draw_depends_on_every_nonce(ledger: list[Block], place: int) -> None:
    at = first(Commitment, ledger)
    deposit, commitment, tested = ledger[at - 1 : at + 2]
    assert isinstance(deposit, Deposit) and isinstance(commitment, Commitment)
    assert isinstance(tested, Examined)
    state, head = begin(genesis_of(ledger)[0]), sealed(ledger[: at + 1])[-1].hash
    apply(state, deposit)
    drawn = decide_tests(state, head, deposit, commitment, tested.nonces)
    assert drawn.committee == tested.committee
    others = set()
    for number in range(64):
        nonces = list(tested.nonces)
        nonces[place] = replace(nonces[place], nonce=f"{number:064x}")
        plan = decide_tests(state, head, deposit, commitment, tuple(nonces))
        others.add(plan.committee)
    assert len(others) > 5  # of the 15 committees of 4 out of 6


def test_without_the_mod_all_is_attested_by_the_operator_and_the_draw_is_its_choice(
    keys: Path,
) -> None:
    verdict = verify(play(descending(()), keys).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.hops_signed == verdict.votes_signed == verdict.draws_with_nonces == 0
    assert verdict.hops_attested > 0 and verdict.votes_attested > NODES
    assert verdict.draws_without == 4


def test_some_may_sign_and_others_not(keys: Path) -> None:
    with_mod, without = descending(), descending(())

    def app(message: Message, context: Context) -> Message:
        signs = int(context.node_config["partition-id"]) < 4
        return (with_mod if signs else without)(message, context)

    strategy = play(app, keys, rounds=6)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    names = genesis_of(list(strategy.chain))[0].participants
    assert [name[:4] for name in names] == ["part"] * 3 + ["key:"] * 4
    assert min(verdict.hops_signed, verdict.hops_attested) > 0
    assert min(verdict.votes_signed, verdict.votes_attested) > 3
    assert verdict.draws_with_nonces > 0


def test_with_stable_keys_and_no_nonces_a_run_repeats_byte_for_byte(tmp_path: Path) -> None:
    runs = [
        play(descending(), fixed_keys(tmp_path / name, NODES), nonces=0, run_id="5a" * 32)
        for name in "ab"
    ]
    assert runs[0].chain.head == runs[1].chain.head
    verdict = verify(runs[0].chain)
    assert verdict.ok and verdict.draws_without == 4 and verdict.hops_attested == 0


def test_where_nothing_is_tested_no_nonce_is_asked_for(keys: Path) -> None:
    strategy = play(descending(), keys, examiners=0)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.hops_signed > 0 == verdict.draws_with_nonces + verdict.draws_without
    assert not any(block.nonce_hashes for block in strategy.chain if isinstance(block, Commitment))


def test_nobody_takes_a_name_without_its_key(keys: Path) -> None:
    app = descending()
    public = public_hex(load_or_create(keys / "participant-0.key"))

    def impostor(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if context.node_config["partition-id"] == 5:
            reply.content["relay"]["public-key"] = public
        return reply

    strategy = play(impostor, keys, rounds=2)
    names = genesis_of(list(strategy.chain))[0].participants
    assert names.count(participant_name(public)) == 1
    assert [name for name in names if not name.startswith("key:")] == ["partition-id-5"]
    assert verify(strategy.chain).ok


class Crash(BaseException):
    """The process dies here."""


class MortalChain(MemoryChain):
    """Its process dies when the chain has reached a length."""

    length: float

    def append(self, block: Block) -> str:
        if len(self) == self.length:
            raise Crash
        return super().append(block)


@pytest.mark.parametrize("length", range(1, 11))
def test_a_run_in_which_participants_sign_goes_on_after_any_block(keys: Path, length: int) -> None:
    chain, store = MortalChain(OPERATOR), MemoryStore()
    options = {"chain": lambda: chain, "store": lambda: store, "resume": True}
    chain.length = length
    with pytest.raises(Crash):
        play(descending(), keys, **options)
    chain.length = float("inf")
    play(descending(), keys, **options)
    verdict = verify(chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.rounds == 4 and verdict.hops_attested == verdict.votes_attested == 0
    # Who has restarted has forgotten its nonces; that of one round is lost at most.
    assert verdict.draws_with_nonces >= 3 and verdict.nonces_withheld <= 3
