"""What a hop costs in bytes, and what rounding costs in accuracy.

    python -m experiments.speed.bytes --seeds 0 1 2

Digits over the in-memory grid, the line-up's ClientApp with and without the mod. Bytes are
the payload of messages, both ways, per accepted hop, in sizes of the model.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord

from clients.client_app import app
from clients.evaluation import initial_arrays, test_metrics
from flower_relay import InMemoryGrid, RelayStrategy

CASES = [
    ("without the mod", "exact"),
    ("exact", "exact"),
    ("fp16", "exact"),
    ("int8", "exact"),
    ("int8", "fp16"),
    ("int8", "int8"),
]


def without_mod(message: Message, context: Context) -> Message:
    """The line-up's ClientApp, whose mod does nothing unless it is asked."""
    for record in message.content.config_records.values():
        record.pop("relay-run", None)
    return app(message, context)


def play(test: str, hop: str, seed: int, options: argparse.Namespace) -> tuple[float, ...]:
    """Bytes of tests and of hops, and final accuracy."""
    config: dict[str, Any] = {
        "data": "digits", "partition": options.partition, "model": options.model, "seed": seed,
        "learning-rate": 0.2,
    }  # fmt: skip
    plain = test == "without the mod"
    grid = InMemoryGrid(without_mod if plain else app, options.nodes, run_config=config)
    strategy = RelayStrategy(
        observers=(),
        budget=options.budget,
        seed=seed,
        test_encoding="exact" if plain else test,
        hop_encoding=hop,
        utility_key="eval_root_prob",
        utility_rises=True,
    )
    accuracies: list[float] = []

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        metrics = test_metrics(arrays, config)
        accuracies.append(float(str(metrics["test_acc"])))
        return metrics

    start = initial_arrays(config)
    strategy.start(grid, start, num_rounds=options.budget, evaluate_fn=evaluate)
    record = strategy.record
    accepted = sum(hop.outcome == "accepted" for hop in record.hops)
    unit = accepted * sum(array.numpy().nbytes for array in start.values())
    return record.bytes_tests / unit, record.bytes_hops / unit, statistics.mean(accuracies[-3:])


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--partition", default="dirichlet:0.3")
    parser.add_argument("--model", default="mlp")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    print(f"{'tests':<17}{'hops':<7}{'tests':>18}{'hops':>18}{'total':>18}   accuracy")
    for test, hop in CASES:
        found = [play(test, hop, seed, options) for seed in options.seeds]
        columns = [
            " ".join(f"{row[0]:.2f}" for row in found),
            " ".join(f"{row[1]:.2f}" for row in found),
            " ".join(f"{row[0] + row[1]:.2f}" for row in found),
        ]
        cells = "".join(f"{column:>18}" for column in columns)
        print(
            f"{test:<17}{hop:<7}{cells}   {' '.join(f'{row[2]:.3f}' for row in found)}", flush=True
        )


if __name__ == "__main__":
    main()
