"""A run of the line-up goes on in its own folder, under the config it began with."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from flower_relay import ConfigurationError, RelaySettings, RoundRow, RunRecord
from flower_relay.federation.record import HopRow
from flower_relay.rules.outcomes import Outcome
from strategies.config_file import find_folder, new_folder, resumed_config
from strategies.journal import Journal
from strategies.settings import parse
from tests.test_strategies_lineup import CONFIG


def begun(runs_dir: Path, **change: Any) -> Path:
    given = {key.replace("_", "-"): value for key, value in change.items()}
    return new_folder(parse(CONFIG | given | {"runs-dir": str(runs_dir)}))


def now(runs_dir: Path, folder: Path, **change: Any) -> dict[str, Any]:
    """The config that a run is resumed under when these keys are given."""
    given = {key.replace("_", "-"): value for key, value in change.items()}
    given |= {"runs-dir": str(runs_dir), "resume": folder.name}
    return resumed_config(folder, CONFIG | given, given)


def test_what_is_not_given_is_as_the_run_began_and_rounds_may_grow(tmp_path: Path) -> None:
    folder = begun(tmp_path, lanes=2, rounds=7, learning_rate=0.1)
    config = now(tmp_path, folder, rounds=9)
    assert (config["lanes"], config["learning-rate"], config["rounds"]) == (2, 0.1, 9)
    assert now(tmp_path, folder)["rounds"] == 7
    run = parse(config)
    assert (run.resume, run.relay.lanes) == (folder.name, 2)


def test_what_contradicts_the_run_is_refused_with_the_line_to_type(tmp_path: Path) -> None:
    folder = begun(tmp_path, seed=3, lanes=2, run_name="mine")
    with pytest.raises(ConfigurationError) as refusal:
        now(tmp_path, folder, lanes=4)
    said = str(refusal.value)
    assert "lanes = 2 in the run and 4 now" in said
    # The clients have the seed from Flower, so that leaving it at its default is another seed.
    assert "seed = 3 in the run and 0 now" in said
    assert """--run-config 'resume="mine" seed=3'""" in said
    assert now(tmp_path, folder, seed=3)["lanes"] == 2


def test_a_run_is_found_by_its_name_or_its_path_and_others_are_listed(tmp_path: Path) -> None:
    folder = begun(tmp_path, run_name="mine")
    assert find_folder(tmp_path, "mine") == find_folder(tmp_path / "other", str(folder)) == folder
    with pytest.raises(ConfigurationError, match=r"resume = 'yours'.* newest first: mine\."):
        find_folder(tmp_path, "yours")
    with pytest.raises(ConfigurationError, match=re.escape('go on with that run by resume="mine"')):
        begun(tmp_path, run_name="mine")


def test_a_strategy_without_a_ledger_cannot_be_resumed(tmp_path: Path) -> None:
    folder = begun(tmp_path, strategy="fedavg")
    with pytest.raises(ConfigurationError, match="'fedavg', and only relays keep a ledger"):
        now(tmp_path, folder)


def played(journal: Journal, rounds: range, seconds: float, messages: int) -> RunRecord:
    """A process that knows the run's rounds so far and plays some more, two hops each."""
    record = RunRecord(settings=RelaySettings(), num_rounds=9)
    for number in range(1, rounds.stop):
        took = seconds if number in rounds else math.nan
        record.hops += [
            HopRow(round=number, lane=0, position=p, trainer=p, base="", model=None,
                   outcome=Outcome.ACCEPTED, vote=None, seconds=took / (p + 2))
            for p in (0, 1)
        ]  # fmt: skip
        row = RoundRow(round=number, hops=2 * number, accepted=0, rejected=0, utility=None,
                       legs=(1,), champion="", seconds=took)  # fmt: skip
        record.rounds.append(row)
        if number in rounds:
            record.messages += messages
            record.seconds += seconds
            journal.on_round(record, row)
            journal.tested(number, {"test_acc": number / 10})
    return record


def test_a_report_counts_all_processes_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    played(Journal(path), range(1, 3), seconds=2.0, messages=10)
    played(Journal(path), range(3, 4), seconds=4.0, messages=5)
    journal = Journal(path)
    record = played(journal, range(4, 5), seconds=6.0, messages=1)
    journal.complete(record)
    assert (record.messages, record.seconds) == (10 + 10 + 5 + 1, 2.0 + 2.0 + 4.0 + 6.0)
    assert [row.seconds for row in record.rounds] == [2.0, 2.0, 4.0, 6.0]
    assert [hop.seconds for hop in record.hops] == [1, 2 / 3, 1, 2 / 3, 2, 4 / 3, 3, 2]
    assert journal.tests == {n: {"test_acc": n / 10} for n in (1, 2, 3, 4)}


def test_a_line_cut_short_leaves_its_round_unknown_and_the_next_readable(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    played(Journal(path), range(1, 3), seconds=2.0, messages=10)
    lines = path.read_text().splitlines(keepends=True)
    cut = "".join(lines[:2]) + lines[2][: len(lines[2]) // 2]
    path.write_text(cut)
    played(Journal(path), range(3, 4), seconds=4.0, messages=5)
    journal = Journal(path)
    record = played(journal, range(4, 4), seconds=0.0, messages=0)
    journal.complete(record)
    assert record.messages == 15
    assert [row.seconds for row in record.rounds][::2] == [2.0, 4.0]
    assert math.isnan(record.rounds[1].seconds)
    assert sorted(journal.tests) == [1, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines()[3:])
