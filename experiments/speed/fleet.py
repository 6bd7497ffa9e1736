"""Where a hop's time goes on a fleet: hops, bare messages and FedAvg rounds on one deployment.

    python -m experiments.speed.fleet --nodes 8

SuperLink and SuperNodes are processes on the loopback interface, TLS and authentication on.
Flower's floor is a message without content to a process that could train: the same nodes in
turn, the same app, the same imports. A bare message's process does not import PyTorch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from experiments.speed.app import APP
from experiments.speed.phases import PHASES, noted, phases_of
from flower_relay.transport.superlink import end_tidily_on_signals, run_app
from scripts.fleet import Fleet

KINDS = {"query": "bare", "query.ready": "floor", "train": "hop"}


class LoggedFleet(Fleet):
    """A fleet whose logs have times."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "FLWR_LOG_LEVEL": "DEBUG"}


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--hops", type=int, default=40)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="of FedAvg")
    parser.add_argument("--keep", type=Path, help="a folder for logs and notes")
    options = parser.parse_args()
    end_tidily_on_signals()
    with LoggedFleet(options.nodes) as fleet:
        out, stamps = fleet.folder / "hop.json", fleet.folder / "stamps"
        stamps.mkdir()
        config = (
            f'what="hop" out="{out}" stamps="{stamps}" hops={options.hops} '
            f"messages={options.messages} fedavg-rounds={options.rounds}"
        )
        problem = run_app(fleet, None, config, APP, quiet=True)
        if options.keep:
            fleet.keep_logs(options.keep)
        if problem is not None or not out.exists():
            print(f"FAILED: {problem or 'no result'}\n{fleet.log.read_text()}", file=sys.stderr)
            return 1
        found = json.loads(out.read_text())
        notes = noted(found["messages"], fleet.folder.glob("node-*/supernode.log"), stamps)
    if options.keep:
        (options.keep / "notes.json").write_text(json.dumps(notes, indent=1))
    show(options.nodes, found["table"], notes)
    return 0


def show(nodes: int, table: dict[str, float], notes: dict[str, dict[str, Any]]) -> None:
    """Print what was measured, and the phases of each kind of message."""
    print(f"\n{nodes} SuperNodes, TLS, authenticated")
    of_kind = {
        name: [note for note in notes.values() if note["kind"] == kind]
        for kind, name in KINDS.items()
    }
    for name, value in table.items():
        print(f"  {name:<52} {value:.3f}")
    for name, those in of_kind.items():
        there_and_back = sorted(note["pulled"] - note["push"] for note in those)
        p95 = statistics.quantiles(there_and_back, n=20)[-1]
        median = statistics.median(there_and_back)
        print(f"  {name}, there and back: median {median:.2f}, p95 {p95:.2f} s ({len(those)})")
    columns = {name: phases_of(those) for name, those in of_kind.items()}
    print(f"\n{'mean seconds':<54}{'':<12}" + "".join(f"{name:>8}" for name in columns))
    for place, (what, whose, _) in enumerate(PHASES):
        print(f"{what:<54}{whose:<12}" + "".join(f"{c[place]:8.3f}" for c in columns.values()))
    print(f"{'in all':<66}" + "".join(f"{sum(column):8.3f}" for column in columns.values()))


if __name__ == "__main__":
    sys.exit(main())
