"""What a hop takes through Flower: times in one run, and peak memory in another.

    python -m experiments.speed.hop memory --megabytes 100     # one of the two

Memory is told phase by phase (`app/watch.py`), in models, above what the process had before.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from experiments import ROOT
from experiments.speed.app import APP
from flower_relay.transport.superlink import PrivateSuperLink, interrupted, run_app

_NODES = {"hop": 20, "memory": 8}
"""What there is to measure, and on how many nodes."""


def main() -> int:
    """Measure both and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=list(_NODES), help="hop, memory")
    parser.add_argument("--megabytes", type=int, default=100, help="of the large model")
    parser.add_argument("--rounds", type=int, default=5, help="for which it is relayed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    with PrivateSuperLink(ROOT) as link:
        for what in options.what:
            out = link.folder / f"{what}.json"
            config = f'what="{what}" out="{out}" megabytes={options.megabytes}'
            problem = run_app(link, _NODES[what], f"{config} rounds={options.rounds}", APP)
            if problem is not None or not out.exists():
                print(f"FAILED: {what}: {problem or 'no result'}", file=sys.stderr)
                return 1
            print(f"\n{what}")
            found = json.loads(out.read_text())
            for name, value in found.get("table", found).items():
                print(f"  {name:<52} {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
