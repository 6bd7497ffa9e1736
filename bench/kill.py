"""How a run survives kill -9: the process dies at random instants, and the run is resumed.

    python bench/kill.py                # 95 kills of a run on the in-memory grid
    python bench/kill.py --flower 5     # and 5 of the server app's process, through `flwr run`

Each killed run is resumed and must verify, must have lost at most the leg under way, and
must end with the ledger of the run that was never interrupted, to the same head hash.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]

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
