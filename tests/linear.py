"""A small federation in plain numpy: participants fit a linear function, one in five is hostile."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy
from flower_relay.ledger import OperatorKey, open_ledger

_NODES = 12
_WIDTH = 6


def _cases(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A participant's own cases: noisy values of one linear function."""
    rng = np.random.default_rng([7, number])
    x = rng.normal(size=(24, _WIDTH))
    return x, x @ np.arange(1.0, _WIDTH + 1) + rng.normal(0, 0.3, size=24)


def client(message: Message, context: Context) -> Message:
    """A small ClientApp in plain numpy whose replies follow from what it is sent.

    Of five participants one is hostile and sends noise, so that legs fail, too.
    """
    number = int(context.node_config["partition-id"])
    x, y = _cases(number)
    weights = next(iter(message.content.array_records.values()))["w"].numpy()
    content = RecordDict()
    if message.metadata.message_type == "train":
        config = next(iter(message.content.config_records.values()))
        rng = np.random.default_rng([int(str(config["hop-seed"])), number])
        drawn = rng.choice(len(x), size=16, replace=False)
        slope = x[drawn].T @ (x[drawn] @ weights - y[drawn]) / len(drawn)
        hostile = number % 5 == 3
        trained = weights + rng.normal(0, 3, _WIDTH) if hostile else weights - 0.2 * slope
        content["arrays"] = ArrayRecord({"w": Array(trained)})
    metrics = {"eval_loss": float(np.mean((x @ weights - y) ** 2))}
    content["metrics"] = MetricRecord({**metrics, "num-examples": len(x), "partition-id": number})
    return Message(content, reply_to=message)


def genesis_model() -> ArrayRecord:
    """All weights zero."""
    return ArrayRecord({"w": Array(np.zeros(_WIDTH))})


def play(folder: Path, rounds: int, lanes: int | str = 1) -> None:
    """A run on the in-memory grid, or what is left of it; node ids are new each time."""

    def counted(message: Message, context: Context) -> Message:
        if message.metadata.message_type == "train":
            with (folder / "trained").open("ab") as file:
                file.write(b".")
        return client(message, context)

    key = OperatorKey.load_or_create(folder.parent / "operator.key")
    strategy = RelayStrategy(
        run_id="90" * 32,  # the same ledger whoever ends it
        observers=(),
        chain=lambda: open_ledger(folder / "ledger.db", key=key),
        store=lambda: FolderStore(folder / "models"),
        resume=True,
        seed=1,
        lanes=lanes,
        max_leg=3,
        examiners=5,
        planted=0.2,
        deposit_unit=0.0,
    )
    node_ids = random.SystemRandom().sample(range(1, 2**62), _NODES)
    grid = InMemoryGrid(counted, _NODES, node_ids=node_ids)
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=60)
