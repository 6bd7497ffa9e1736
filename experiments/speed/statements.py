"""What signatures cost: bytes and processor time a hop, and how fast a ledger is verified.

    python -m experiments.speed.statements                 # 20 participants who sign, 200 hops
    python -m experiments.speed.statements --unsigned      # the same participants without the mod

All of it in one process: server, participants with keys in files, and a ledger on disk. Training is
next to nothing, so that the time is the relay's own. It uses nothing that versions before did not
have, so that it can be run on a checkout of one of them: `PYTHONPATH=CHECKOUT python FILE`.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.ledger import OperatorKey, open_ledger, read_sealed
from flower_relay.ledger.verify import verify_run
from flower_relay.mods import relay_mod

NODES, WEIGHTS = 20, 20_000


def client_app(signs: bool) -> ClientApp:
    """Training goes a fifth of the way to 1, each node by another way; the loss is what is left."""
    app = ClientApp(mods=[relay_mod] if signs else [])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        w = message.content["arrays"]["w"].numpy()
        rng = np.random.default_rng(int(message.content["config"]["hop-seed"]))
        step = (0.2 + 0.01 * rng.standard_normal(WEIGHTS)).astype(np.float32)
        content = RecordDict({"arrays": ArrayRecord({"w": Array(w + (1 - w) * step)})})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        loss = float(np.mean((1 - message.content["arrays"]["w"].numpy()) ** 2)) + number / 100
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5, "partition-id": number})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def played(folder: Path, hops: int, signs: bool) -> tuple[float, float, float, int]:
    """Bytes on the wire, on the ledger, and milliseconds a hop; the number of blocks."""
    config = {"relay-keys-dir": str(folder / "keys")} if signs else {}
    grid = InMemoryGrid(client_app(signs), NODES, run_config=config)
    key = OperatorKey.load_or_create(folder / "operator.key")
    with open_ledger(folder / "ledger.db", key=key) as chain:
        strategy = RelayStrategy(seed=3, budget=hops, chain=lambda: chain, observers=())
        began = time.process_time()
        arrays = ArrayRecord({"w": Array(np.zeros(WEIGHTS, np.float32))})
        strategy.start(grid, arrays, num_rounds=10**6, timeout=600)
        took = time.process_time() - began
    wire = strategy.record.bytes_sent + strategy.record.bytes_received
    blocks = [sealed.body for sealed in read_sealed(folder)]
    return wire / hops, sum(map(len, blocks)) / hops, 1000 * took / hops, len(blocks)


def verified(folder: Path) -> float:
    """Blocks a second of processor time, with every rule decided again."""
    began = time.process_time()
    verdict = verify_run(read_sealed(folder))
    assert verdict.ok, verdict.first_problem
    return verdict.blocks / (time.process_time() - began)


def main() -> None:
    """Play, verify, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=200)
    parser.add_argument("--unsigned", action="store_true")
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for _ in range(chosen.times):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            wire, ledger, milliseconds, blocks = played(folder, chosen.hops, not chosen.unsigned)
            speed = max(verified(folder) for _ in range(3))
        print(f"{wire / 1000:.1f} kB on the wire, {ledger / 1000:.2f} kB of ledger and "
              f"{milliseconds:.1f} ms of processor time a hop; {blocks} blocks, verified at "
              f"{speed:.0f} a second", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
