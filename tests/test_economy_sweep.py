"""Sweeps: their grids, their resumption, and one real one on Ray."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from flower_relay.economy import EconomySettings
from flower_relay.economy.study import MEASURE, figures_of
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


@pytest.mark.slow
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
    table = pq.read_table(tmp_path / "cells.parquet").to_pydict()
    assert table["slots"] == [2] * 12 + [4] * 12
    assert table["seed"] == [0, 1] * 12
    np.testing.assert_allclose(
        np.reshape(table["coins"], (2, 3, 2, 2)).mean(axis=3), result.means("coins")
    )
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
        ("slots=none", "'none' is not a number"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Grid.parse([text])


def test_a_figure_that_only_some_cells_have_is_shown_where_it_is(tmp_path: Path) -> None:
    base = EconomySettings(participants=16, rounds=8)
    grid = Grid.parse(["policies=honest;free-rider=0.25;sybil=0.25", "slots=2,4"])
    finished(tmp_path, grid, base, seeds=2)
    result = sweep(base, grid, 2, tmp_path)
    for figure in ("income free-rider", "advantage free-rider"):
        means = result.means(figure)
        assert np.isnan(means[[0, 2]]).all()
        assert np.isfinite(means[1]).all()
        heat_map(result, figure, tmp_path / "map.png")
    table = sweep_table(result, ["income free-rider"])
    missing = [str(cell) == "—" for cell in table.columns[2].cells]
    assert missing == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("axes", "pixels"),
    [
        (["slots=1,2,3"], (630, 900)),  # one axis: points with intervals
        (["slots=1,2", "success=0.5,1"], (630, 825)),
        # Nine maps in rows of four: none is left out.
        (["slots=1,2", "success=0.5,1", "participants=8,9,10,11,12,13,14,15,16"], (1710, 2625)),
        (["slots=1,2", "success=0.5,1", "cases=0,1", "testers=1,2"], (630, 1425)),
    ],
    ids=["one axis", "two", "nine maps", "four axes"],
)
def test_every_grid_can_be_drawn(tmp_path: Path, axes: list[str], pixels: tuple[int, int]) -> None:
    base, grid = EconomySettings(participants=8, rounds=2), Grid.parse(axes)
    finished(tmp_path, grid, base, seeds=1)
    heat_map(sweep(base, grid, 1, tmp_path), "coins", tmp_path / "map.png")
    assert imread(tmp_path / "map.png").shape[:2] == pixels


def test_cells_measured_by_another_version_are_played_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = EconomySettings(participants=8, rounds=2)
    write_cell(tmp_path, base, {"coins": 1.0})
    monkeypatch.setattr("flower_relay.economy.sweep.MEASURE", MEASURE + 1)
    write_cell(tmp_path, base, {"coins": 2.0})
    assert len(list(tmp_path.iterdir())) == 2


def test_without_ray_a_sweep_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(ConfigurationError, match=r"pip install 'flower-relay\[simulation\]'"):
        sweep(EconomySettings(participants=8, rounds=2), Grid.parse(["slots=2"]), 1, tmp_path)


def test_an_axis_is_varied_once_and_a_ceiling_may_be_none() -> None:
    with pytest.raises(ConfigurationError, match="varied twice"):
        Grid.parse(["slots=2", "slots=3"])
    assert Grid.parse(["ceiling=none,4"]).axes == {"ceiling": (None, 4.0)}


def test_mixes_of_policies_are_separated_by_semicolons() -> None:
    grid = Grid.parse(["policies=honest;free-rider=0.2,sybil=0.1"])
    assert grid.axes == {"policies": ("honest", "free-rider=0.2,sybil=0.1")}
