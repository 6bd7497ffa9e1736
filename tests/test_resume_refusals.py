"""What a run is not gone on with is named: other settings, releases, nodes or models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from flower_relay import (
    ConfigurationError,
    InMemoryGrid,
    MemoryChain,
    NotEnoughParticipantsError,
    RelayStrategy,
    StoreError,
)
from flower_relay.errors import LedgerVersionError
from flower_relay.mechanism.blocks import Commitment, Deposit, Genesis
from tests.interrupted import CHAIN, RUN_ID, Disk, LateGrid, interrupted, resumed, undisturbed
from tests.linear import client, genesis_model
from tests.signers import OPERATOR


def test_a_chain_with_blocks_is_not_taken_up_unasked() -> None:
    disk = interrupted(Deposit)
    length = len(disk.chain)
    strategy = RelayStrategy(chain=lambda: disk.chain, store=lambda: disk.store, seed=1)
    with pytest.raises(ConfigurationError, match=rf"holds {length} blocks .* resume=True"):
        strategy.start(LateGrid(disk, 9, 0), genesis_model())
    assert len(disk.chain) == length


def test_settings_that_contradict_the_genesis_block_are_refused_by_name() -> None:
    disk = interrupted(Deposit)
    length, grid = len(disk.chain), LateGrid(disk, 9, 0)
    grid.push_messages = None  # type: ignore[assignment]  # no message may leave
    with pytest.raises(ConfigurationError) as refusal:
        resumed(disk, grid, seed=2, budget=50, tolerance=0.1)
    said = str(refusal.value)
    for part in (
        "seed = 1 in the genesis block and 2 now",
        "budget = None in the genesis block and 50 now",
        "tolerance = 0.11 in the genesis block and 0.1 now",
    ):
        assert part in said
    assert "max_leg" not in said
    assert len(disk.chain) == length


def test_a_run_of_another_release_is_not_gone_on_with() -> None:
    disk = interrupted(Deposit)
    genesis, *later = disk.chain
    assert isinstance(genesis, Genesis)
    settings = {**genesis.settings, "old_setting": 1}
    del settings["audit"]
    disk.chain = MemoryChain(OPERATOR)
    for block in (replace(genesis, settings=settings), *later):
        disk.chain.append(block)
    with pytest.raises(LedgerVersionError, match="lacks audit, and holds old_setting"):
        resumed(disk, LateGrid(disk, 9, 0))
    assert len(disk.chain) == 1 + len(later)


def test_what_no_block_was_decided_by_may_change() -> None:
    disk = interrupted(Deposit)
    resumed(disk, LateGrid(disk, 9, 0), min_available_nodes=5, weighted_by_key="cases")
    assert disk.chain.head == undisturbed().chain.head


def anonymous(message: Message, context: Context) -> Message:
    reply = client(message, context)
    del reply.content["metrics"]["partition-id"]  # type: ignore[union-attr]
    return reply


def test_who_is_known_by_a_node_id_alone_is_known_again_by_that_id_only() -> None:
    disk = Disk()
    ids = list(range(501, 510))
    resumed(disk, InMemoryGrid(anonymous, 9, node_ids=ids), rounds=2)
    length = len(disk.chain)
    with pytest.raises(
        ConfigurationError, match=r"no node has these ids now: node-50.*identity_key"
    ):
        resumed(disk, InMemoryGrid(anonymous, 9, node_ids=range(601, 610)))
    assert len(disk.chain) == length
    resumed(disk, InMemoryGrid(anonymous, 9, node_ids=ids))
    whole = Disk()
    resumed(whole, InMemoryGrid(anonymous, 9, node_ids=ids))
    assert disk.chain.head == whole.chain.head


def test_a_federation_of_strangers_cannot_go_on_with_a_run() -> None:
    disk = interrupted(Deposit)
    length = len(disk.chain)
    strangers = InMemoryGrid(anonymous, 9, node_ids=range(601, 610))
    with pytest.raises(NotEnoughParticipantsError, match=r"none of the 9 nodes .* node-601"):
        resumed(disk, strangers)
    assert len(disk.chain) == length


def test_a_trainer_that_did_not_come_back_is_passed_over_and_refunded() -> None:
    disk = interrupted(Deposit)
    deposit = list(disk.chain)[-1]
    assert isinstance(deposit, Deposit)
    trainer = deposit.lanes[0].trainers[0]
    grid = InMemoryGrid(client, 9, node_ids=range(701, 710))
    grid.leave(701 + trainer)
    strategy = resumed(disk, grid, rounds=2)
    hop = next(hop for hop in strategy.record.hops if hop.round == 2)
    assert (hop.trainer, hop.outcome) == (trainer, "left")
    assert strategy.record.participants[trainer].rejected == 0


def test_a_missing_model_is_named_and_the_ledger_left_alone() -> None:
    disk = interrupted(Commitment)
    length = len(disk.chain)
    commitment = list(disk.chain)[-1]
    assert isinstance(commitment, Commitment)
    name = commitment.lanes[0][0].model
    assert name is not None
    del disk.store._models[name]
    with pytest.raises(
        StoreError, match=rf"a candidate of round 2: .* {name[:12]}.* Put the model"
    ):
        resumed(disk, LateGrid(disk, 9, 0))
    assert len(disk.chain) == length


def test_initial_arrays_of_another_shape_are_refused_and_of_other_values_are_not() -> None:
    disk = interrupted(Deposit)
    stored: dict[str, Any] = {"chain": lambda: disk.chain, "store": lambda: disk.store}
    strategy = RelayStrategy(resume=True, run_id=RUN_ID, seed=1, examiners=4, **stored, **CHAIN)
    wrong = ArrayRecord({"w": Array(np.zeros(3))})
    with pytest.raises(ConfigurationError, match=r"expected shape \(6,\), found \(3,\)"):
        strategy.start(LateGrid(disk, 9, 0), wrong)
    other = ArrayRecord({"w": Array(np.ones(6))})
    strategy.start(LateGrid(disk, 9, 0), other, num_rounds=4, timeout=30)
    assert disk.chain.head == undisturbed().chain.head
