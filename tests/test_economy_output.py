"""What an economy leaves on disk and prints: files that read back, pictures, tables."""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from typer.testing import CliRunner

from flower_relay.cli import app, main
from flower_relay.economy import EconomyResult, EconomySettings, simulate
from flower_relay.economy.figures import draw_all
from flower_relay.economy.files import read_result, write_result
from flower_relay.economy.study import Estimate, study
from flower_relay.economy.tables import income_table, policy_table, summary_table
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


def test_an_error_is_a_message_with_its_cure_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flower-relay", "economy", "run", "--policies", "[/knave]"])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 1
    said = capsys.readouterr().err
    assert "no policy is called '[/knave]'; there are: honest" in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    options = ["--rounds", "1000000000", "--out", str(tmp_path / "file" / "under")]
    result = CliRunner().invoke(app, ["economy", "run", *options])
    assert isinstance(result.exception, ConfigurationError)
    assert "cannot be made" in str(result.exception)


def test_a_study_without_anybody_honest_compares_nothing() -> None:
    found = study(dataclasses.replace(SMALL, policies="dropper=0.5,sybil=0.5"), 2, workers=1)
    assert not found.has_honest
    assert "sybil" in printed(policy_table(found))


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        EconomySettings(participants=24, rounds=6),
        EconomySettings(participants=24, rounds=6, full_history=0, records=3),
        EconomySettings(participants=8, rounds=6, slots=1, least_recognised=0),
        EconomySettings(participants=8, rounds=40, topology="chain"),
    ],
    ids=["policies", "whole", "quantiles", "extinct", "chain"],
)
def test_every_kind_of_economy_can_be_drawn(tmp_path: Path, settings: EconomySettings) -> None:
    for path in draw_all(simulate(settings), tmp_path):
        pixels = imread(path)[50:, 120:900, :3]  # within the axes
        assert imread(path).shape[:2] == (750, 1350)
        coloured = np.ptp(pixels, axis=2) > 0.1
        assert coloured.mean() > 0.0005, path.name


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
    paid = EconomySettings(participants=40, rounds=40, policies="dropper=0.3")
    assert study(paid, 6, workers=1).verdict("dropper") == "does not pay"


def test_a_study_on_several_processes_finds_the_same() -> None:
    seeds = [study(SMALL, 3, workers=workers).figures for workers in (1, 2)]
    for name, values in seeds[0].items():
        np.testing.assert_array_equal(values, seeds[1][name])
