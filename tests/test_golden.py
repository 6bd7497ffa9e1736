"""Golden ledgers: the chain heads that fixed seeds, keys and clients lead to.

A change of code that moves no rule leaves every head as it is. A change of a rule or of the
format changes heads on purpose; its commit says which rule, and puts the new heads here.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy
from flower_relay.ledger.chain import MemoryChain

from .signers import OPERATOR, fixed_keys, play, verify
from .signers import descending as signing_app

NODES = 8
HOSTILE = (2, 5)
RUN_ID = "90" * 32
HEADS = {
    "chain": "321fbf9658faa472cf56dac8acfd4a5e323ec232bce9a22e08ef277b28d85642",
    "whole hops": "379aa3530006d98db6ed5b2401d30a4ae40f88bbeb87f71ef9eabef976bd72cc",
    "lanes": "e37878438b6284f1f9353fc03c704fd5baf34318a3fae13226e5e64c4a564d6a",
    "lanes average": "7e15e5aa1bdeea27256c5526debdc71cb8ccafeb4cc03cfc788f65812ae00431",
    "lanes momentum": "2a69fa1331fca2e198bdb71a03f06a1537fd96c2c7f2fe6fdb436a2922d01293",
    "lanes auto": "fd582d188ae16e4643bb86ac6960c117f63228b3d0bec8dc4b6f9d94dfe998b2",
    "lanes adam": "1be27fe0fcc821bc139a28886023d2a814c72d1bc527d98c1bba37ffe9e3ba07",
    "lanes wave": "5a834498bb779b6f7a8d1ad8363bc6845b49e5eaa0a34bd2842d90e613599c8e",
    "lanes wave, signed": "918edfe2c2736b6bfcbe1703842fa88cf48a90227512c83efa5cb0582f1d6507",
    "fan-out": "aaa4206fbe85951b55d975199915ef54e55ce983b656e76f6523bb1ec89969ef",
    "fan-out royalty": "854a1de5a59ea143f0ee0e456c0eb22b2e82c7dbef63a3d132f01ae4ca9cf98d",
    "untested": "8bfb3698dedc2ab3e5eead867614459575904d0bcc2743f78b6f4b2af3a7c999",
    "signed": "0622389a32298994c88881762f0a1ca3afd1dee9ce674683d3841cc910307103",
}


def aim(context: Context) -> tuple[int, np.ndarray]:
    """A node's number, and the place that it pulls towards."""
    number = int(context.node_config["partition-id"])
    return number, 1 + 0.125 * np.array([number % 3, number % 2, -(number % 4), 1.0])


def unlike_app(hostile: Collection[int] = HOSTILE) -> ClientApp:
    """Each node pulls towards a place of its own; some push away, and say the opposite."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number, target = aim(context)
        w = message.content["arrays"]["w"].numpy()
        step = -0.75 if number in hostile else 0.25
        record = ArrayRecord({"w": Array(w + step * (target - w))})
        metrics = MetricRecord({"train_loss": 1.0, "num-examples": 4})
        return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number, target = aim(context)
        far = message.content["arrays"]["w"].numpy() - target
        loss = float(far[0] ** 2 + far[1] ** 2 + far[2] ** 2 + far[3] ** 2)
        said = 8.0 - loss if number in hostile else loss
        metrics = {"eval_loss": said, "num-examples": 4, "partition-id": number}
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    return app


def unlike(rounds: int = 24, **options: Any) -> RelayStrategy:
    grid = InMemoryGrid(unlike_app(), NODES, node_ids=range(101, 101 + NODES))
    fixed: dict[str, Any] = {"run_id": RUN_ID, "chain": lambda: MemoryChain(OPERATOR)}
    strategy = RelayStrategy(**fixed | {"seed": 11, "examiners": 4} | options)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=rounds, timeout=20)
    return strategy


WORLDS: dict[str, dict[str, Any]] = {
    "chain": {},
    "whole hops": {"first_debt": 0.0, "deposit_unit": 0.0},
    "lanes": {"lanes": 2, "first_debt": 0.0},
    "lanes average": {"lanes": 2, "lanes_meet": "average", "rounds": 16},
    "lanes momentum": {"lanes": 3, "lanes_meet": "momentum", "rounds": 16},
    "lanes auto": {"lanes": "auto", "rounds": 16},
    "lanes adam": {"lanes": 3, "lanes_meet": "adam", "rounds": 16},
    "lanes wave": {"lanes": "wave", "rounds": 16, "tolerance": 0.9},
    "fan-out": {"topology": "fan-out", "rounds": 16},
    "fan-out royalty": {"topology": "fan-out", "rewards": "royalty", "rounds": 16},
    "untested": {"examiners": 0, "rounds": 8},
}


@pytest.mark.parametrize("world", WORLDS)
def test_a_run_without_the_mod_ends_in_the_same_ledger_as_ever(world: str) -> None:
    strategy = unlike(**WORLDS[world])
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert strategy.chain.head == HEADS[world]


def test_a_signed_run_ends_in_the_same_ledger_as_ever(tmp_path: Path) -> None:
    keys = fixed_keys(tmp_path, 7)
    strategy = play(signing_app(), keys, rounds=6, nonces=0, run_id=RUN_ID)  # nonces are random
    assert verify(strategy.chain).ok
    assert strategy.chain.head == HEADS["signed"]


def test_a_signed_wave_ends_in_the_same_ledger_as_ever(tmp_path: Path) -> None:
    keys = fixed_keys(tmp_path, 7)
    strategy = play(signing_app(), keys, rounds=10, nonces=0, lanes="wave", run_id=RUN_ID)
    assert verify(strategy.chain).ok
    assert strategy.chain.head == HEADS["lanes wave, signed"]


@pytest.mark.parametrize("stopped_after", [1, 7, 23])
def test_a_resumed_run_ends_in_the_ledger_of_one_that_never_stopped(
    tmp_path: Path, stopped_after: int
) -> None:
    chain = MemoryChain(OPERATOR)

    def go_on(rounds: int) -> RelayStrategy:
        opened: dict[str, Any] = {
            "chain": lambda: chain,
            "store": lambda: FolderStore(tmp_path / "models"),
            "resume": True,
        }
        return unlike(rounds, **opened)

    go_on(stopped_after)
    assert go_on(24).chain.head == HEADS["chain"]
