"""Attacks by an operator on participants who sign: what it asks for, draws again, or rolls back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.errors import NotEnoughParticipantsError, RunFailedError
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Block, Commitment, Deposit, NonceHash, OpenedNonce
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.mechanism.identity import participant_name
from flower_relay.mechanism.state import State, begin
from flower_relay.mechanism.testing import decide_tests
from flower_relay.node.keys import load_or_create
from flower_relay.store import MemoryStore
from flower_relay.wire.statements import nonce_hash, public_hex
from tests.nodes import a_node, ask, said, tiny_app, weights
from tests.signers import (
    NODES,
    OPTIONS,
    Asking,
    descending,
    first,
    genesis_of,
    play,
    same_run,
    sealed,
    verify,
)


class Hoard(MemoryStore):
    """Forgets nothing, so that models of the past can be looked at."""

    def keep_only(self, names: Iterable[str]) -> None:
        pass


class Buying(RelayStrategy):
    """Adds terms of its own to what examiners are asked."""

    terms: ClassVar[dict[str, Any]] = {}

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        messages = list(super().configure_evaluate(server_round, arrays, config, grid))
        for message in messages:
            message.content.config_records["config"].update(self.terms)
        return messages


# Votes that are bought.


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"relay-bound": 1e-9, "relay-rises": True},
        {"relay-bound": 1e-9, "relay-rises": False},
        {"relay-utility-key": "num-examples", "relay-value": 0.0, "relay-utility": 1.0},
    ],
)
def test_every_vote_is_what_the_examiner_measured_whatever_it_is_asked_for(
    terms: dict[str, Any], tmp_path: Path
) -> None:
    Buying.terms, store = terms, Hoard()
    options = OPTIONS | same_run() | {"test_encoding": "exact", "audit": 1.0}
    strategy = Buying(store=lambda: store, **options)
    grid = InMemoryGrid(descending(), NODES, run_config={"relay-keys-dir": str(tmp_path)})
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=8, timeout=20)
    blocks = list(strategy.chain)
    number = {
        participant_name(public_hex(load_or_create(path))): int(path.stem.rpartition("-")[2])
        for path in tmp_path.glob("*.key")
    }
    names, votes, lies = genesis_of(blocks)[0].participants, 0, 0
    for tested in (block for block in blocks if isinstance(block, Examined)):
        for model, row in zip(tested.models, tested.values, strict=True):
            (array,) = store.get(model).values()
            for examiner, value in zip(tested.committee, row, strict=True):
                honest = float(np.mean((1 - array) ** 2)) + number[names[examiner]] / 100
                votes += value is not None
                lies += value is not None and value != pytest.approx(honest)
    verdict = verify(blocks)
    assert verdict.ok and (verdict.votes_signed, verdict.votes_attested) == (votes, 0)
    assert votes > 60 and lies == 0


def test_a_vote_in_another_metric_is_no_vote(tmp_path: Path) -> None:
    Buying.terms = {"relay-metric": "num-examples"}
    strategy = Buying(**OPTIONS, **same_run())
    grid = InMemoryGrid(descending(), NODES, run_config={"relay-keys-dir": str(tmp_path)})
    with pytest.raises(RunFailedError):  # nobody voted, so no hop counted
        strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=2, timeout=20)
    verdict = verify(strategy.chain)
    assert verdict.ok and verdict.votes_signed == verdict.votes_attested == 0


# Draws that are made again.


def test_nodes_open_one_nonce_each_however_often_a_round_is_drawn_again() -> None:
    nodes, chain = [a_node(partition_id=number) for number in range(3)], Asking().grow()
    told = [said(vote(node, chain))["nonce-hash"] for node in nodes]
    opened = []
    for attempt in range(50):
        other = Asking().grow().grow(f"{attempt:064x}")  # another commitment in the same place
        asked = zip(nodes, told, strict=True)
        answers = [said(reveal(node, other, hash)) for node, hash in asked]
        opened.append(sum("nonce" in answer for answer in answers))
        told = [
            said(vote(node, Asking().grow())).get("nonce-hash", hash)
            for node, hash in zip(nodes, told, strict=True)
        ]
    assert opened == [3] + [0] * 49


def test_who_opened_for_a_block_that_was_dropped_follows_no_other() -> None:
    node, dropped = a_node(), Asking().grow()
    hash = said(vote(node, dropped))["nonce-hash"]
    assert "nonce" in said(reveal(node, dropped.grow("1" * 64), hash))
    kept = Asking().grow().grow("2" * 64)
    for _ in range(3):
        refused = said(vote(node, kept, round=3))["refused"]
        assert "two ledgers" in refused or "does not grow" in refused
        kept.grow()


def vote(node: Any, chain: Asking, round: int = 1) -> Message:
    return ask(
        tiny_app(), node, "evaluate", chain.told(round) | {"relay-metric": "eval_loss"}, weights(1)
    )


def reveal(node: Any, chain: Asking, hash: str) -> Message:
    return ask(tiny_app(), node, "evaluate", chain.told(1) | {"relay-reveal": hash})


# Draws that are chosen by what is left out.


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    return list(play(descending(), tmp_path_factory.mktemp("keys")).chain)


def drawn(
    ledger: list[Block], block: Commitment, opened: tuple[OpenedNonce, ...]
) -> tuple[int, ...]:
    """The committee that would follow the first deposit, with this commitment and openings."""
    at = first(Commitment, ledger)
    deposit = ledger[at - 1]
    assert isinstance(deposit, Deposit)
    state: State = begin(genesis_of(ledger)[0])
    apply(state, deposit)
    head = sealed([*ledger[:at], block])[-1].hash
    return decide_tests(state, head, deposit, block, opened).committee


def test_by_leaving_out_openings_an_operator_chooses_among_five_draws(
    ledger: list[Block],
) -> None:
    at = first(Commitment, ledger)
    block, tested = ledger[at : at + 2]
    assert isinstance(block, Commitment) and isinstance(tested, Examined)
    subsets = list(
        chain.from_iterable(combinations(tested.nonces, size) for size in range(5))
    )  # four bring a nonce, and one of them may be left out; `verify` counts it
    committees = [drawn(ledger, block, opened) for opened in subsets]
    assert len(subsets) == 16 and committees.count(()) == 11
    assert 1 < len({*committees} - {()}) <= 5
    withheld = verify([*ledger[: at + 1], replace(tested, nonces=tested.nonces[:3])])
    assert withheld.nonces_withheld == 1


def test_who_alone_brings_a_nonce_and_tells_the_operator_before_gets_no_committee(
    ledger: list[Block],
) -> None:
    at = first(Commitment, ledger)
    block = ledger[at]
    assert isinstance(block, Commitment)
    colluder, committees = block.nonce_hashes[0].participant, set()
    for number in range(200):
        nonce = f"{number:064x}"
        hash = NonceHash(participant=colluder, hash=nonce_hash(bytes.fromhex(nonce)))
        opened = OpenedNonce(participant=colluder, nonce=nonce, signature="")
        committees.add(drawn(ledger, replace(block, nonce_hashes=(hash,)), (opened,)))
    assert committees == {()}


# Ledgers that are rolled back.


def test_participants_refuse_a_run_that_begins_again_under_the_number_that_it_had(
    tmp_path: Path,
) -> None:
    play(descending(), tmp_path, **same_run())
    with pytest.raises(NotEnoughParticipantsError, match="rolled back"):
        play(descending(), tmp_path, **same_run())
