"""What a hop takes through Flower: times in one run, and peak memory in another.

`python -m experiments.speed.hop memory` runs one of the two.
"""

from __future__ import annotations

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
    signal.signal(signal.SIGTERM, interrupted)
    with PrivateSuperLink(ROOT) as link:
        for what in sys.argv[1:] or list(_NODES):
            nodes = _NODES[what]
            out = link.folder / f"{what}.json"
            problem = run_app(link, nodes, f'what="{what}" out="{out}"', APP)
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
