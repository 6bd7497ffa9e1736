"""What a ledger from anybody can do: values, bytes and blocks changed at random, signed anew.

    python -m experiments.faults.mutate                          # 3,000 ledgers
    python -m experiments.faults.mutate --ledgers 50000 --seed 7
    python -m experiments.faults.mutate --signed                 # of participants who all sign

A small run's ledger is changed and sealed again by its operator (`tests/mutants.py`). `verify`
must come to a verdict, and every other command to an end: what raises, or puts a control
character on the terminal, is a fault of ours. So is a changed ledger that holds for no reason
that is known (`tests/holding.py`). Prints counts by the kind of change, and why those that hold
do; exit code 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from flower_relay.ledger import OperatorKey, read_sealed
from tests.forgeries import small_run
from tests.holding import UNEXPLAINED, why
from tests.mutants import faults_of_commands, faults_of_verify, mutants
from tests.signers import NODES, OPERATOR, descending, fixed_keys, play, sealed


def true_run(folder: Path, signed: bool) -> tuple[list[str], OperatorKey, Path | None]:
    """The bodies of a ledger as it was made, the operator's key, and the models."""
    if signed:
        run = play(descending(), fixed_keys(folder / "keys", NODES), rounds=3, run_id="90" * 32)
        return [block.body for block in sealed(run.chain)], OPERATOR, None
    key = small_run(folder / "true" / "run")
    bodies = [block.body for block in read_sealed(folder / "true" / "run")]
    return bodies, key, folder / "true" / "run" / "models"


def main() -> int:
    """Change ledgers in all ways, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=20, help="run them all on one in so many")
    parser.add_argument("--signed", action="store_true", help="participants sign")
    chosen = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    began, faults, longest = time.monotonic(), list[str](), 0.0
    counts, reasons = Counter[tuple[str, str]](), Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies, key, models = true_run(folder, chosen.signed)
        ledgers = mutants(bodies, key, chosen.seed, chosen.ledgers)
        for number, (kind, blocks) in enumerate(ledgers):
            at = time.monotonic()
            outcome, fault = faults_of_verify(blocks, models)
            longest = max(longest, time.monotonic() - at)
            counts[kind, outcome] += 1
            found = [fault] if fault else []
            if outcome == "holds":
                reason = why(bodies, [block.body for block in blocks], signed=chosen.signed)
                reasons[reason] += 1
                found += [reason] if UNEXPLAINED in reason else []
            if number % chosen.commands == 0:
                found += faults_of_commands(blocks, folder)
            faults += [f"seed {chosen.seed}, ledger {number} ({kind}): {each}" for each in found]
    for (kind, outcome), number in sorted(counts.items()):
        print(f"{kind:<10}{outcome:<30}{number:>8}")
    for reason, number in reasons.most_common():
        print(f"holds: {number:>5}  {reason}")
    print("\n".join(faults[:20]))
    took = f"{time.monotonic() - began:.0f} s, the longest {longest:.2f} s"
    print(f"{chosen.ledgers} ledgers, {took}; {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
