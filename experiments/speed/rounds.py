"""How long rounds take on a fleet of real processes, and the way to an accuracy: waves, averaging.

    python -m experiments.speed.rounds --nodes 8        # some 20 minutes

One SuperLink and its SuperNodes, with TLS and authentication, play one run after the other. All
runs have the same number of client trainings, and an averaging strategy trains as many a round as
a wave has lanes. The ledger of a relay is verified.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flower_relay.rules.lanes import lanes_now
from flower_relay.transport.superlink import end_tidily_on_signals, run_app
from scripts.fleet import Fleet, verify
from scripts.launch import prepare

TARGET = 0.9


@dataclass(frozen=True, kw_only=True)
class Way:
    """A run: its name in the table, and its run config."""

    name: str
    config: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a run took: rounds, seconds of them, seconds to the target (None: never), its end."""

    rounds: int
    seconds: float
    target: float | None
    final: float


def ways(nodes: int) -> tuple[Way, ...]:
    """The runs; rates of the clients and of the server are those of a comparison on digits."""
    part = f"fraction-train={lanes_now(nodes, ()) / nodes}"
    all_of_them = f"{part} fraction-evaluate=1.0"
    return (
        Way(name="FedAvg, nobody evaluates", config=f'strategy="fedavg" {part}'),
        Way(name="FedAvg, all evaluate", config=f'strategy="fedavg" {all_of_them}'),
        Way(name="FedAdam, all evaluate", config=f'strategy="fedadam" {all_of_them} eta=0.1'),
        Way(name="relay, lanes = wave", config='strategy="relay" lanes="wave"'),
    )


def taken(folder: Path) -> Taken:
    """What the metrics of a run say."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    tests: list[dict[str, Any]] = [entry for line in lines if "test" in (entry := json.loads(line))]
    reached = [t["seconds"] for t in tests if t["test"]["test_acc"] >= TARGET]
    return Taken(
        rounds=tests[-1]["round"],
        seconds=tests[-1]["seconds"] - tests[0]["seconds"],
        target=reached[0] - tests[0]["seconds"] if reached else None,
        final=tests[-1]["test"]["test_acc"],
    )


def show(way: Way, found: Taken) -> None:
    """Print a row of the table."""
    target = "never" if found.target is None else f"{found.target:.0f} s"
    each = found.seconds / found.rounds
    print(
        f"| {way.name} | {found.rounds} | {each:.1f} s | {target} | {found.final:.3f} |", flush=True
    )


def main() -> int:
    """Play, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--budget", type=int, default=80, help="client trainings of each run")
    parser.add_argument("--learning-rate", type=float, default=0.4)
    options = parser.parse_args()
    end_tidily_on_signals()
    with TemporaryDirectory() as runs, Fleet(options.nodes) as fleet:
        print(f"| {options.nodes} SuperNodes | rounds | a round | to {TARGET} | final |")
        print("| --- | --- | --- | --- | --- |", flush=True)
        for way in ways(options.nodes):
            launch = prepare(
                f"{way.config} budget={options.budget} learning-rate={options.learning_rate}",
                Path(runs), run_name=f"rounds-{time.strftime('%H%M%S')}",
                min_available_nodes=options.nodes,
            )  # fmt: skip
            if (problem := run_app(fleet, None, launch.config, quiet=True)) is not None:
                print(f"FAILED: {problem}", file=sys.stderr)
                return 1
            show(way, taken(launch.folder))
            if (launch.folder / "ledger.db").exists() and not verify(launch.folder):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
