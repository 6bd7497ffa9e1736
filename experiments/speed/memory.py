"""Peak memory of the strategy itself: a 100 MB model over four lanes on the in-memory grid.

    python -m experiments.speed.memory 44

`hop.py memory` measures the same under Flower's simulation, whose process also holds
the simulated nodes' messages.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from flwr.app import Context, RecordDict

from experiments.speed.app import measured, visited
from flower_relay import InMemoryGrid


def main() -> None:
    """Relay a large model in this process and print what it measured."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "what": "memory",
            "out": str(Path(folder) / "memory.json"),
            "megabytes": megabytes,
            "lanes": 4,
            "rounds": 5,
        }
        grid = InMemoryGrid(visited.client, 8, run_config=config)
        found = measured.measure_memory(grid, Context(1, 1, {}, RecordDict(), config))
    print("memory, on the in-memory grid")
    for name, value in found.items():
        print(f"  {name:<52} {value:.4f}")


if __name__ == "__main__":
    main()
