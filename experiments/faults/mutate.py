"""What a ledger from anybody can do: values, bytes and blocks changed at random, signed anew.

    python -m experiments.faults.mutate                          # 3,000 ledgers
    python -m experiments.faults.mutate --ledgers 50000 --seed 7

A small run's ledger is changed and sealed again by its operator (`tests/mutants.py`). `verify`
must come to a verdict, and every other command to an end: what raises, or puts a control
character on the terminal, is a fault of ours. Prints counts by the kind of change; exit code 1
if there was a fault.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from flower_relay.ledger import read_sealed
from tests.forgeries import small_run
from tests.mutants import faults_of_commands, faults_of_verify, mutants


def main() -> int:
    """Change ledgers in all ways, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=20, help="run them all on one in so many")
    chosen = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.WARNING)
    began, faults, counts, longest = time.monotonic(), list[str](), Counter[tuple[str, str]](), 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        key = small_run(folder / "true" / "run")
        bodies = [sealed.body for sealed in read_sealed(folder / "true" / "run")]
        models = folder / "true" / "run" / "models"
        ledgers = mutants(bodies, key, chosen.seed, chosen.ledgers)
        for number, (kind, blocks) in enumerate(ledgers):
            at = time.monotonic()
            outcome, fault = faults_of_verify(blocks, models)
            longest = max(longest, time.monotonic() - at)
            counts[kind, outcome] += 1
            found = [fault] if fault else []
            if number % chosen.commands == 0:
                found += faults_of_commands(blocks, folder)
            faults += [f"seed {chosen.seed}, ledger {number} ({kind}): {each}" for each in found]
    for (kind, outcome), number in sorted(counts.items()):
        print(f"{kind:<10}{outcome:<30}{number:>8}")
    print("\n".join(faults[:20]))
    took = f"{time.monotonic() - began:.0f} s, the longest {longest:.2f} s"
    print(f"{chosen.ledgers} ledgers, {took}; {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
