"""Sweeps: their grids, their resumption, and one real one on Ray."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flower_relay.economy import EconomySettings
from flower_relay.economy.study import figures_of
from flower_relay.economy.sweep import Grid, sweep, write_cell
from flower_relay.economy.sweep_view import heat_map, sweep_table
from flower_relay.errors import ConfigurationError

BASE = ["--participants", "16", "--rounds", "8"]


def command(folder: Path, *options: str) -> str:
    """The real command in a process of its own, since Ray starts processes and threads."""
    line = [sys.executable, "-c", "from flower_relay.cli import main; main()"]
    run = subprocess.run(
        [*line, "economy", "sweep", *BASE, "--out", str(folder), *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_sweep_on_ray_plays_each_cell_once_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = command(tmp_path, "--vary", "slots=2,4", "--seeds", "2")
    files = sorted((tmp_path / "cells").iterdir())
    assert len(files) == 4
    assert (tmp_path / "coins.png").exists()
    assert "slots" in first
    # What is there is not played again: a marked cell stays marked.
    marked = json.loads(files[0].read_text())
    marked["figures"]["gini"] = 0.123456
    files[0].write_text(json.dumps(marked))
    files[1].unlink()
    # A cell that was being written when the sweep was cut off does not count.
    files[1].with_suffix(".part").write_text("{")
    command(tmp_path, "--vary", "slots=2,4", "--vary", "rewards=royalty,contribution")
    kept = json.loads(files[0].read_text())["figures"]
    assert kept["gini"] == 0.123456
    replayed = json.loads(files[1].read_text())
    assert replayed["figures"] == figures_of(EconomySettings(**replayed["settings"]))


def finished(folder: Path, grid: Grid, base: EconomySettings, seeds: int) -> None:
    """Play a grid here, as Ray's workers would, one cell after the other."""
    (folder / "cells").mkdir()
    for cell in grid.cells(base):
        for seed in range(seeds):
            one = dataclasses.replace(cell, seed=seed)
            write_cell(folder / "cells", one, figures_of(one))


def test_means_and_maps_follow_the_grid(tmp_path: Path) -> None:
    base = EconomySettings(participants=16, rounds=8)
    grid = Grid.parse(["slots=2,4", "success=0.5,0.9,1", "rewards=royalty,contribution"])
    finished(tmp_path, grid, base, seeds=2)
    result = sweep(base, grid, 2, tmp_path)  # everything is there: Ray is not started
    means = result.means("coins")
    assert means.shape == (2, 3, 2)
    cell = [
        figures_of(EconomySettings(participants=16, rounds=8, slots=4, success=1.0, seed=seed))
        for seed in range(2)
    ]
    assert means[1, 2, 0] == pytest.approx(np.mean([row["coins"] for row in cell]))
    heat_map(result, "coins", tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000
    assert sweep_table(result, ["coins"]).row_count == 12
    assert np.isnan(result.means("income sybil")).all()


def test_a_cluster_that_does_not_answer_is_an_error_at_once(tmp_path: Path) -> None:
    grid = Grid.parse(["slots=2"])
    with pytest.raises(ConfigurationError, match="no Ray cluster answers there"):
        sweep(EconomySettings(participants=16), grid, 1, tmp_path, address="127.0.0.1:9")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=1,2", "is not a setting to vary"),
        ("seed=1,2", "is not a setting to vary"),
        ("slots=", "expected NAME=VALUE"),
        ("slots=2,many", "'many' is not a number"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Grid.parse([text])


def test_an_axis_is_varied_once_and_a_ceiling_may_be_none() -> None:
    with pytest.raises(ConfigurationError, match="varied twice"):
        Grid.parse(["slots=2", "slots=3"])
    assert Grid.parse(["ceiling=none,4"]).axes == {"ceiling": (None, 4.0)}


def test_mixes_of_policies_are_separated_by_semicolons() -> None:
    grid = Grid.parse(["policies=honest;free-rider=0.2,sybil=0.1"])
    assert grid.axes == {"policies": ("honest", "free-rider=0.2,sybil=0.1")}
