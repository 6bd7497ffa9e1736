"""What tampering with a run is found: every byte flipped in turn, and cleverer forgeries.

    python -m experiments.faults.tamper               # every byte of every column of every block
    python -m experiments.faults.tamper --every 50    # one in fifty

A small run on the in-memory grid is written to disk as a real one is, tampered with in its
database and its folder of models, and verified (`tests/forgeries.py`). Prints counts; exit code
1 if anything passed unseen.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from flower_relay.ledger import OperatorKey, read_sealed
from tests.forgeries import flip_indices, flip_models, flip_stored, forgeries, small_run


def main() -> int:
    """Tamper in all ways, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="flip one byte in so many")
    chosen = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.WARNING)
    began, unseen = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        own = small_run(folder)
        ledger = list(read_sealed(folder))
        print(f"{len(ledger)} blocks, {sum(len(b.body) for b in ledger)} bytes of bodies")
        for what, seen in (
            ("bytes of stored columns", flip_stored(folder, every=chosen.every)),
            ("bits of indices", flip_indices(folder)),
            ("model files, each flipped, cut short, gone", flip_models(folder)),
        ):
            found = seen["named"] + seen["found"]
            print(f"{what}: {found} of {seen.total()} found, {seen['named']} by their place")
            unseen += seen["unseen"]
        other = OperatorKey.create(Path(temporary) / "other.key")
        for what, right in forgeries(ledger, own, other).items():
            print(f"{'as it should be' if right else 'WRONG':<16}{what}")
            unseen += not right
    print(f"{time.monotonic() - began:.0f} s; {unseen} passed unseen")
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
