"""A run that dies at any instant goes on as if it never had, and says so when it cannot."""

from __future__ import annotations

import contextlib
import itertools
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay import (
    ConfigurationError,
    InMemoryGrid,
    MemoryChain,
    MemoryStore,
    NotEnoughParticipantsError,
    RelayStrategy,
    StoreError,
)
from flower_relay.errors import LedgerVersionError
from flower_relay.mechanism import blocks
from flower_relay.mechanism.blocks import (
    Block,
    Commitment,
    Deposit,
    Genesis,
    Publication,
    Settlement,
)
from flower_relay.node.mod import make_relay_mod
from flower_relay.store import Arrays
from tests.linear import client, genesis_model
from tests.signers import OPERATOR

ROOT = Path(__file__).parents[1]


class Killed(BaseException):
    """The process dies here."""


class Fuse:
    """Counts the instants at which chain and store are touched, and dies at one of them."""

    def __init__(self) -> None:
        self.passed, self.dies_at = 0, -1

    def burn(self) -> None:
        self.passed += 1
        if self.passed - 1 == self.dies_at:
            raise Killed


RUN_ID = "90" * 32


class Disk:
    """A chain and a store that outlive the process, with an instant before and after each step."""

    def __init__(self) -> None:
        fuse = self.fuse = Fuse()

        class Chain(MemoryChain):
            def append(self, block: Block) -> str:
                fuse.burn()
                head = super().append(block)
                fuse.burn()
                return head

        class Store(MemoryStore):
            def put(self, arrays: Arrays) -> str:
                fuse.burn()
                name = super().put(arrays)
                fuse.burn()
                return name

            def keep_only(self, names: Iterable[str]) -> None:
                wanted = set(names)
                for name in sorted(set(self._models) - wanted):
                    fuse.burn()
                    del self._models[name]
                fuse.burn()

        self.chain, self.store = Chain(OPERATOR), Store()


class LateGrid(InMemoryGrid):
    """Its last node connects once the chain is long enough, in whatever process that is."""

    def __init__(self, disk: Disk, nodes: int, late: int, app: Any = client) -> None:
        # Flower draws other node ids each time.
        super().__init__(app, nodes, node_ids=range(100 + disk.fuse.passed, 900)[:nodes])
        self._chain, self._late = disk.chain, late

    def get_node_ids(self) -> list[int]:
        nodes = list(super().get_node_ids())
        return nodes if len(self._chain) >= self._late else nodes[:-1]


MOD = make_relay_mod(lasting_keys_only=True)
World = dict[str, Any]
WORLDS: dict[str, World] = {
    "chain": {"max_leg": 3, "planted": 0.5, "deposit_unit": 0.0},
    "voided": {
        "max_leg": 3,
        "planted": 0.5,
        "deposit_unit": 0.0,
        "seed": 3,
        "first_debt": 0.0,
        "tolerance": 0.05,
    },
    "debts": {"nodes": 4, "lanes": 2, "tolerance": 1.0},
    "late": {"max_leg": 2, "late": 7, "rounds": 3},
    "select": {"lanes": 2, "max_leg": 2, "deposit_unit": 0.0, "rounds": 3, "seed": 2},
    "average": {"lanes": 2, "max_leg": 2, "lanes_meet": "average", "rounds": 3},
    "adam": {"lanes": 2, "lanes_meet": "adam", "rounds": 3},
    "auto": {"lanes": "auto", "rounds": 3, "tolerance": 0.02},
    "fan-out": {"topology": "fan-out", "rewards": "royalty", "fraction_train": 0.5, "rounds": 3},
    "untested": {"examiners": 0},
    "budget": {"budget": 4, "max_leg": 3, "deposit_unit": 0.0},
    "mod": {"max_leg": 3, "planted": 0.5, "deposit_unit": 0.0, "rounds": 2, "mod": True},
    "fan-out, mod": {"topology": "fan-out", "fraction_train": 0.5, "rounds": 2, "mod": True},
}
"""Small federations that between them meet everything a round can hold."""


def play(disk: Disk, world: World, **change: Any) -> RelayStrategy:
    options = {"seed": 1, "examiners": 4} | world | change
    late, rounds = options.pop("late", 0), options.pop("rounds", 4)
    nodes = options.pop("nodes", 9)
    app = with_mod if options.pop("mod", False) else client
    strategy = RelayStrategy(
        chain=lambda: disk.chain, store=lambda: disk.store, resume=True, run_id=RUN_ID, **options
    )
    grid = LateGrid(disk, nodes, late, app)
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=30)
    return strategy


def with_mod(message: Message, context: Context) -> Message:
    """The same client, to whom models are sent as differences."""
    return MOD(message, context, client)


def dies(disk: Disk, world: World, instant: int) -> None:
    disk.fuse.passed, disk.fuse.dies_at = 0, instant
    with pytest.raises(Killed):
        play(disk, world)
    disk.fuse.passed, disk.fuse.dies_at = 0, -1


def timeless(strategy: RelayStrategy) -> list[dict[str, Any]]:
    rows = [*strategy.record.hops, *strategy.record.rounds]
    return [asdict(replace(row, seconds=0.0)) for row in rows]


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_that_dies_at_any_instant_ends_with_the_same_ledger(name: str) -> None:
    whole = Disk()
    uninterrupted = play(whole, WORLDS[name])
    assert whole.fuse.passed > 30
    for instant in range(whole.fuse.passed):
        disk = Disk()
        dies(disk, WORLDS[name], instant)
        before = list(disk.chain)
        resumed = play(disk, WORLDS[name])
        assert list(disk.chain)[: len(before)] == before
        assert disk.chain.head == whole.chain.head, instant
        assert disk.store._models == whole.store._models
        assert timeless(resumed) == timeless(uninterrupted)


def test_the_worlds_hold_everything_that_a_round_can_hold() -> None:
    runs = [play(Disk(), world) for world in WORLDS.values()]
    found = [block for run in runs for block in run.chain]
    assert {type(block) for block in found} == set(get_args(blocks.Block))
    legs = [lane for block in found if isinstance(block, Settlement) for lane in block.lanes]
    assert any(leg.passed is False and len(leg.hops) > 1 for leg in legs)
    commitments = [block for block in found if isinstance(block, Commitment)]
    assert any(claim.sent for block in commitments for lane in block.lanes for claim in lane)
    assert any(isinstance(block, blocks.Testing) and block.planted for block in found)
    assert any(isinstance(block, Publication) and block.merged_from for block in found)
    outcomes = {hop.outcome for run in runs for hop in run.record.hops}
    assert {"accepted", "rejected", "voided"} <= outcomes
    assert any(run.running.state.minted["royalty"] for run in runs)


CHAIN = WORLDS["chain"]
WHOLE = Disk()
LENGTH = len(play(WHOLE, CHAIN).chain)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=4))
def test_dying_again_and_again_changes_nothing(instants: list[int]) -> None:
    disk = Disk()
    for instant in instants:
        disk.fuse.passed, disk.fuse.dies_at = 0, instant
        with contextlib.suppress(Killed):
            play(disk, CHAIN)
        disk.fuse.dies_at = -1
    play(disk, CHAIN)
    assert disk.chain.head == WHOLE.chain.head


def interrupted(kind: type[Block], world: World = CHAIN) -> Disk:
    """A disk on which the last block is the second of a kind."""
    disk = Disk()
    play(disk, world)
    blocks = list(disk.chain)
    at = [index for index, block in enumerate(blocks) if isinstance(block, kind)][1]
    for instant in itertools.count():
        disk = Disk()
        dies(disk, world, instant)
        if len(disk.chain) == at + 1:
            return disk
    raise AssertionError


def test_only_the_leg_under_way_is_trained_again() -> None:
    trained: list[int] = []

    class Watched(LateGrid):
        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            outgoing = list(messages)
            trained.extend(
                int(str(m.content.config_records["config"]["server-round"]))
                for m in outgoing
                if m.metadata.message_type == "train"
            )
            return super().push_messages(outgoing)

    for kind, rounds in ((Deposit, {2, 3, 4}), (Commitment, {3, 4}), (Settlement, {3, 4})):
        disk = interrupted(kind)
        trained.clear()
        resumed(disk, Watched(disk, 9, 0))
        assert set(trained) == rounds


def resumed(disk: Disk, grid: InMemoryGrid, rounds: int = 4, **change: Any) -> RelayStrategy:
    options = {"seed": 1, "examiners": 4} | CHAIN | change
    strategy = RelayStrategy(
        chain=lambda: disk.chain, store=lambda: disk.store, resume=True, run_id=RUN_ID, **options
    )
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=30)
    return strategy


def test_a_finished_run_goes_on_with_more_rounds_and_only_with_more() -> None:
    disk = Disk()
    play(disk, CHAIN | {"rounds": 2})
    play(disk, CHAIN | {"rounds": 1})
    play(disk, CHAIN | {"rounds": 2})
    assert [b.round for b in disk.chain if isinstance(b, Publication)] == [1, 2]
    play(disk, CHAIN)
    assert disk.chain.head == WHOLE.chain.head


def test_the_past_has_no_times_and_the_present_has() -> None:
    strategy = play(interrupted(Commitment), CHAIN)
    rounds, hops = strategy.record.rounds, strategy.record.hops
    assert [row.round for row in rounds] == [1, 2, 3, 4]
    assert [math.isnan(row.seconds) for row in rounds] == [True, True, False, False]
    assert {math.isnan(hop.seconds) for hop in hops if hop.round <= 2} == {True}
    assert {math.isnan(hop.seconds) for hop in hops if hop.round > 2} == {False}


def test_the_champion_is_evaluated_where_the_run_got_to_and_after_each_round() -> None:
    disk = interrupted(Commitment)
    stored: dict[str, Any] = {"chain": lambda: disk.chain, "store": lambda: disk.store}
    strategy = RelayStrategy(resume=True, run_id=RUN_ID, seed=1, examiners=4, **stored, **CHAIN)
    seen: dict[int, ArrayRecord] = {}
    result = strategy.start(
        LateGrid(disk, 9, 0),
        genesis_model(),
        4,
        evaluate_fn=lambda n, arrays: seen.update({n: arrays}),
    )
    assert list(seen) == [1, 2, 3, 4]
    assert seen[4] == result.arrays


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
    assert disk.chain.head == WHOLE.chain.head


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
    assert disk.chain.head == WHOLE.chain.head


def test_processes_that_are_killed_leave_ledgers_to_go_on_from() -> None:
    command = [sys.executable, "-m", "experiments.faults.kill", "--kills", "3", "--rounds", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("3 of 3") == 4
