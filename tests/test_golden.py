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
    "chain": "84a12b49b11c4e9d6bcb1220d3c5d61662f9f1d9933b0d768f4ab3f084036def",
    "whole hops": "2d8db2312cc98d4dbcba26285174e320e3d110d90d5f032e8a75d7b45d1e73f9",
    "lanes": "97a5637215d2f3610ec8ec61d60c95b1abbe47723ec9471faaf9e1a154733383",
    "lanes average": "ff70c186a1e48fb84aeb07dc151e645c2b22026beaf7a26313492243bac0e5b4",
    "lanes momentum": "3483d0e36e1394c9e2faeddcc8f33836d5b77ff526a1b4820bc71761bb86d7fb",
    "lanes auto": "b1f12a853b9f676720d6998d24c0014ed73ee09c433dcccdbabc1ab1783bc420",
    "lanes adam": "c70966f2023ccc4eb24eaaf060a0c766186c5c2672773c6b623b99c6fdaa040d",
    "lanes wave": "cc29f04b52d742285c585f0b09f188010cd1513852073790d14496c283701a84",
    "lanes wave, signed": "6e2d5cf47d236a83825dc51aa3a79cf2efc528fc52e19f90ac378eb3b8cf160d",
    "fan-out": "8a7ca0d449ce6d89104271d279011b6b57f75cc0f01dd18debc85f4b153a2bee",
    "fan-out royalty": "c53abe4252076f175db96848b42e4829027db8b53852cc693fac7104032d8d2e",
    "untested": "eac5e4ce8f85beb9e5af3571f759e23e8f212d71ef185f75844c37ae87d018ed",
    "signed": "07ed21ebc6beb2b7ca47f898697e4d9466c60fd7488ba097d338bccfd1b8ff54",
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
