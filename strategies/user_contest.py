"""One cell of a comparison on a user's own app: relay, or one of Flower's strategies, in memory.

The cell's data is the app's folder. What `flower_relay.comparison` asks of a player's module is
here: `play`, `check` before anything is played, `ladders` of what can be tuned, and
`fingerprint` of the code that the cells are of.
"""

from __future__ import annotations

import functools
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp.strategy import Result, Strategy

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.comparison.devices import FLEETS, draw_devices
from flower_relay.comparison.fleet import FleetGrid
from flower_relay.comparison.ladders import Ladder, ladders_of
from flower_relay.errors import ConfigurationError, RelayError
from strategies.findings import final_of, hops_of, participants_of
from strategies.user_app import Beginning, UserApp, fingerprint, rate_key
from strategies.user_attacks import Hostile, parsed
from strategies.user_lineup import (
    averaging,
    check_settings,
    is_relay,
    relay,
    strategy_of,
    tuned_of,
)
from strategies.user_tests import UserTests

__all__ = ["check", "fingerprint", "ladders", "play"]

_RECORDS = 40
_EPOCH_KEYS = ("local-epochs", "local_epochs")
_OPTIONS = ("app-initial", "app-metric", "app-rate-key")
"""Settings of a cell that are neither the app's nor a strategy's: the command's options."""


def check(cell: Mapping[str, Any]) -> None:
    """See that a cell can be played: strategy, settings, app; its ClientApp is tried once.

    Raises
    ------
    ConfigurationError
        Saying what is missing or wrong, and what to do.
    """
    name, own = strategy_of(cell)
    parsed(str(cell["attack"]))
    app = UserApp.at(Path(str(cell["data"])))
    known = {*app.config, *_OPTIONS, *own, *tuned_of(name)}
    if wrong := sorted(set(cell["settings"]) - known):
        raise ConfigurationError(
            f"set {wrong[0]!r}: expected a key of the app's run config: "
            f"{', '.join(sorted(app.config)) or 'it has none'}."
        )
    rate_key(app.config, str(cell["settings"].get("app-rate-key", "")))
    check_settings(name, own)
    _tried(json.dumps({k: cell[k] for k in ("data", "nodes", "settings")}, sort_keys=True))


@functools.lru_cache(maxsize=4)
def _tried(text: str) -> None:
    """Have the app's first participant train and test its first model, once for all strategies."""
    cell = {**json.loads(text), "seed": 0, "attack": "", "share": 0.0}
    match = _Match(cell)
    match.tests.of(match.beginning.arrays)
    content = match.tests.content(match.beginning.arrays, match.beginning.train_config)
    [reply] = match.grid.send_and_receive([Message(content, match.nodes[0], "train")])
    if reply.has_error():
        raise ConfigurationError(
            f"app = {cell['data']!r}: its ClientApp raised when it was asked to train: "
            f"{reply.error.reason}. Nothing was played; see that it trains with these records: "
            f"{', '.join(content)}."
        )


def ladders(cell: Mapping[str, Any]) -> dict[str, Ladder]:
    """What can be tuned: what the strategy has, and the app's own learning rate, up and down."""
    config = UserApp.at(Path(str(cell["data"]))).config
    key = rate_key(config, str(cell["settings"].get("app-rate-key", "")))
    found = ladders_of(str(cell["strategy"]))
    del found["learning-rate"]
    if key is None or key in cell["settings"]:
        return found
    own = float(config[key])
    values = tuple(own * 2.0**power for power in range(-8, 9))
    return {"learning-rate": Ladder(values, (own, own / 4, own * 4)), **found}


def _tuned_of(name: str) -> set[str]:
    return {"learning-rate", *ladders_of(name), "fraction-train"}


class _Match:
    """A cell's app, its nodes in memory, its first model, and how a model is judged."""

    def __init__(self, cell: Mapping[str, Any]) -> None:
        self.settings = dict(cell["settings"])
        self.app = UserApp.at(Path(str(cell["data"])))
        self.seed = int(cell["seed"])
        self.config = self._config()
        self.raised: list[str] = []
        self._answers: Callable[[Message, Context], Message] = self.app.client
        self.grid = InMemoryGrid(self._client, int(cell["nodes"]), run_config=self.config)
        self.nodes = sorted(self.grid.get_node_ids())
        initial = str(self.settings.get("app-initial", ""))
        self.beginning: Beginning = self.app.begin(self.config, self.grid, self.seed, initial)
        # Nodes of their own: what is only looked at must not change what a node remembers.
        watched = InMemoryGrid(self.app.client, int(cell["nodes"]), run_config=self.config)
        self.tests = UserTests(watched, self.beginning, str(self.settings.get("app-metric", "")))
        key, rises = self.tests.voted_by
        self._answers = hostile = Hostile(self.app.client, cell, key, rises=rises)
        self.hostile = {str(self.nodes[number]) for number in hostile.numbers}

    @property
    def epochs(self) -> int:
        """Epochs of one training, as far as the app's config says."""
        found = [self.config[key] for key in _EPOCH_KEYS if key in self.config]
        return found[0] if found and isinstance(found[0], int) and found[0] > 0 else 1

    def _config(self) -> dict[str, Any]:
        """The app's run config, with the cell's settings and seed where it has such keys."""
        config = dict(self.app.config)
        config |= {key: value for key, value in self.settings.items() if key in config}
        key = rate_key(config, str(self.settings.get("app-rate-key", "")))
        if key is not None and "learning-rate" in self.settings:
            config[key] = self.settings["learning-rate"]
        return config | {key: self.seed for key in ("seed", "random-seed") if key in config}

    def _client(self, message: Message, context: Context) -> Message:
        try:
            return self._answers(message, context)
        except Exception as problem:
            what = message.metadata.message_type.partition(".")[0]
            node = context.node_config.get("partition-id")
            self.raised.append(f"participant {node}, {what}: {type(problem).__name__}: {problem}")
            raise


def play(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Play a cell; what a comparison keeps of it.

    Raises
    ------
    RelayError
        When the ClientApp raised: a comparison of what half trained would say nothing.
    """
    logging.getLogger("flwr").setLevel(logging.ERROR)
    match = _Match(cell)
    nodes, seed = len(match.nodes), match.seed
    fleets: dict[str, Sequence[Any]] = {f: draw_devices(f, nodes, seed) for f in FLEETS}
    grid = FleetGrid(match.grid, fleets, str(cell["fleet"]))
    trainings = max(1, int(cell["budget"]) // match.epochs)
    recorder = _Recorder(match, grid, trainings)
    recorder.test(0, match.beginning.arrays)
    strategy, rounds = _built(cell, match, trainings)
    random.seed(seed)  # Flower's own strategies sample nodes with the global generator
    result = strategy.start(
        grid,
        match.beginning.arrays,
        num_rounds=rounds,
        timeout=600,
        train_config=match.beginning.train_config,
        evaluate_config=match.beginning.evaluate_config,
        evaluate_fn=recorder.test,
    )
    if match.raised:
        raise RelayError(f"the ClientApp raised: {match.raised[0]}")
    recorder.finish(result)
    return _found(strategy, result, recorder, match)


def _built(cell: Mapping[str, Any], match: _Match, trainings: int) -> tuple[Strategy, int]:
    """The strategy, and the rounds in which it makes so many trainings."""
    name, own = strategy_of(cell)
    if is_relay(name):
        tuned = {"trail": match.settings["trail"]} if "trail" in match.settings else {}
        options = {**match.beginning.keys, "budget": trainings, "seed": match.seed, **tuned}
        return relay(name, match.tests.votes() | options, own), trainings
    strategy, each = averaging(name, cell, match.settings | own, match.beginning.keys)
    return strategy, max(1, trainings // each)


class _Recorder:
    """Tests what would be published at equal steps of the budget, and notes what it cost."""

    def __init__(self, match: _Match, grid: FleetGrid, trainings: int) -> None:
        self.match, self.grid, self._trainings = match, grid, trainings
        self.records: list[dict[str, Any]] = []

    def test(self, number: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Test, if the next step of the budget is reached."""
        if self.grid.trains * _RECORDS >= len(self.records) * self._trainings:
            self._record(arrays)
        return None

    def finish(self, result: Result) -> None:
        """Test the result, unless that was the last that was tested."""
        if self.records[-1]["epochs"] < self.grid.trains * self.match.epochs:
            self._record(result.arrays)

    def _record(self, arrays: ArrayRecord) -> None:
        grid, found = self.grid, self.match.tests.of(arrays)
        self.records.append(
            {
                "epochs": grid.trains * self.match.epochs,
                "messages": grid.messages,
                "evaluations": grid.evaluations,
                "bytes_down": grid.bytes_down,
                "bytes_up": grid.bytes_up,
                "bytes_test": grid.bytes_test,
                "seconds": {name: round(s, 4) for name, s in grid.seconds.items()},
                "accuracy": found,
                "loss": None,
                "backdoor": None,
            }
        )


def _found(
    strategy: Strategy, result: Result, recorder: _Recorder, match: _Match
) -> dict[str, Any]:
    handed_on = isinstance(strategy, RelayStrategy)
    record = strategy.record if handed_on else None
    hops, people = (record.hops, record.participants) if record else ([], [])
    names = _names(strategy) if handed_on else {}
    by_node = match.tests.by_participant(result.arrays)
    own = {names.get(node, node): value for node, value in by_node.items()}
    hostile = frozenset(names.get(node, node) for node in match.hostile)
    grid = recorder.grid
    stale = [grid.round - number for _, number in grid.last_seen.values()]
    return {
        "records": recorder.records,
        "final": final_of(recorder.records, own, hostile)
        | {
            "nothing_learned": recorder.records[0]["accuracy"],
            "staleness": {"median": float(np.median(stale)), "worst": float(max(stale))},
            "measured": match.tests.measured,
        },
        "hops": hops_of(hops, people, hostile),
        "participants": participants_of(
            hops, people, strategy.chain if handed_on else (), own, hostile
        ),
        "timeline": {name: clock.timeline for name, clock in grid.clocks.items()},
    }


def _names(strategy: RelayStrategy) -> dict[str, str]:
    """What a relay calls the participant of each node id."""
    names = strategy.running.state.who.names
    return {str(node): names[index] for index, node in strategy.running.node_of.items()}
