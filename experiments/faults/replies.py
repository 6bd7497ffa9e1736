"""Odd replies by the thousand: whatever one participant replies, no run may end by it.

    python -m experiments.faults.replies --examples 50 --seed 1

plays the changes of `tests/odd_replies.py` over the worlds of `tests/test_odd_replies.py`, and
prints how many runs and hops there were, of how many kinds, and how many runs raised.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.odd_replies import Change, changes
from tests.signers import verify
from tests.test_odd_replies import ODD, WHEN, WORLDS, charged, play


def main() -> int:
    """Play, print, and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=50, help="runs in each world")
    parser.add_argument("--seed", type=int, default=0, help="of the changes drawn")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    found: Counter[str] = Counter()
    for number, world in enumerate(WORLDS):
        _fuzz(world, options.examples, options.seed + number, found)
        print(f"{world}: {dict(found)}", flush=True)
    return 1 if found["raised"] or found["wrong"] else 0


def _fuzz(world: dict[str, Any], examples: int, start: int, found: Counter[str]) -> None:
    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(when=st.sampled_from(WHEN), by=changes)
    def one(when: str, by: list[Change]) -> None:
        found["runs"] += 1
        try:
            strategy = play(world, when, by)
        except Exception:
            found["raised"] += 1
            traceback.print_exc(file=sys.stdout)
            return
        found.update(f"hop {hop.outcome}" for hop in strategy.record.hops)
        found.update(f"said: {notice.kind}" for notice in strategy.record.notices.all.values())
        paid = {strategy.running.node_of[index] for index in charged(strategy)}
        found["wrong"] += not verify(strategy.chain).ok or not paid <= {1001 + ODD}
        found["messages"] += strategy.record.messages

    one()


if __name__ == "__main__":
    sys.exit(main())
