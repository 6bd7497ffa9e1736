"""Compare strategies through Flower: one SuperLink, every strategy and seed, one table.

    python scripts/lineup.py --strategies relay fedavg --seeds 0 1 2
    python scripts/lineup.py --extra 'hostile="label-flip+liar" hostile-share=0.2'

`NAME:key=value` gives one strategy a setting of its own, as in `fedavg:learning-rate=0.8`.
"final" is the mean test accuracy of the last three of forty records.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from flower import PrivateSuperLink, interrupted, run

_DEFAULT = ["relay", "fedavg", "fedavg:learning-rate=0.8", "cyclic", "relay-fanout"]


def config_of(entry: str, seed: int, budget: int, extra: str, runs_dir: Path, name: str) -> str:
    """The run config of one cell."""
    strategy, _, own = entry.partition(":")
    return (
        f'runs-dir="{runs_dir}" run-name="{name}" strategy="{strategy}" seed={seed} '
        f"budget={budget} {extra} {own}"
    )


def main() -> int:
    """Run the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", nargs="+", default=_DEFAULT)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--budget", type=int, default=400, help="client-epochs")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--extra", default="", help="run config for every cell")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    rows: list[tuple[str, list[float], float]] = []
    with PrivateSuperLink() as link:
        for entry in options.strategies:
            finals, seconds = [], 0.0
            for seed in options.seeds:
                name = f"lineup-{entry}-{seed}-{link.port}".replace(":", "-").replace("=", "-")
                runs_dir = options.runs_dir.absolute()
                cell = config_of(entry, seed, options.budget, options.extra, runs_dir, name)
                if problem := run(link, options.nodes, cell):
                    print(f"FAILED: {cell}: {problem}", file=sys.stderr)
                    return 1
                found = json.loads((runs_dir / name / "result.json").read_text())["summary"]
                finals.append(found["test accuracy, last three of forty records"])
                seconds += found["seconds"]
            rows.append((entry, finals, seconds))
    print(f"\n{'strategy':<28}{'mean final':>11}   per seed {options.seeds}  {options.extra}")
    for entry, finals, seconds in rows:
        each = " ".join(f"{final:.3f}" for final in finals)
        print(f"{entry:<28}{statistics.mean(finals):>11.3f}   {each}   ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
