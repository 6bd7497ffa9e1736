"""How far the utility of a likeness is from that of the model itself.

    python -m experiments.speed.likeness

Digits, 20 nodes in memory, 100 hops; the utility is on the common test set, as a share of
its bound, beside which stand the tolerance (0.11) and the median size of a vote.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import numpy as np

from clients.client_app import app
from clients.data import load_dataset
from clients.evaluation import initial_arrays, test_metrics
from flower_relay import InMemoryGrid, MemoryStore, RelayStrategy
from flower_relay.federation.run import to_record
from flower_relay.mechanism.blocks import Testing

_CONFIG = {
    "data": "digits", "partition": "dirichlet:0.3", "model": "mlp", "seed": 0, "learning-rate": 0.2,
}  # fmt: skip


class Hoard(MemoryStore):
    """Keeps every model."""

    def keep_only(self, names: Iterable[str]) -> None:
        """Let go of nothing."""


def main() -> None:
    """Run, and compare every likeness with its model."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    bound = 2 * math.log(load_dataset("digits").num_classes)
    for encoding in ("fp16", "int8"):
        store = Hoard()
        strategy = RelayStrategy(
            observers=(),
            budget=100,
            store=lambda kept=store: kept,
            utility_key="eval_bounded_loss",  # what the common test can measure, too
            test_encoding=encoding,
        )
        grid = InMemoryGrid(app, 20, run_config=_CONFIG)
        strategy.start(grid, initial_arrays(_CONFIG), num_rounds=100)

        def utility(name: str, kept: Hoard = store) -> float:
            loss = test_metrics(to_record(kept.get(name)), _CONFIG)["test_loss"]
            return 1 - min(float(str(loss)), bound) / bound

        off = [
            abs(utility(model) - utility(shown))
            for block in strategy.chain
            if isinstance(block, Testing)
            for model, shown in zip(block.models, block.shown, strict=False)
            if model != shown
        ]
        votes = [abs(hop.vote) for hop in strategy.record.hops if hop.vote is not None]
        print(
            f"{encoding}: {len(off)} likenesses, off by {np.mean(off):.1e} on average and "
            f"{max(off):.1e} at most; median vote {np.median(votes):.1e}"
        )


if __name__ == "__main__":
    main()
