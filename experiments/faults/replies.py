"""Odd replies by the thousand: whatever one participant replies, no run may end by it.

    python -m experiments.faults.replies --examples 50 --seed 1

plays the changes of `tests/odd_replies.py` over the worlds of `tests/test_odd_replies.py`, and
prints a table: by the kind of change, what became of the hops of who sent it. A reply can have
up to three changes, and counts for each of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from flower_relay import RelayStrategy
from tests.odd_replies import Change, changes
from tests.signers import verify
from tests.test_odd_replies import WHEN, WORLDS, charged, node_of, odd_in, play


def main() -> int:
    """Play, print, and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=50, help="runs in each world")
    parser.add_argument("--seed", type=int, default=0, help="of the changes drawn")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    found, by_kind, began = Counter[str](), Counter[tuple[str, str]](), time.monotonic()
    for number, world in enumerate(WORLDS):
        _fuzz(world, options.examples, options.seed + number, found, by_kind)
    _print(by_kind)
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s, {len(WORLDS)} worlds")
    for what in ("runs", "replies changed", "exceptions", "ledgers that differ", "others charged"):
        print(f"{what}: {found[what]}")
    return 1 if found["exceptions"] + found["ledgers that differ"] + found["others charged"] else 0


def _fuzz(
    world: dict[str, Any],
    examples: int,
    start: int,
    found: Counter[str],
    by_kind: Counter[tuple[str, str]],
) -> None:
    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(when=st.sampled_from(WHEN), by=changes)
    def one(when: str, by: list[Change]) -> None:
        found["runs"] += 1
        try:
            strategy = play(world, when, by, found)
        except Exception:
            found["exceptions"] += 1
            by_kind.update((change.kind, "exception") for change in by)
            traceback.print_exc(file=sys.stdout)
            return
        found["ledgers that differ"] += not verify(strategy.chain).ok
        found["others charged"] += not charged(strategy) <= {node_of(odd_in(world))}
        by_kind.update((change.kind, what) for change in by for what in _became(strategy, world))

    one()


def _became(strategy: RelayStrategy, world: dict[str, Any]) -> list[str]:
    """What became of the odd node's hops, and what was said of it as an examiner."""
    nodes = strategy.running.node_of
    odd = {index for index, node in nodes.items() if node == node_of(odd_in(world))}
    hops = [hop.outcome for hop in strategy.record.hops if hop.trainer in odd]
    kinds = {notice.kind for notice in strategy.record.notices.all.values()}
    return [*hops, *(kind for kind in kinds if kind not in hops)]


def _print(by_kind: Counter[tuple[str, str]]) -> None:
    kinds = sorted({kind for kind, _ in by_kind})
    columns = [what for what, _ in Counter(what for _, what in by_kind.elements()).most_common()]
    table = Table("change", *columns)
    for kind in kinds:
        table.add_row(kind, *(str(by_kind[kind, what] or "") for what in columns))
    console = Console(width=200)
    console.print(table)
    console.print(f"{len(kinds)} kinds of change, {len(columns)} kinds of outcome")


if __name__ == "__main__":
    sys.exit(main())
