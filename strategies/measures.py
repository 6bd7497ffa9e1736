"""What is measured of a run whatever its strategy: rounds in a budget, own data, who is hostile."""

from __future__ import annotations

import time
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from clients.hostile import crowd_numbers, is_hostile, parse_behaviour
from flower_relay.node.keys import name_of_partition
from strategies.settings import RELAYS, RunSettings

__all__ = ["clients_per_round", "hostile_names", "num_rounds", "own_accuracy"]

_CLOSING_TIMEOUT = 60.0


def num_rounds(run: RunSettings, grid: Grid) -> int:
    """Rounds to play: as asked, or as the budget of client-epochs allows."""
    if run.budget == 0:
        return run.rounds
    if run.strategy in RELAYS:
        return run.budget  # a round has a hop at least; the relay stops at its budget
    while len(nodes := list(grid.get_node_ids())) < run.relay.min_available_nodes:
        time.sleep(0.5)
    return max(1, run.budget // clients_per_round(run, len(nodes)))


def clients_per_round(run: RunSettings, num_nodes: int) -> int:
    """How many clients an averaging strategy trains at once."""
    return max(2, int(num_nodes * float(run.config["fraction-train"])))


def hostile_names(run: RunSettings, num_nodes: int, num_names: int | None = None) -> frozenset[str]:
    """The participants that the run config sets to misbehave, under each of their names."""
    share, seed = float(run.config["hostile-share"]), int(run.config["seed"])
    if share <= 0:
        return frozenset()
    everybody = range(num_names or num_nodes)
    numbers = [n for n in everybody if is_hostile(n, num_nodes, share, seed)]
    crowd = crowd_numbers(parse_behaviour(str(run.config["hostile"])))
    return frozenset(name_of_partition(n, run.keys_dir) for n in (*numbers, *crowd))


def own_accuracy(grid: Grid, arrays: ArrayRecord, keys_dir: Path | None) -> dict[str, float]:
    """A model's accuracy on the cases that each participant kept for examining."""
    content = RecordDict({"arrays": arrays, "config": ConfigRecord()})
    messages = [
        Message(content, node, "evaluate", ttl=_CLOSING_TIMEOUT)
        for node in sorted(grid.get_node_ids())
    ]
    found: dict[str, float] = {}
    for reply in grid.send_and_receive(messages, timeout=_CLOSING_TIMEOUT):
        if reply.has_content():
            metrics = next(iter(reply.content.metric_records.values()))
            name = name_of_partition(int(metrics["partition-id"]), keys_dir)  # type: ignore[arg-type]
            found[name] = float(metrics["eval_acc"])  # type: ignore[arg-type]
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))
