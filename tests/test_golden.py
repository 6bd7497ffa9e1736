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
    "chain": "56d67304943320e74c890660c49e8668a54dc6fa5c95ef38376f3f6ea859fdcc",
    "whole hops": "2ee9f3f97cc189fbc744bed6e329dee40eec724de0c33ffa4096f9f77dfc5350",
    "lanes": "b03780840b37cf8b5c3ad8594fb90f88c826e7c74fd60abd74eba526c90af3f4",
    "lanes average": "5e65f7b9b9058a7de8a09ebfb873849df19bd1c38790e93ce5085d4788d7d841",
    "lanes momentum": "46de6bf78963ba72c634c30312653e8d7210ff2abe01ba16c7854bfc8374d876",
    "lanes auto": "830d09471741e8479c39d1d34833b17ceb0a4525280107181d4836a3f5e650c8",
    "lanes adam": "d6c40008c29ac45024d5738bfbc6e3ffd6f198ff449c7ccf7a6439dedd09fb2b",
    "lanes wave": "04cd1d7c6313f3356ff9e664d4ad9bc376700227b0dd4e9df351fb6df9d14cb8",
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
