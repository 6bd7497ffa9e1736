"""The ServerApp: one run of one strategy of the line-up, from its config to its folder."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Result
from rich.console import Console

from clients.evaluation import initial_arrays, test_metrics
from flower_relay import FolderStore, MeteredGrid, RelayObserver, RelayStrategy
from flower_relay.federation.progress import ProgressDisplay
from flower_relay.report import RunOutcome, print_outcome, write_report
from flower_relay.run_folder import RunFolder
from flower_relay.trackers import tracker_named
from strategies.config_file import find_folder, new_folder, resumed_config
from strategies.journal import Journal
from strategies.lineup import build_strategy
from strategies.measures import clients_per_round, hostile_names, num_rounds, own_accuracy
from strategies.settings import RunSettings, parse, refuse_sybils

__all__ = ["app"]

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the strategy that the run config names."""
    run, folder = _run_and_folder(context.run_config, grid.run.override_config)
    console = Console(width=None if Console().is_terminal else 110, soft_wrap=False)
    console.print(f"This run's files go to {folder}", soft_wrap=True)
    metered, journal = MeteredGrid(grid), Journal(folder / "metrics.jsonl")
    observers: list[RelayObserver] = [ProgressDisplay(console), journal]
    if run.config["track"]:
        models = FolderStore(folder / "models")
        observers.append(tracker_named(str(run.config["track"]), folder, lambda: models))
    strategy = build_strategy(run, observers, folder)
    # Flower's own strategies sample nodes with the global generator.
    random.seed(int(run.config["seed"]))
    began = time.monotonic()
    result = strategy.start(
        metered,
        initial_arrays(run.config),
        num_rounds=num_rounds(run, metered),
        timeout=run.timeout,
        train_config=ConfigRecord({"lr": run.learning_rate, "local-epochs": run.local_epochs}),
        evaluate_fn=_test_every(run, journal),
    )
    seconds = journal.before.seconds + time.monotonic() - began
    outcome = _outcome(run, strategy, result, metered, journal, seconds)
    RunFolder(folder).save_champion(result)
    write_report(folder, outcome)
    print_outcome(outcome, console)
    console.print(f"Table and pictures are in {folder}", soft_wrap=True)
    if (page := folder / "report.html").exists():
        console.print(f"To look at: {page}", soft_wrap=True)


def _run_and_folder(
    config: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[RunSettings, Path]:
    """A new run and its new folder, or the run to resume, under the config it began with."""
    run = parse(config)
    refuse_sybils(config)
    if not run.resume:
        return run, new_folder(run)
    folder = find_folder(run.runs_dir, run.resume)
    return parse(resumed_config(folder, config, given)), folder


def _test_every(
    run: RunSettings, journal: Journal
) -> Callable[[int, ArrayRecord], MetricRecord | None]:
    def test(number: int, arrays: ArrayRecord) -> MetricRecord | None:
        if number % run.evaluate_every:
            return None
        metrics = test_metrics(arrays, run.config)
        journal.tested(number, dict(metrics))
        return metrics

    return test


def _outcome(
    run: RunSettings,
    strategy: object,
    result: Result,
    grid: MeteredGrid,
    journal: Journal,
    seconds: float,
) -> RunOutcome:
    """Everything a report shows, the participants' own judgement of the result included."""
    record = strategy.record if isinstance(strategy, RelayStrategy) else None
    messages = journal.before.messages + grid.messages
    sent = journal.before.bytes_sent + grid.bytes_sent
    received = journal.before.bytes_received + grid.bytes_received
    num_nodes = len(list(grid.get_node_ids()))
    if record is None:
        each = clients_per_round(run, num_nodes)
        epochs = {number: number * each for number in journal.tests}
    else:
        journal.complete(record)
        epochs = {0: 0} | {row.round: row.hops for row in record.rounds}
    curve = tuple(
        (epochs[number], float(metrics["test_acc"]))
        for number, metrics in sorted(journal.tests.items())
    )
    seed, hostile = run.config["seed"], hostile_names(run, num_nodes)
    own = own_accuracy(grid, result.arrays, run.keys_dir)
    return RunOutcome(
        strategy=run.strategy,
        title=f"{run.strategy}: {run.config['data']}, {run.config['partition']}, seed {seed}"
        + (", resumed" if run.resume else ""),
        config={key: value for key, value in run.config.items() if not key.endswith("-dir")},
        curve=curve,
        # What liars say of their own accuracy is no accuracy.
        participant_accuracy={name: own[name] for name in own if name not in hostile},
        messages=messages,
        bytes_sent=sent,
        bytes_received=received,
        seconds=seconds,
        record=record,
        hostile=hostile,
    )
