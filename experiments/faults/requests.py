"""Requests of any kind to nodes that sign, by the thousand (`tests/requests.py` makes them).

    python -m experiments.faults.requests                        # 3,000 requests
    python -m experiments.faults.requests --requests 20000 --seed 7

Prints counts of what became of them; exit code 1 if anything was signed that should not have been,
or if anything but a refusal was raised.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings

from tests.requests import fuzz


def main() -> int:
    """Ask, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    counts, wrong = fuzz(chosen.requests, chosen.seed)
    for outcome, number in counts.most_common():
        print(f"{number:>8}  {outcome}")
    print("\n".join(wrong[:20]))
    print(f"{chosen.requests} requests; {len(wrong)} accepted that should not have been")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
