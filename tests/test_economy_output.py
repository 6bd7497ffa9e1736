"""What an economy leaves on disk and prints: files that read back, pictures, tables."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread
from rich.console import Console
from typer.testing import CliRunner

from flower_relay.cli import app, main
from flower_relay.economy import EconomyResult, EconomySettings, simulate
from flower_relay.economy.figures import draw_all
from flower_relay.economy.files import read_result, write_result, write_study
from flower_relay.economy.study import Estimate, Study, student_t, study
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


def test_a_folder_without_a_whole_result_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no economy.*settings\.json"):
        read_result(tmp_path)
    write_result(tmp_path, simulate(EconomySettings(participants=8, rounds=2)))
    history = tmp_path / "history.parquet"
    content = history.read_bytes()
    history.write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match="holds no economy"):
        read_result(tmp_path)
    history.unlink()
    with pytest.raises(ConfigurationError, match=r"holds no economy.*history\.parquet"):
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
    assert "expected a folder to write into" in str(result.exception)


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
        EconomySettings(participants=200, rounds=12, full_history=20, gain_mean=3.0),
    ],
    ids=["policies", "whole", "quantiles", "extinct", "chain", "improving"],
)
def test_every_kind_of_economy_can_be_drawn(tmp_path: Path, settings: EconomySettings) -> None:
    for path in draw_all(simulate(settings), tmp_path):
        pixels = imread(path)[50:, 120:900, :3]  # within the axes
        assert imread(path).shape[:2] == (750, 1350)
        coloured = np.ptp(pixels, axis=2) > 0.1
        assert coloured.mean() > 0.0005, path.name


def ink(path: Path) -> float:
    """Share of a picture that has a colour: that is neither paper nor text."""
    pixels = imread(path)[:, :, :3]
    return float((np.ptp(pixels, axis=2) > 0.05).mean())


def test_economies_without_any_model_can_be_drawn(tmp_path: Path) -> None:
    nothing = EconomySettings(participants=8, rounds=2, topology="chain", success=0.0)
    assert all(path.exists() for path in draw_all(simulate(nothing), tmp_path))


def test_one_round_is_enough_for_a_picture(tmp_path: Path) -> None:
    for path in draw_all(simulate(EconomySettings(participants=16, rounds=1)), tmp_path):
        assert ink(path) > 0.1, path.name


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
    # Mean 2, standard deviation 1, three values: 4.3027 · 1 / √3.
    estimate = Estimate.of([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0
    assert estimate.half_width == pytest.approx(4.3027 / 3**0.5)
    assert (estimate.low, estimate.high) == pytest.approx((1.05, 2.95))


@pytest.mark.parametrize(
    ("freedom", "published"),
    [(1, 12.706), (4, 2.776), (5, 2.571), (9, 2.262), (29, 2.045), (49, 2.010), (199, 1.972)],
)
def test_intervals_follow_the_published_table_of_students_t(freedom: int, published: float) -> None:
    assert student_t(freedom) == pytest.approx(published, abs=0.001)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        # Half-widths: 12.7062 · √2 · 5 / √2 = 63.5, 12.7062 · 0.0005 = 0.0064; none; 0.
        ([198_000.0, 198_010.0], "198,005 ± 64"),
        ([0.316, 0.317], "0.3165 ± 0.0064"),
        ([1.5], "1.5000"),
        ([2.0, 2.0], "2.0000 ± 0"),
    ],
)
def test_an_estimate_is_written_to_two_digits_of_its_uncertainty(
    values: list[float], shown: str
) -> None:
    assert str(Estimate.of(values)) == shown


def test_who_pays_is_judged_within_runs_and_only_when_sure() -> None:
    # Over honesty: 1 and 2 in two runs is 1.5 ± 12.7062 · 0.5, so both signs are possible;
    # 1.0 and 1.1 is 1.05 ± 0.635; −5 and −5 is sure.
    gains = {"all-in": [1.0, 2.0], "sybil": [1.0, 1.1], "dropper": [-5.0, -5.0]}
    figures = {f"advantage {name}": np.array(values) for name, values in gains.items()}
    found = Study(settings=SMALL, seeds=2, figures=figures)
    verdicts = [found.verdict(name) for name in gains]
    assert verdicts == ["undecided", "pays", "does not pay"]


@pytest.mark.parametrize(
    ("policies", "played", "compared"),
    [
        ("sybil=0.5,dropper=0.5", ["sybil", "dropper"], []),
        ("sybil=0.7,dropper=0.2,all-in=0.1", ["all-in", "sybil", "dropper"], []),
        ("free-rider=0.25", ["honest", "free-rider"], ["free-rider"]),
    ],
)
def test_only_policies_that_somebody_plays_are_counted(
    policies: str, played: list[str], compared: list[str]
) -> None:
    found = study(EconomySettings(participants=24, rounds=4, policies=policies), 2, workers=1)
    assert found.played == played
    shown = printed(policy_table(found))
    assert all(name in shown for name in played)
    for name in set(played) - {"honest"}:
        if name in compared:
            assert found.advantage(name).mean == found.figures[f"advantage {name}"].mean()
        else:
            with pytest.raises(ConfigurationError, match=f"nothing to compare '{name}'"):
                found.verdict(name)


def test_a_study_is_written_for_machines(tmp_path: Path) -> None:
    settings = dataclasses.replace(SMALL, seed=7)
    found = study(settings, 3, workers=1)
    assert {path.name for path in write_study(tmp_path, found)} == {"seeds.parquet", "study.json"}
    seeds = pq.read_table(tmp_path / "seeds.parquet").to_pydict()
    assert seeds.pop("seed") == [7, 8, 9]
    assert {name: list(values) for name, values in found.figures.items()} == seeds
    about = json.loads((tmp_path / "study.json").read_text())
    assert EconomySettings(**about["settings"]) == settings
    assert about["estimates"]["coins"]["mean"] == found.estimate("coins").mean
    assert about["verdicts"].keys() == {"free-rider", "dropper"}
    write_study(tmp_path, study(settings, 1, workers=1))
    alone = json.loads((tmp_path / "study.json").read_text())["estimates"]["coins"]
    assert alone["half_width"] is None  # one seed has no interval, and JSON no NaN


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
