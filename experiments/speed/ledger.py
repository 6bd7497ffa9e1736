"""What durability costs: a hop with and without ledger and store, and bytes on disk.

    python -m experiments.speed.ledger             # the MLP, 60 hops; and a 100 MB model, 24 hops

Both sides run on the in-memory grid, alternating, in one go. The share is of a hop through
Flower's simulation whose training costs nothing: its bare message there and back takes 0.10 s
(`hop.py`), and the hop in memory comes on top.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from rich.console import Console
from rich.table import Table

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy
from flower_relay.ledger import OperatorKey, open_ledger

_HOP_SECONDS = 0.10
_NODES = 8


def _app() -> ClientApp:
    """A ClientApp that trains for nothing: it adds a little to every weight."""
    app = ClientApp()

    @app.train()
    def train(msg: Message, context: Context) -> Message:
        arrays = msg.content.array_records["arrays"]
        step = np.float32(1e-3 * (1 + int(context.node_config["partition-id"])))
        moved = {name: Array(array.numpy() + step) for name, array in arrays.items()}
        metrics = MetricRecord({"num-examples": 1})
        content = RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics})
        return Message(content=content, reply_to=msg)

    @app.evaluate()
    def evaluate(msg: Message, context: Context) -> Message:
        first = next(iter(msg.content.array_records["arrays"].values())).numpy()
        loss = float(1.0 / (1.0 + abs(float(first.flat[0]))))
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 1})
        return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)

    return app


def _run(numbers: int, hops: int, **kept: Callable[[], Any]) -> float:
    """Seconds a hop."""
    grid = InMemoryGrid(_app(), _NODES)
    strategy = RelayStrategy(budget=hops, examiners=3, observers=(), **kept)
    first = ArrayRecord({"weights": Array(np.zeros(numbers, dtype=np.float32))})
    began = time.perf_counter()
    strategy.start(grid, first, num_rounds=hops)
    return (time.perf_counter() - began) / hops


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(numbers: int, hops: int, repeats: int) -> list[str]:
    """A row of the table: one model size, with and without durability, alternating."""
    bare, durable, disk, ledger = [], [], [], []
    for _ in range(repeats):
        bare.append(_run(numbers, hops))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            key = OperatorKey.load_or_create(folder / "operator.key")
            durable.append(
                _run(
                    numbers,
                    hops,
                    chain=lambda folder=folder, key=key: open_ledger(folder / "ledger.db", key=key),
                    store=lambda folder=folder: FolderStore(folder / "models"),
                )
            )
            disk.append(_disk(folder))
            ledger.append(_disk(folder) - _disk(folder / "models"))
    cost = statistics.median(durable) - statistics.median(bare)
    return [
        f"{numbers * 4 / 1e6:,.2f} MB", str(hops), f"{statistics.median(bare) * 1e3:.1f} ms",
        f"{statistics.median(durable) * 1e3:.1f} ms", f"{cost * 1e3:.1f} ms",
        f"{100 * cost / (_HOP_SECONDS + statistics.median(bare) + cost):.1f} %",
        f"{statistics.median(disk) / 1e6:,.2f} MB",
        f"{statistics.median(ledger) / hops:,.0f} bytes",
    ]  # fmt: skip


def main() -> None:
    """Measure both sizes and print the table."""
    logging.disable(logging.INFO)
    table = Table(
        "model", "hops", "hop in memory", "hop with ledger and store", "they cost",
        "of a hop in simulation", "on disk at the end", "ledger a hop",
        title="What durability costs",
    )  # fmt: skip
    table.add_row(*measure(4_810, 60, 5))
    table.add_row(*measure(25_000_000, 24, 1))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
