"""A run that dies at any instant goes on as if it never had, whichever it was."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from flwr.app import ArrayRecord, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay import RelayStrategy
from flower_relay.mechanism import blocks
from flower_relay.mechanism.blocks import Commitment, Deposit, Publication, Settlement
from tests.interrupted import (
    CHAIN,
    RUN_ID,
    WORLDS,
    Disk,
    Killed,
    LateGrid,
    dies,
    interrupted,
    known_instants,
    play,
    resumed,
    undisturbed,
)
from tests.linear import genesis_model

ROOT = Path(__file__).parents[1]


def timeless(strategy: RelayStrategy) -> list[dict[str, Any]]:
    rows = [*strategy.record.hops, *strategy.record.rounds]
    return [asdict(replace(row, seconds=0.0)) for row in rows]


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_that_dies_at_any_instant_ends_with_the_same_ledger(name: str) -> None:
    whole = Disk()
    uninterrupted = play(whole, WORLDS[name])
    assert whole.fuse.passed > 30
    for instant in range(known_instants(WORLDS[name]), whole.fuse.passed):
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
    after = {(type(a), type(b)) for run in runs for a, b in pairwise(run.chain)}
    assert (Commitment, blocks.Admission) in after  # somebody joins as a round goes ahead
    legs = [lane for block in found if isinstance(block, Settlement) for lane in block.lanes]
    assert any(leg.passed is False and len(leg.hops) > 1 for leg in legs)
    commitments = [block for block in found if isinstance(block, Commitment)]
    assert any(claim.sent for block in commitments for lane in block.lanes for claim in lane)
    assert any(isinstance(block, blocks.Testing) and block.planted for block in found)
    assert any(isinstance(block, Publication) and block.merged_from for block in found)
    outcomes = {hop.outcome for run in runs for hop in run.record.hops}
    assert {"accepted", "rejected", "voided"} <= outcomes
    assert any(run.running.state.minted["royalty"] for run in runs)


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
    assert disk.chain.head == undisturbed().chain.head


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


def test_a_finished_run_goes_on_with_more_rounds_and_only_with_more() -> None:
    disk = Disk()
    play(disk, CHAIN | {"rounds": 2})
    play(disk, CHAIN | {"rounds": 1})
    play(disk, CHAIN | {"rounds": 2})
    assert [b.round for b in disk.chain if isinstance(b, Publication)] == [1, 2]
    play(disk, CHAIN)
    assert disk.chain.head == undisturbed().chain.head


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


def test_processes_that_are_killed_leave_ledgers_to_go_on_from() -> None:
    command = [sys.executable, "-m", "experiments.faults.kill", "--kills", "3", "--rounds", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("3 of 3") == 4
