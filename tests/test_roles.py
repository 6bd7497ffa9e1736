"""Who only trains, or only examines, by its own node config: never asked for anything else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from flower_relay import ConfigurationError, InMemoryGrid, RelayStrategy
from flower_relay.errors import RefusedError, RunFailedError
from flower_relay.mechanism.blocks import Admission, Block, Deposit, Genesis
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.rules.roles import draw_trainers, next_on_probation
from flower_relay.transport.adapter import stamp
from tests.signers import OPTIONS, App, Asking, descending, found_in, same_run, verify

ROLES = {0: "examine", 1: "examine", 2: "train", 5: "train"}


def with_roles(roles: dict[int, str]) -> App:
    """The federation of tests.signers, each node with a role in its own config."""
    app = descending()

    def willing(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        if number in roles:
            context.node_config["relay-role"] = roles[number]
        return app(message, context)

    return willing


def play(keys: Path, roles: dict[int, str] = ROLES, **options: Any) -> RelayStrategy:
    grid = InMemoryGrid(with_roles(roles), 8, run_config={"relay-keys-dir": str(keys)})
    strategy = RelayStrategy(**OPTIONS | same_run() | options)
    rounds = options.get("budget", 8)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=rounds, timeout=20)
    return strategy


@pytest.mark.parametrize(
    "options",
    [{}, {"lanes": 2, "lanes_meet": "average"}, {"topology": "fan-out"}],
)
def test_nobody_is_drawn_for_what_it_does_not_do_and_the_ledger_says_so(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    blocks = list(play(tmp_path, **options).chain)
    genesis = blocks[0]
    assert isinstance(genesis, Genesis)
    assert sorted(genesis.roles) == ["both"] * 4 + ["examine"] * 2 + ["train"] * 2
    told = dict(enumerate(genesis.roles))
    deposits = [block for block in blocks if isinstance(block, Deposit)]
    trainers = {who for block in deposits for lane in block.lanes for who in lane.trainers}
    examiners = {who for block in blocks if isinstance(block, Examined) for who in block.committee}
    assert {told[who] for who in trainers} == {"both", "train"}
    assert {told[who] for who in examiners} == {"both", "examine"}
    assert verify(blocks).ok


def test_a_role_that_is_changed_on_the_record_is_found(tmp_path: Path) -> None:
    blocks: list[Block] = list(play(tmp_path).chain)
    genesis = blocks[0]
    assert isinstance(genesis, Genesis)
    for roles in (("both",) * 8, ("train",) * 3, ("rest",) * 8):
        assert found_in([replace(genesis, roles=roles)]) == (0, "genesis.roles")
    # Whose turn it was does not follow any more: the first to have trained now only examines.
    first = next(block for block in blocks if isinstance(block, Deposit)).lanes[0].trainers[0]
    changed = list(genesis.roles)
    changed[first] = "examine"
    index, _ = found_in([replace(genesis, roles=tuple(changed)), *blocks[1:]])
    assert index == 1


def test_cycles_end_when_those_who_train_have_had_their_turn(tmp_path: Path) -> None:
    """Two of eight train, six hops are in the budget: three cycles of two hops."""
    strategy = play(tmp_path, {n: "examine" for n in range(6)}, budget=6)
    turns = Counter(
        block.cycle
        for block in strategy.chain
        if isinstance(block, Deposit)
        for lane in block.lanes
        for _ in lane.trainers
    )
    assert list(turns.values()) == [2, 2, 2]


def test_a_federation_in_which_nobody_trains_stops_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level("WARNING", logger="flwr"),
        pytest.raises(RunFailedError, match="no hop counted: nobody trained"),
    ):
        play(tmp_path, {n: "examine" for n in range(8)})
    assert "nobody who trains is here" in caplog.text


def test_one_who_joins_later_tells_its_role_too(tmp_path: Path) -> None:
    grid = InMemoryGrid(with_roles({8: "examine"}), 8, run_config={"relay-keys-dir": str(tmp_path)})
    joined: list[int] = []

    class Joining(RelayStrategy):
        def configure_train(self, *arguments: Any) -> list[Message]:
            if not joined:
                joined.append(2000)
                grid.join(2000)
            return list(super().configure_train(*arguments))

    strategy = Joining(**OPTIONS)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=8, timeout=20)
    [admission] = [block for block in strategy.chain if isinstance(block, Admission)]
    assert admission.roles == ("examine",)
    assert verify(strategy.chain).ok
    deposits = [block for block in strategy.chain if isinstance(block, Deposit)]
    assert not any(8 in lane.trainers for block in deposits for lane in block.lanes)


def asked(kind: str, role: str, **config: Any) -> tuple[Message, Context]:
    content = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.zeros(4))}),
            "config": ConfigRecord(Asking().grow().told(1) | config),
        }
    )
    context = Context(
        run_id=1,
        node_id=7,
        node_config={"partition-id": 0, "relay-role": role},
        state=RecordDict(),
        run_config={},
    )
    return stamp(Message(content, 7, kind), "m"), context


VOTE = {"relay-metric": "eval_loss"}


def test_a_node_refuses_what_it_does_not_do_whoever_asks() -> None:
    app = descending()
    with pytest.raises(RefusedError, match="asked to train; by its config it does nothing but"):
        app(*asked("train", "examine"))
    with pytest.raises(RefusedError, match="asked to examine"):
        app(*asked("evaluate", "train", **VOTE))
    with pytest.raises(ConfigurationError, match="relay-role = 'rest' in the node config"):
        app(*asked("evaluate", "rest"))


def test_in_a_fan_out_one_is_left_to_examine_unless_somebody_only_does_that() -> None:
    here, rng = np.ones(3, dtype=np.bool_), np.random.default_rng(0)
    owners = np.array([0])
    assert len(draw_trainers(here, owners, 0.9, rng)) == 1
    willing = np.array([True, True, False])
    assert draw_trainers(here, owners, 0.9, rng, willing).tolist() == [1]


def test_on_probation_the_fewest_failures_come_first_and_then_the_longest_wait() -> None:
    failed, last_try = np.array([0, 1, 0, 0, 0]), np.array([0, 2, 5, 4, 0])
    turns: list[int] = []
    waiting = np.arange(1, 5)
    while (index := next_on_probation(waiting, failed, last_try)) is not None:
        turns.append(index)
        waiting = waiting[waiting != index]
    assert turns == [4, 3, 2, 1]
