"""What an economy leaves on disk and prints: files that read back, pictures, tables."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from typer.testing import CliRunner

from flower_relay.cli import app
from flower_relay.economy import EconomyResult, EconomySettings, simulate
from flower_relay.economy.figures import draw_all
from flower_relay.economy.files import read_result, write_result
from flower_relay.economy.study import Estimate, study
from flower_relay.economy.tables import income_table, summary_table
from flower_relay.errors import ConfigurationError

SMALL = EconomySettings(participants=24, rounds=12, policies="dropper=0.2,free-rider=0.2")


def test_a_result_reads_back_as_it_was_written(tmp_path: Path) -> None:
    for settings in (SMALL, dataclasses.replace(SMALL, full_history=5, records=4)):
        result = simulate(settings)
        write_result(tmp_path, result)
        back = read_result(tmp_path)
        assert back.settings == settings
        assert back.quantiles == result.quantiles
        for name in ("times", "coins", "satisfaction", "best", "shares", "gini"):
            np.testing.assert_array_equal(getattr(back, name), getattr(result, name))
        for name in ("rounds", "participants"):
            written, read = getattr(result, name), getattr(back, name)
            assert written.keys() == read.keys()
            for column in written:
                np.testing.assert_array_equal(written[column], read[column])


def test_a_folder_without_a_result_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no economy"):
        read_result(tmp_path)


def test_the_command_writes_every_file_it_names(tmp_path: Path) -> None:
    out = tmp_path / "here"
    options = ["--participants", "16", "--rounds", "5", "--out", str(out)]
    result = CliRunner().invoke(app, ["economy", "run", *options])
    assert result.exit_code == 0, result.output
    assert "survived" in result.output
    named = {Path(line.strip()) for line in result.output.splitlines() if str(out) in line}
    assert {path.name for path in named} == {path.name for path in out.iterdir()}
    assert {"coins.png", "versions.png", "satisfaction.png", "best_model.png"} <= {
        path.name for path in named
    }


def test_an_impossible_setting_is_an_error_with_its_cure() -> None:
    result = CliRunner().invoke(app, ["economy", "run", "--policies", "knave"])
    assert isinstance(result.exception, ConfigurationError)
    assert "there are: honest" in str(result.exception)


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        EconomySettings(participants=24, rounds=6),
        EconomySettings(participants=24, rounds=6, full_history=0, records=3),
        EconomySettings(participants=8, rounds=6, slots=1, least_recognised=0),
        EconomySettings(participants=8, rounds=6, topology="chain", ceiling=4.0),
    ],
    ids=["policies", "whole", "quantiles", "extinct", "chain"],
)
def test_every_kind_of_economy_can_be_drawn(tmp_path: Path, settings: EconomySettings) -> None:
    for path in draw_all(simulate(settings), tmp_path):
        pixels = imread(path)[:, :, :3]
        assert pixels.shape[:2] == (750, 1350)
        assert pixels.min() < 0.5 < pixels.max()


def printed(table: object) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_the_summary_says_how_an_economy_ended() -> None:
    dead = simulate(EconomySettings(participants=8, rounds=6, slots=1, least_recognised=0))
    assert "extinct after round 1" in printed(summary_table(dead))
    alive: EconomyResult = simulate(SMALL)
    assert "survived" in printed(summary_table(alive))
    assert "dropper" in printed(income_table(alive))


def test_an_estimate_by_hand() -> None:
    # Mean 2, standard deviation 1, three values: 4.30 · 1 / √3.
    estimate = Estimate.of([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0
    assert estimate.half_width == pytest.approx(4.30 / 3**0.5)
    assert (estimate.low, estimate.high) == pytest.approx((1.05, 2.95))


def test_a_study_compares_policies_within_the_same_runs() -> None:
    found = study(SMALL, 6, workers=1)
    incomes = [simulate(dataclasses.replace(SMALL, seed=seed)) for seed in range(6)]
    gains = [r.income_of("dropper").mean() - r.income_of("honest").mean() for r in incomes]
    assert found.advantage("dropper").mean == pytest.approx(np.mean(gains))
    assert found.estimate("coins").mean == pytest.approx(np.mean([r.circulating for r in incomes]))
    assert found.verdict("dropper") in ("does not pay", "undecided")


def test_a_study_on_several_processes_finds_the_same() -> None:
    seeds = [study(SMALL, 3, workers=workers).figures for workers in (1, 2)]
    for name, values in seeds[0].items():
        np.testing.assert_array_equal(values, seeds[1][name])
