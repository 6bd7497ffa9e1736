"""What participants who take as long as they may cost a run, in virtual time: nothing sleeps.

    python -m experiments.faults.stalling                 # the rows of docs/security.md
    python -m experiments.faults.stalling --hops 300

Twenty participants train for 10 s and examine for 1 s; the timeout is 600 s. In this world nothing
is left to learn after some hops, so that many are rejected and most of the time many wait.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
from flwr.app import Array, ArrayRecord, Message

import flower_relay.federation.admit as admit
import flower_relay.federation.run as run
import flower_relay.federation.strategy as strategy
import flower_relay.transport.courier as courier
from flower_relay import InMemoryGrid, RelayStrategy
from tests.clocks import Clock
from tests.signers import descending

NODES, TRAINING, EXAMINING, TIMEOUT = 20, 10.0, 1.0, 600.0
FIRST = 1001


class TimedGrid(InMemoryGrid):
    """Answers are there after the seconds that each takes, on the clock."""

    def __init__(self, clock: Clock, slow: dict[str, float], slow_nodes: int) -> None:
        super().__init__(descending(()), NODES, node_ids=range(FIRST, FIRST + NODES))
        self._clock, self._slow, self._slow_nodes = clock, slow, slow_nodes
        self._due: dict[str, float] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send; each answer is due when its node has taken its time."""
        sent = list(messages)
        ids = list(super().push_messages(sent))
        for message, message_id in zip(sent, ids, strict=True):
            self._due[message_id] = self._clock.now + self._takes(message)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """What is due by now."""
        due = [name for name in message_ids if self._due.get(name, 0) <= self._clock.now]
        return super().pull_messages(due)

    def _takes(self, message: Message) -> float:
        kind = message.metadata.message_type
        stalls = message.metadata.dst_node_id < FIRST + self._slow_nodes
        if stalls and message.metadata.group_id and kind in self._slow:
            return self._slow[kind]
        return TRAINING if kind == "train" else EXAMINING


def seconds(hops: int, stallers: int = 0, **slow: float) -> float:
    """Play a run; the virtual seconds that it took."""
    clock = Clock()
    for module in (admit, run, strategy, courier):
        module.time = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    grid = TimedGrid(clock, slow, stallers)
    relay = RelayStrategy(seed=3, budget=hops, deposit_unit=0.1)
    arrays = ArrayRecord({"w": Array(np.zeros(6))})
    relay.start(grid, arrays, num_rounds=10**6, timeout=TIMEOUT)
    return clock.now


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=100)
    hops = parser.parse_args().hops
    logging.disable(logging.CRITICAL)
    rows: list[tuple[str, int, dict[str, float]]] = [
        ("nobody stalls", 0, {}),
        ("one trains for 599 s", 1, {"train": 599.0}),
        ("two train for 599 s", 2, {"train": 599.0}),
        ("four train for 599 s", 4, {"train": 599.0}),
        ("four train for 95 s", 4, {"train": 95.0}),
        ("four examine for 29 s", 4, {"evaluate": 29.0}),
        ("twelve examine for 599 s", 12, {"evaluate": 599.0}),
    ]
    for name, stallers, slow in rows:
        print(f"{name:<28}{seconds(hops, stallers, **slow):>8.0f} s for {hops} hops", flush=True)


if __name__ == "__main__":
    main()
