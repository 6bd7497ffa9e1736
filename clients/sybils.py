"""Sybils: hostile participants who come back under another name once they were found out.

A ClientApp alone cannot do this: the relay asks who somebody is when a node id is new. So
the node disconnects and connects again, with a new number to report (and, where participants
sign, a new key). In the in-memory world the grid does it for them, told by what the relay
publishes of each hop. A crowd's names, which only examine, come after the first round.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from clients.hostile import crowd_numbers, is_hostile, parse_behaviour
from flower_relay import InMemoryGrid, RelayObserver
from flower_relay.federation.record import RoundRow, RunRecord
from flower_relay.node.keys import name_of_partition
from flower_relay.report.outcome import fate
from flower_relay.rules.outcomes import Outcome

__all__ = ["Sybils"]


class Sybils(RelayObserver):
    """Gives every `sybil` whose hop was rejected a new node and a new name.

    Parameters
    ----------
    grid : InMemoryGrid
        Whose nodes they are, before any hop was made.
    config : mapping
        The run config: `hostile`, `hostile-share`, `seed`, `relay-keys-dir`.

    Examples
    --------
    >>> grid = InMemoryGrid(app, run_config=config)                   # doctest: +SKIP
    >>> RelayStrategy(observers=[Sybils(grid, config)])               # doctest: +SKIP
    """

    def __init__(self, grid: InMemoryGrid, config: Mapping[str, Any]) -> None:
        folder = str(config.get("relay-keys-dir", ""))
        self._grid = grid
        self._keys_dir = Path(folder) if folder else None
        nodes = list(grid.get_node_ids())
        self._size = len(nodes)
        share, seed = float(config.get("hostile-share", 0.0)), int(config.get("seed", 0))
        behaviour = parse_behaviour(str(config.get("hostile", "")))
        active = "sybil" in behaviour
        self._crowd = list(crowd_numbers(behaviour)) if share > 0 else []
        self._nodes = {
            number: node
            for number, node in enumerate(nodes)
            if active and is_hostile(number, self._size, share, seed)
        }

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Whose hop was rejected in this round leaves, and somebody new is there."""
        while self._crowd:
            self._grid.join(self._free_id(), partition_id=self._crowd.pop())
        latest = takewhile(lambda hop: hop.round == row.round, reversed(record.hops))
        caught = {
            record.participants[hop.trainer].name for hop in latest if fate(hop) == Outcome.REJECTED
        }
        for number in list(self._nodes):
            if name_of_partition(number, self._keys_dir) in caught:
                self._come_back(number)

    def _come_back(self, number: int) -> None:
        old, fresh = self._nodes.pop(number), number + self._size
        node = self._free_id()  # before: a known id has a name
        self._grid.leave(old)
        self._grid.join(node, partition_id=fresh)
        self._nodes[fresh] = node

    def _free_id(self) -> int:
        return max(self._grid.get_node_ids()) + self._size
