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
    "chain": "f6cbe9b1cb26ec0e7ca37acace366ad4aff6baf55d10d9778e97a12d57993e5d",
    "whole hops": "1342e59b6a07d130d9a5171df7b00e072684d25319c1faae2cd88729ead829a2",
    "lanes": "a731760167193512114f67e5078e14bedcb23cf07b785c175441bfe7d211dd3d",
    "lanes average": "82af68e89a7c47f00471aab8215b97242ef9427ab2291938a9cef966e96040e1",
    "lanes momentum": "529721c7b5812a44653b2bca62127ebe6226b5cc3106c38c81711ec30048305e",
    "lanes auto": "0d2d9d3ef16e7805eadfdf5c098253140b8a500284b945951430e4bbcb66dd3a",
    "lanes adam": "cddf4b98ea654404bb57a3a83d4a5b3b63c778d0a2b3cae3afd7df5c6e5b876a",
    "lanes wave": "cf4d196fc15ff68976d47f96229ca267bf62abb20789f9d202839ad3f52da831",
    "lanes wave, signed": "7c5721b61a0b4ace3e2f6a18bfeeb6098fac8cb601b6cd0b7ef9141a04a8c825",
    "fan-out": "69c46ee579b599cef8e64ef1bcbc39acb59029e05368ae414d6d3e472bc562e2",
    "fan-out royalty": "e2892ab6331224efa0fbc52efcbf5a321be07c5bad18fa2c05e767f5f886bea9",
    "untested": "91a81ab2ad9841bfd1a37e08b587c88361ca6eb62860f862672ae149e7c1a57e",
    "signed": "d1eca29512f7594faf53004205557c7cabec67dbe5b7a2baf8000d6b81571249",
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
