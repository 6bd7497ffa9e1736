"""Runs in other tools: what arrives there, offline, and what happens where a tool is missing."""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from flower_relay import MemoryStore, RelayStrategy, RunRecord
from flower_relay.errors import ConfigurationError
from flower_relay.federation.record import ParticipantRow
from flower_relay.settings import RelaySettings
from flower_relay.trackers import TRACKERS, Tracker, tracker_named
from tests.worlds import digits_grid, first_model

HOPS = 6

pytestmark = pytest.mark.filterwarnings("ignore")  # of the tools' own


class Kept(Tracker):
    """Keeps what it is told in memory, and fails when it is asked to."""

    def __init__(self, *, fails: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.fails, self.told = fails, list[tuple[str, Any]]()

    def _note(self, what: str, value: Any) -> None:
        if what == self.fails:
            raise OSError("no network")
        self.told.append((what, value))

    def begin(self, config: Mapping[str, Any]) -> None:
        self._note("begin", config)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._note("log", (step, dict(metrics)))

    def keep(self, path: Path) -> None:
        self._note("keep", {name: array.shape for name, array in load_file(path).items()})

    def finish(self) -> None:
        self._note("finish", None)


def run_with(make: Callable[[Callable[[], MemoryStore]], Tracker]) -> RunRecord:
    store = MemoryStore()
    strategy = RelayStrategy(
        budget=HOPS, store=lambda: store, observers=[make(lambda: store)], max_leg=2
    )
    strategy.start(digits_grid(4), first_model(), num_rounds=HOPS)
    return strategy.record


def test_a_hop_is_a_step_and_steps_never_fall() -> None:
    kept: list[Kept] = []

    def make(models: Callable[[], MemoryStore]) -> Tracker:
        kept.append(Kept(models=models))
        return kept[0]

    record = run_with(make)
    kinds = [what for what, _ in kept[0].told]
    assert kinds[0] == "begin" and kinds[-2:] == ["keep", "finish"]
    rows = [value for what, value in kept[0].told if what == "log"]
    steps = [step for step, _ in rows]
    assert steps == sorted(steps) and set(steps) == set(range(1, HOPS + 1))
    assert kept[0].told[0][1]["budget"] == HOPS and kept[0].told[0][1]["participants"] == 4
    last = rows[-1][1]
    assert last["utility"] == pytest.approx(record.rounds[-1].utility)
    assert [last[f"coins/partition-id-{n}"] for n in range(4)] == [
        row.coins for row in record.participants
    ]
    counted = {key: value for _, row in rows for key, value in row.items()}
    assert counted["hops/accepted"] + counted["hops/rejected"] <= HOPS
    assert kept[0].told[-2][1] == {k: a.numpy().shape for k, a in first_model().items()}


@pytest.mark.parametrize("fails", ["begin", "log", "keep", "finish"])
def test_a_tracker_that_fails_is_named_and_the_run_goes_on(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = run_with(lambda models: Kept(fails=fails, models=models))
    assert len(record.hops) == HOPS
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert said == ["Kept failed and is left out: no network"]


def test_names_that_are_no_names_are_made_safe_and_stay_apart() -> None:
    kept = Kept()
    record = RunRecord(settings=RelaySettings(), num_rounds=1)
    names = ("../../etc/x", "..///etc/x", "a b", "é" * 200, "")
    record.participants = [
        ParticipantRow(index=index, name=name, coins=float(index), locked=0.0, bond=1.0, debt=0.0,
                       accepted=0, rejected=0, examined=0)
        for index, name in enumerate(names)
    ]  # fmt: skip
    kept.on_round(record, made_row())
    [(_, (_, row))] = kept.told
    coins = {key: value for key, value in row.items() if key.startswith("coins/")}
    assert sorted(coins.values()) == [0.0, 1.0, 2.0, 3.0, 4.0]
    for key in coins:
        assert ".." not in key and key.count("/") == 1 and len(key) < 80


def made_row() -> Any:
    from flower_relay.federation.record import RoundRow

    return RoundRow(round=1, hops=1, accepted=1, rejected=0, utility=0.5, legs=(1,), champion="",
                    seconds=0.1)  # fmt: skip


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tool_that_is_missing_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (name, "tensorboard.summary"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'flower-relay\[{name}\]'"):
        tracker_named(name, tmp_path)


def test_an_unknown_tracker_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one of tensorboard, mlflow, wandb, trackio"):
        tracker_named("excel", tmp_path)


def test_tensorboard_holds_every_hop(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard.summary")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_with(lambda models: tracker_named("tensorboard", tmp_path, models))
    folder = tmp_path / "tensorboard"
    found = EventAccumulator(str(folder))
    found.Reload()
    steps = [event.step for event in found.Tensors("hops/accepted")]
    assert steps == list(range(1, HOPS + 1))
    assert found.Tensors("coins/partition-id-0")
    assert load_file(folder / "champion.safetensors")
    assert json.loads((folder / "settings.json").read_text())["budget"] == HOPS


def test_mlflow_holds_every_hop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    run_with(lambda models: tracker_named("mlflow", tmp_path / "a-run", models))
    client = mlflow.MlflowClient(tracking_uri=uri)
    [experiment] = [e for e in client.search_experiments() if e.name == "flower-relay"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "a-run"
    assert run.data.params["budget"] == str(HOPS)
    history = client.get_metric_history(run.info.run_id, "hops/accepted")
    assert sorted(metric.step for metric in history) == list(range(1, HOPS + 1))
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == [
        "champion.safetensors"
    ]


def test_wandb_writes_files_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for key, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{key}", value)
    run_with(lambda models: tracker_named("wandb", tmp_path / "a-run", models))
    [file] = tmp_path.glob("wandb/offline-run-*/*.wandb")
    # Its own service writes the file, and may still be at it.
    until = time.monotonic() + 60
    while b"champion.safetensors" not in (content := file.read_bytes()):
        assert time.monotonic() < until, content[:200]
        time.sleep(0.1)
    assert b"coins/partition-id-0" in content


def test_trackio_holds_every_hop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path, raising=False)
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path, raising=False)
    assert trackio
    run_with(lambda models: tracker_named("trackio", tmp_path / "a-run", models))
    with sqlite3.connect(tmp_path / "flower-relay.db") as database:
        rows = database.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    steps = {step for step, text in rows if "hops/accepted" in str(text)}
    assert steps == set(range(1, HOPS + 1))
