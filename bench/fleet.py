"""Where a hop's time goes on a fleet: hops, bare messages and FedAvg rounds on one deployment.

    python bench/fleet.py --nodes 4

SuperLink and SuperNodes are processes on the loopback interface, TLS and authentication on.
A bare message there and back is Flower's floor: a process is started to answer it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from fleet import Fleet  # noqa: E402

from flower_relay.superlink import end_tidily_on_signals, run_app  # noqa: E402


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--hops", type=int, default=40)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="of FedAvg")
    options = parser.parse_args()
    end_tidily_on_signals()
    with Fleet(options.nodes) as fleet:
        out = fleet.folder / "hop.json"
        config = (
            f'what="hop" out="{out}" hops={options.hops} messages={options.messages} '
            f"fedavg-rounds={options.rounds}"
        )
        problem = run_app(fleet, None, config, ROOT / "bench" / "app")
        if problem is not None or not out.exists():
            print(f"FAILED: {problem or 'no result'}", file=sys.stderr)
            return 1
        print(f"\n{options.nodes} SuperNodes, TLS, authenticated")
        for name, value in json.loads(out.read_text()).items():
            print(f"  {name:<52} {value:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
