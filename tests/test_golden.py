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
    "chain": "e4b76fdb16fcac396367fa157bc6b60bb5340e8a1ac6114696a58df36f4e81ac",
    "whole hops": "bbd2f38835b4d91017cec7e8c8be08798d3e8d0aa65d60269da9acfa6bc10361",
    "lanes": "c058f60577e53eff1a70f063bac4fea20432d5aaa705c955d474281026a99cef",
    "lanes average": "55d9f9b1ca67641b0f1432a48e8f206da2b890e135d08105a44ba9077987644d",
    "lanes momentum": "ab1b842ce53f58435a654a544c80c788f6f4eb8018a47226831eb65a16a64386",
    "lanes auto": "86ddd41d55b33a7e327c8a941a1521ad862a2dbe8a8691966320fc8125dff8bc",
    "lanes adam": "969357586b1bf137ea649ca18fa2e6cfc3f701d5f55461a28a9b3ce87083cdb1",
    "lanes wave": "7d159073c0e8a5d6e331097ffbc74d7e9efa09686d08cdf79ef77e19674452e5",
    "lanes wave, signed": "3bd88fcba7f4458751696151e7f09fc408467be771046f0ac64ade75757b7e41",
    "fan-out": "14fbd6dc57e40876828793d8cba13c8ca387da4368c55d0c46c1f1ee0f13f443",
    "fan-out royalty": "2cc4b3fe443def38de57c19fafe33fa602187894ac586fa19db3cdbe9984c5e1",
    "untested": "b67b05edcf7fb89092d6540ebc3969c0dd5c521e110d67da39b5b7d6806cee64",
    "signed": "de7ceed16ccdcedb154205c344314d8b30c1d225b8fe36e58121a269fd307e04",
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
