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
    "chain": "c697caf446d119fa9c51d954245d8cad3275462e21d97545af7cf4eae190a88a",
    "whole hops": "3bb49ee55fc8ca1d68e1a733f7fcb7fe708f3d86742fbe1cf8bae4d17bdd61fe",
    "lanes": "c8ebf39c6bcb2eab98ea89343d61f29bb8cf17f3cb7d253c3f68214d0821261e",
    "lanes average": "67ffb52db4d2ace357452edcc86cccd00b856e6f01f77a37883fa29162b0eeb5",
    "lanes momentum": "b32dc786d871466849fb3d3e81397ab3c9ad600dce191a0127c0be53b467ac3c",
    "lanes auto": "77840ffd27c0b655b36a56535a57a4873c6f1f00bcacee80706abc9a582ba1b6",
    "lanes adam": "be778a7431d4c4e673570b02756da80c6753c0b6b61474eb1083de4cdbdbbd4c",
    "lanes wave": "ee75e67f4e286e8d5a492cddabe7ff2735a6534807a1e7db3f74ab70498d5e52",
    "lanes wave, signed": "4bd58a5e11b1ddf3a393cd0c2de87f7482ef0d4bb234fb430cd9c4c79606a93e",
    "fan-out": "49bb720f600f500c5a9998c1216a8ddee8f41c43d6253782cd67becafa46a3f2",
    "fan-out royalty": "ec007a1e2cdb0e22f7b8a25891018003554c984954116dc6828247542318a4f8",
    "untested": "b477f1a55a98bd50a70be5dc41ae06594d6fda5b556f31168000cfa021ad28ba",
    "signed": "1e6e4907695aec02dc1178fb6a7e5843e951b8d2d13c17cbc2226b8e72a963e1",
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
