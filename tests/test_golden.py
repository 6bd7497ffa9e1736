"""Golden ledgers: the chain heads that fixed seeds, keys and clients lead to.

A change of code that moves no rule leaves every head as it is. A change of a rule or of the
format changes heads on purpose; its commit says which rule, and puts the new heads here.
"""

from __future__ import annotations

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
    "chain": "838e0f987efcc868e2c305f7350da5c1fbb52e4623ded58a7a71d981dc0c4ef5",
    "whole hops": "6f90290ccbfacfc8180076b798e937a15d15763ec3e9ac68bb98440b0ebbfc8c",
    "lanes": "f960087373a0faf1d31c236f6dba9a29566978dcaee08bd4c091ef7f8dd1c8e4",
    "lanes average": "90bde2d190f5374de96856442f6b98c3c768ef106bc8bb391c51c4d17efb498f",
    "lanes momentum": "e8c2ceac9673309c9de3c88d3fd6527008c5a235b6e4d5dc423439b85e4196ed",
    "lanes auto": "30b64ce433d99fbe2877abe8f44955a5b7a9216c866d749c1c6391ef054a7911",
    "lanes adam": "291fa1eee3b3421b4cbc6e063a64a09c9e62bf5100bcf6c398d0b6350cda5210",
    "lanes wave": "19adfedd32cf92be5fe684d819fafeb80fb81c32987a0c96efc9bb8c1dfb5ff0",
    "lanes wave, signed": "4bd58a5e11b1ddf3a393cd0c2de87f7482ef0d4bb234fb430cd9c4c79606a93e",
    "fan-out": "7d93359ed51e562a234fa7c5c90a92e368230e00dd2ec878aceff4a1bad42838",
    "fan-out royalty": "a5c81d8e3d033f5cccd5a22f8f9a64349301b30eb7d974c5cb573e04022a54c5",
    "untested": "2df58f493fb45847bbf12fd2c2bdba60bff81475f68c1318dbbd2e0cafceb9f8",
    "signed": "752e8cea0b61ff02d4488795e3edeb0a6f9f0f46018fb9a6f90fe1865d24f49d",
}


def unlike_app() -> ClientApp:
    """Each node pulls towards a place of its own; two push away, and say the opposite."""
    app = ClientApp()

    def aim(context: Context) -> tuple[int, np.ndarray]:
        number = int(context.node_config["partition-id"])
        return number, 1 + 0.125 * np.array([number % 3, number % 2, -(number % 4), 1.0])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number, target = aim(context)
        w = message.content["arrays"]["w"].numpy()
        step = -0.75 if number in HOSTILE else 0.25
        record = ArrayRecord({"w": Array(w + step * (target - w))})
        metrics = MetricRecord({"train_loss": 1.0, "num-examples": 4})
        return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number, target = aim(context)
        far = message.content["arrays"]["w"].numpy() - target
        loss = float(far[0] ** 2 + far[1] ** 2 + far[2] ** 2 + far[3] ** 2)
        said = 8.0 - loss if number in HOSTILE else loss
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
