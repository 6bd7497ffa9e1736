"""One cell of a comparison, played: a strategy of the line-up against its budget.

`play` is what `flower-relay compare` names by default. Over an in-memory grid on simulated
fleets, or through Flower itself, it is the same strategies and the same ClientApp.
"""

from __future__ import annotations

import logging
import random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import Result, Strategy

from clients.client_app import app as client_app
from clients.data import load_dataset
from clients.evaluation import (
    attack_rate,
    by_groups,
    initial_arrays,
    test_metrics,
    without_learning,
)
from clients.partition import partition
from clients.sybils import Sybils
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.comparison.devices import FLEETS, draw_devices
from flower_relay.comparison.fleet import FleetGrid
from flower_relay.errors import ConfigurationError
from flower_relay.settings import AUTO, WAVE
from strategies.arming import armed
from strategies.findings import final_of, hops_of, participants_of
from strategies.lineup import build_strategy
from strategies.measures import hostile_names, num_rounds, own_accuracy
from strategies.settings import RunSettings, parse

__all__ = ["Played", "check", "play", "play_in_memory", "run_config"]

ROOT = Path(__file__).resolve().parents[1]
_RECORDS = 80
"""The champion is tested at most this often: twice for each of the forty records reported."""

_OURS = ("strategy", "data", "model", "partition", "hostile", "hostile-share", "seed", "budget")
"""Run-config keys that a cell has names of its own for."""


def run_config(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The run config that a cell stands for: the app's defaults, and what the cell says.

    A strategy may be written `relay:lanes=5` with settings of its own, data `digits@cnn`
    with a model.

    Raises
    ------
    ConfigurationError
        On a setting that there is not, or that the cell names elsewhere.
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    defaults: dict[str, Any] = tomllib.loads(text)["tool"]["flwr"]["app"]["config"]
    strategy, _, own = str(cell["strategy"]).partition(":")
    data, _, model = str(cell["data"]).partition("@")
    settings = dict(cell["settings"]) | _settings_in(own, defaults)
    if wrong := sorted(settings.keys() - (defaults.keys() - set(_OURS))):
        raise ConfigurationError(
            f"setting {wrong[0]!r} of {cell['strategy']!r}: expected a run-config key other than "
            f"{', '.join(_OURS)}: {', '.join(sorted(defaults.keys() - set(_OURS)))}."
        )
    epochs = int(settings.get("local-epochs", defaults["local-epochs"]))
    return (
        defaults
        | armed(strategy, cell, defaults | settings)
        | settings
        | {
            "strategy": strategy,
            "data": data,
            "model": model or defaults["model"],
            "partition": cell["partition"],
            "hostile": cell["attack"],
            "hostile-share": cell["share"],
            "seed": cell["seed"],
            "budget": max(1, int(cell["budget"]) // epochs),
        }
    )


def check(cell: Mapping[str, Any]) -> None:
    """See that a cell can be played: names, settings, data, model and attack.

    Raises
    ------
    ConfigurationError
        Saying what there is, or what to install.
    """
    run = parse(run_config(cell))
    data = load_dataset(str(run.config["data"]))
    initial_arrays(run.config)
    partition(data.strata, data.group, str(cell["partition"]), int(cell["nodes"]), 0)


_WORDS = {("lanes", AUTO), ("lanes", WAVE)}
"""Values that are words where the default is a number."""


def _settings_in(text: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Settings written `lanes=5,max-leg=1`, of the types that their defaults have."""
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        kind = str if (key, value) in _WORDS else type(defaults.get(key, ""))
        try:
            found[key] = {"true": True, "false": False}[value] if kind is bool else kind(value)
        except (ValueError, KeyError):
            raise ConfigurationError(f"{part!r}: expected {key} as {kind.__name__}.") from None
    return found


def play(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Play a cell; what a comparison keeps of it.

    Parameters
    ----------
    cell : mapping
        strategy, data, partition, attack, share, seed, nodes, budget, engine, fleet and
        settings, as `flower_relay.comparison.plan.Cell` has them.

    Returns
    -------
    dict
        records, final, hops, participants and timeline.
    """
    if cell["engine"] == "flower":
        from strategies.contest_flower import play_through_flower

        return play_through_flower(cell, run_config(cell))
    return play_in_memory(cell).found


class Played:
    """A cell that was played in memory: what it found, and the strategy that was played."""

    def __init__(self, strategy: Strategy, found: dict[str, Any]) -> None:
        self.strategy, self.found = strategy, found


def play_in_memory(cell: Mapping[str, Any]) -> Played:
    """Play a cell over an `InMemoryGrid`, its nodes on simulated fleets."""
    import torch

    torch.set_num_threads(1)  # one cell keeps one core busy; the others play others
    logging.getLogger("flwr").setLevel(logging.ERROR)
    run = parse(run_config(cell))
    nodes, seed = int(cell["nodes"]), int(cell["seed"])
    inner = InMemoryGrid(client_app, nodes, run_config=run.config)
    fleets: dict[str, Sequence[Any]] = {f: draw_devices(f, nodes, seed) for f in FLEETS}
    grid = FleetGrid(inner, fleets, str(cell["fleet"]))
    strategy = build_strategy(run, [Sybils(inner, run.config)], None)
    recorder = _Recorder(run, grid)
    random.seed(seed)  # Flower's own strategies sample nodes with the global generator
    result = strategy.start(
        grid,
        initial_arrays(run.config),
        num_rounds=num_rounds(run, grid),
        timeout=run.timeout,
        train_config=ConfigRecord({"lr": run.learning_rate, "local-epochs": run.local_epochs}),
        evaluate_fn=recorder.test,
    )
    recorder.finish(result)
    return Played(strategy, _found(run, strategy, result, recorder, inner, nodes))


class _Recorder:
    """Tests the champion at equal steps of the budget, and notes what it cost so far."""

    def __init__(self, run: RunSettings, grid: FleetGrid) -> None:
        self._run, self.grid = run, grid
        self.records: list[dict[str, Any]] = []

    def test(self, number: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Test, if the next step of the budget is reached."""
        if self.grid.trains * _RECORDS >= len(self.records) * self._run.budget:
            self._record(arrays)
        return None

    def finish(self, result: Result) -> None:
        """Test the result, unless that was the last that was tested."""
        if self.records[-1]["epochs"] < self.grid.trains * self._run.local_epochs:
            self._record(result.arrays)

    def _record(self, arrays: ArrayRecord) -> None:
        metrics = test_metrics(arrays, self._run.config)
        grid = self.grid
        self.records.append(
            {
                "epochs": grid.trains * self._run.local_epochs,
                "messages": grid.messages,
                "evaluations": grid.evaluations,
                "bytes_down": grid.bytes_down,
                "bytes_up": grid.bytes_up,
                "bytes_test": grid.bytes_test,
                "seconds": {name: round(s, 4) for name, s in grid.seconds.items()},
                "accuracy": metrics["test_acc"],
                "loss": _finite(float(metrics["test_loss"])),  # type: ignore[arg-type]
                "backdoor": attack_rate(arrays, self._run.config),
            }
        )


def _finite(value: float) -> float | None:
    """JSON has no infinity, and a ruined model has no loss."""
    return value if np.isfinite(value) else None


_NAMES = 50
"""Names that a Sybil may have had; every rejection costs it one."""


def _found(
    run: RunSettings,
    strategy: Strategy,
    result: Result,
    recorder: _Recorder,
    inner: InMemoryGrid,
    nodes: int,
) -> dict[str, Any]:
    grid = recorder.grid
    own = own_accuracy(inner, result.arrays, run.keys_dir)
    hostile = hostile_names(run, nodes, _NAMES * nodes)
    relay = isinstance(strategy, RelayStrategy)
    hops, people = (strategy.record.hops, strategy.record.participants) if relay else ([], [])
    rounds = [grid.round - number for _, number in grid.last_seen.values()]
    epochs = [(grid.trains - t) * run.local_epochs for t, _ in grid.last_seen.values()]
    return {
        "records": recorder.records,
        "final": final_of(recorder.records, own, hostile)
        | {"staleness": _spread(rounds), "staleness_epochs": _spread(epochs)}
        | without_learning(run.config)
        | by_groups(result.arrays, run.config),
        "hops": hops_of(hops, people, hostile),
        "participants": participants_of(
            hops, people, strategy.chain if relay else (), own, hostile
        ),
        "timeline": {name: clock.timeline for name, clock in grid.clocks.items()},
    }


def _spread(values: list[int]) -> dict[str, float]:
    return {"median": float(np.median(values)), "worst": float(max(values))}
