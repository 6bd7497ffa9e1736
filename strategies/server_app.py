"""The ServerApp: one run of one strategy of the line-up, from its config to its folder."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Result
from rich.console import Console

from clients.evaluation import initial_arrays, test_metrics
from clients.hostile import is_hostile, parse_behaviour
from flower_relay import MeteredGrid, RelayStrategy
from flower_relay.display import ProgressDisplay
from flower_relay.errors import ConfigurationError
from flower_relay.participant_keys import name_of_partition
from flower_relay.report import RunOutcome, print_outcome, write_report
from flower_relay.running import to_arrays
from flower_relay.store import canonical_bytes
from strategies.journal import Journal
from strategies.lineup import build_strategy
from strategies.run_folder import find_folder, new_folder, resumed_config
from strategies.settings import RunSettings, parse

__all__ = ["app"]

app = ServerApp()

_CLOSING_TIMEOUT = 60.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the strategy that the run config names."""
    run, folder = _run_and_folder(context.run_config, grid.run.override_config)
    console = Console(width=None if Console().is_terminal else 110, soft_wrap=False)
    console.print(f"This run's files go to {folder}", soft_wrap=True)
    metered, journal = MeteredGrid(grid), Journal(folder / "metrics.jsonl")
    strategy = build_strategy(run, [ProgressDisplay(console), journal], folder)
    # Flower's own strategies sample nodes with the global generator.
    random.seed(int(run.config["seed"]))
    began = time.monotonic()
    result = strategy.start(
        metered,
        initial_arrays(run.config),
        num_rounds=_num_rounds(run, metered),
        timeout=run.timeout,
        train_config=ConfigRecord({"lr": run.learning_rate, "local-epochs": run.local_epochs}),
        evaluate_fn=_test_every(run, journal),
    )
    seconds = journal.before.seconds + time.monotonic() - began
    outcome = _outcome(run, strategy, result, metered, journal, seconds)
    (folder / "champion.safetensors").write_bytes(canonical_bytes(to_arrays(result.arrays)))
    write_report(folder, outcome)
    print_outcome(outcome, console)
    console.print(f"Table, pictures and the champion's weights are in {folder}", soft_wrap=True)


def _run_and_folder(
    config: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[RunSettings, Path]:
    """A new run and its new folder, or the run to resume, under the config it began with."""
    run = parse(config)
    if "sybil" in parse_behaviour(str(config["hostile"])):
        raise ConfigurationError(
            f"hostile = {config['hostile']!r}: a sybil reconnects as another node, which a "
            "ClientApp under Flower cannot do; leave it out, or use clients.sybils in memory."
        )
    if not run.resume:
        return run, new_folder(run)
    folder = find_folder(run.runs_dir, run.resume)
    return parse(resumed_config(folder, config, given)), folder


def _num_rounds(run: RunSettings, grid: Grid) -> int:
    """Rounds to play: as asked, or as the budget of client-epochs allows."""
    if run.budget == 0:
        return run.rounds
    if run.strategy in ("relay", "relay-fanout", "cyclic"):
        return run.budget  # a round has a hop at least; the relay stops at its budget
    while len(nodes := list(grid.get_node_ids())) < run.relay.min_available_nodes:
        time.sleep(0.5)
    return max(1, run.budget // _clients_per_round(run, len(nodes)))


def _clients_per_round(run: RunSettings, num_nodes: int) -> int:
    return max(2, int(num_nodes * float(run.config["fraction-train"])))


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
    nodes = sorted(grid.get_node_ids())
    if record is None:
        each = _clients_per_round(run, len(nodes))
        epochs = {number: number * each for number in journal.tests}
    else:
        journal.complete(record)
        epochs = {0: 0} | {row.round: row.hops for row in record.rounds}
    curve = tuple(
        (epochs[number], float(metrics["test_acc"]))
        for number, metrics in sorted(journal.tests.items())
    )
    share, seed = float(run.config["hostile-share"]), int(run.config["seed"])
    hostile = frozenset(
        name_of_partition(n, run.keys_dir)
        for n in range(len(nodes))
        if share > 0 and is_hostile(n, len(nodes), share, seed)
    )
    own = _own_accuracy(grid, nodes, result.arrays, run.keys_dir)
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


def _own_accuracy(
    grid: Grid, nodes: list[int], arrays: ArrayRecord, keys_dir: Path | None
) -> dict[str, float]:
    """The result's accuracy on the cases that each participant kept for examining."""
    content = RecordDict({"arrays": arrays, "config": ConfigRecord()})
    messages = [Message(content, node, "evaluate", ttl=_CLOSING_TIMEOUT) for node in nodes]
    found: dict[str, float] = {}
    for reply in grid.send_and_receive(messages, timeout=_CLOSING_TIMEOUT):
        if reply.has_content():
            metrics = next(iter(reply.content.metric_records.values()))
            name = name_of_partition(int(metrics["partition-id"]), keys_dir)  # type: ignore[arg-type]
            found[name] = float(metrics["eval_acc"])  # type: ignore[arg-type]
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))
