"""Many cells: stable keys, going on, a cell in trouble, tuning, the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flower_relay.comparison.cli import _setting, app
from flower_relay.comparison.command import commands_of
from flower_relay.comparison.files import read_results, read_tuning, write_plan, write_tuning
from flower_relay.comparison.ladders import LEARNING_RATES, Ladder, ladders_of
from flower_relay.comparison.plan import TUNING_NOTES, Cell, Plan
from flower_relay.comparison.playing import Failure, play_cells
from flower_relay.comparison.tuning import tune
from flower_relay.errors import ConfigurationError
from tests.players import BEST

ROOT = Path(__file__).parents[1]
SMALL = Plan(strategies=("relay", "fedavg"), attacks=("", "noise"), seeds=(0, 1), budget=40)


def test_a_plan_is_its_product_clean_cells_once() -> None:
    plan = Plan(strategies=("a", "b"), attacks=("", "noise"), shares=(0.2, 0.4), seeds=(0, 1, 2))
    cells = plan.cells()
    assert len(cells) == len({cell.key for cell in cells}) == 2 * (1 + 2) * 3
    assert {(cell.attack, cell.share) for cell in cells} == {
        ("", 0.0), ("noise", 0.2), ("noise", 0.4),
    }  # fmt: skip


def test_a_key_is_of_the_settings_in_any_order() -> None:
    cell = SMALL.cells()[0]
    again = {**cell.as_dict(), "settings": {"b": 2, "a": 1}}
    assert Cell(**again).key == Cell(**{**again, "settings": {"a": 1, "b": 2}}).key != cell.key


def test_tuned_settings_go_to_their_strategy_and_the_plans_come_first() -> None:
    tuning = {"relay|digits|dirichlet:0.3": {"learning-rate": 0.8, "tried": []}}
    plan = Plan(strategies=("relay:lanes=2", "fedavg"), attacks=("",), seeds=(0,))
    assert [dict(cell.settings) for cell in plan.cells(tuning)] == [{"learning-rate": 0.8}, {}]
    fixed = Plan(strategies=("relay",), attacks=("",), seeds=(0,), settings={"learning-rate": 1.0})
    assert dict(fixed.cells(tuning)[0].settings) == {"learning-rate": 1.0}


def test_a_plan_says_what_it_accepts() -> None:
    with pytest.raises(ConfigurationError, match=r"shares = \(2\.0,\): expected one or more"):
        Plan(shares=(2.0,))
    with pytest.raises(ConfigurationError, match="homogeneous, phones, hospitals"):
        Plan(fleet="trains")


def test_what_is_finished_is_not_played_again(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    plan = Plan(strategies=("relay",), attacks=("",), seeds=(0, 1), settings={"notes": str(notes)})
    more = Plan(strategies=("relay",), attacks=("",), seeds=(0, 1, 2), settings=plan.settings)
    for asked in (plan, more):
        assert play_cells(asked.cells(), tmp_path / "cells", "tests.players:noted", workers=1) == []
    assert notes.read_text().split() == ["0", "1", "2"]


def test_a_cell_in_trouble_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    cells = Plan(strategies=("relay",), attacks=("",), seeds=(0, 1, 2, 3)).cells()
    told: list[tuple[int, Failure | None]] = []
    failures = play_cells(
        cells, tmp_path, "tests.players:troubled", workers=2,
        on_cell=lambda cell, failure: told.append((cell.seed, failure)),
    )  # fmt: skip
    assert sorted(seed for seed, _ in told) == [0, 1, 2, 3]
    reasons = {failure.cell.seed: failure.reason for failure in failures}
    assert reasons.keys() == {1, 2}
    assert reasons[1] == "ValueError: seed 1 is not to my taste"
    assert "its process died" in reasons[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{cell.key}.json" for cell in cells if cell.seed in (0, 3)
    )


KILLED = """
from pathlib import Path
from flower_relay.comparison.plan import Plan
from flower_relay.comparison.playing import play_cells

if __name__ == "__main__":
    plan = Plan(strategies=("relay",), attacks=("",), seeds=(0, 1, 2), settings={settings})
    play_cells(plan.cells(), Path({folder!r}), "tests.players:deadly", workers=2)
"""


def test_a_kill_leaves_whole_cells_and_no_process(tmp_path: Path) -> None:
    notes, folder, script = tmp_path / "notes", tmp_path / "cells", tmp_path / "killed.py"
    settings = {"notes": str(notes)}
    script.write_text(KILLED.format(settings=settings, folder=str(folder)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while runs(int(notes.read_text())):
        assert time.monotonic() < end
        time.sleep(0.05)
    plan = Plan(strategies=("relay",), attacks=("",), seeds=(0, 1, 2), settings=settings)
    assert play_cells(plan.cells(), folder, "tests.players:made_up", workers=1) == []
    assert len([json.loads(path.read_text()) for path in folder.glob("*.json")]) == 3


def runs(pid: int) -> bool:
    """Whether a process is there, and not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_of_a_cell_played_twice_the_one_that_the_tuning_asks_for_counts(tmp_path: Path) -> None:
    plan = Plan(strategies=("relay",), attacks=("",), seeds=(0,))
    write_plan(tmp_path, plan)
    write_tuning(tmp_path, {"relay|digits|dirichlet:0.3": {"learning-rate": 0.8, "tried": []}})
    for tuning in (read_tuning(tmp_path), {}):
        play_cells(plan.cells(tuning), tmp_path / "cells", "tests.players:made_up", workers=1)
    (only,) = read_results(tmp_path).cells
    assert only["cell"]["settings"] == {"learning-rate": 0.8}


def test_a_folder_holds_one_kind_of_comparison_and_joins_its_grids(tmp_path: Path) -> None:
    write_plan(tmp_path, SMALL)
    write_plan(tmp_path, Plan(strategies=("cyclic",), seeds=(5,), attacks=("",), budget=40))
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["strategies"] == ["relay", "fedavg", "cyclic"]
    assert plan["seeds"] == [0, 1, 5]
    with pytest.raises(ConfigurationError, match="holds a comparison with budget = 40"):
        write_plan(tmp_path, Plan(budget=41))


def test_tuning_finds_each_strategys_own_best_on_seeds_of_its_own(tmp_path: Path) -> None:
    plan = Plan(strategies=("relay", "fedavgm"), attacks=("",), seeds=(0,), budget=400)
    found = tune(plan, tmp_path, "tests.players:made_up", workers=1)
    relay, momentum = (found[f"{name}|digits|dirichlet:0.3"] for name in plan.strategies)
    assert {k: v for k, v in relay.items() if k not in TUNING_NOTES} == {"learning-rate": 0.4}
    assert {k: v for k, v in momentum.items() if k not in TUNING_NOTES} == {
        key: BEST[key] for key in ladders_of("fedavgm")
    }
    assert [each["settings"] for each in relay["tried"]] == [
        {"learning-rate": rate} for rate in LEARNING_RATES
    ]
    # Seven rates; two more server rates, and .1 as the best, .3, was the lowest; two momenta;
    # two fractions; and the learning rate's neighbours again.
    assert len(momentum["tried"]) == 7 + 3 + 2 + 2 + 2
    assert all(each["seeds"] == [*range(1000, 1006)] for each in momentum["tried"])
    assert momentum["cost"] == {"runs": 16 * 6, "client-epochs": 16 * 6 * 400.0}
    assert read_tuning(tmp_path) == found


def test_a_relay_with_a_setting_of_its_own_takes_the_plain_relays_learning_rate(
    tmp_path: Path,
) -> None:
    plan = Plan(strategies=("relay:lanes=2", "relay"), attacks=("",), seeds=(0,), budget=400)
    found = tune(plan, tmp_path, "tests.players:made_up", workers=1)
    assert list(found) == ["relay|digits|dirichlet:0.3"]
    lanes, plain = plan.cells(found)
    assert lanes.settings == plain.settings == {"learning-rate": 0.4}


def test_the_edge_of_a_grid_is_never_chosen_the_grid_grows(tmp_path: Path) -> None:
    """The best rate is 6.4, two steps beyond the first grid; the ladder goes on to 12.8."""
    plan = Plan(strategies=("relay",), attacks=("",), seeds=(0,), budget=400, tuning_seeds=2)
    found = tune(plan, tmp_path, "tests.players:fast_at_high_rates", workers=1)
    (entry,) = found.values()
    assert entry["learning-rate"] == pytest.approx(6.4)
    rates = [each["settings"]["learning-rate"] for each in entry["tried"]]
    assert rates == pytest.approx([*LEARNING_RATES, 3.2, 6.4, 12.8])
    assert [each["seeds"] for each in entry["tried"]] == [[1000, 1001]] * 10


def test_only_the_end_of_a_ladder_may_be_chosen_although_nothing_is_beyond() -> None:
    ladder = Ladder((0.0, 0.5, 0.9, 1.0), (0.5, 0.9))
    assert ladder.beyond(0.9, {0.5, 0.9}) == [1.0]
    assert ladder.beyond(0.5, {0.5, 0.9}) == [0.0]
    assert ladder.beyond(1.0, {0.5, 0.9, 1.0}) == []


def test_fractions_that_train_as_many_are_tried_once() -> None:
    ladder = ladders_of("fedavg")["fraction-train"]
    assert ladder.among(20).values == (0.1, 0.2, 0.35, 0.5, 1.0)  # .05 is one client, two are least
    assert ladder.among(100).values == (0.05, 0.1, 0.2, 0.35, 0.5, 1.0)
    assert ladder.among(4).values == (0.5, 1.0)


def test_a_tuning_seed_must_not_be_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="1001 is a seed of the tuning"):
        tune(Plan(seeds=(0, 1001)), tmp_path, "tests.players:made_up")


RUN = ["run", "--strategy", "relay", "--strategy", "relay-untested", "--strategy", "fedavg",
       "--attack", "none", "--attack", "noise", "--seeds", "2", "--budget", "40",
       "--workers", "1", "--player", "tests.players:made_up"]  # fmt: skip


def test_one_command_answers_and_writes_its_tables(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*RUN, "--no-tune", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "The relay against the averaging strategies" in done.output
    assert len(read_results(tmp_path).cells) == 12
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"cost_to_target.md", "cost_to_target.parquet", "detection.md"} <= names
    columns = pq.read_table(tmp_path / "tables" / "under_attack.parquet").to_pydict()
    assert columns["strategy"] == ["fedavg", "relay", "relay-untested"]
    assert columns["minus its own clean"] == pytest.approx(
        [-0.15, 0.0, 0.0]
    )  # half of its harm, in 40 client-epochs
    again = CliRunner().invoke(app, ["tables", str(tmp_path)])
    assert again.exit_code == 0
    assert "| fedavg |" in (tmp_path / "tables" / "final_accuracy.md").read_text()


def test_the_command_that_is_noted_has_every_option(tmp_path: Path) -> None:
    given = [*RUN, "--no-tune", "--set", "eta=0.3", "--tuning-seeds", "2", "--target", "0.9"]
    assert CliRunner().invoke(app, [*given, "--out", str(tmp_path)]).exit_code == 0
    more = [*given, "--first-seed", "7", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, more).exit_code == 0
    first, second = json.loads((tmp_path / "plan.json").read_text())["command"]
    assert first == (
        "flower-relay compare run --strategy relay --strategy relay-untested --strategy fedavg "
        "--data digits --partition dirichlet:0.3 --attack none --attack noise --share 0.2 "
        "--first-seed 0 --seeds 2 --nodes 20 --budget 40 --engine memory --fleet homogeneous "
        "--target 0.9 --tuning-seeds 2 --player tests.players:made_up --no-tune --set eta=0.3"
    )
    assert second == first.replace("--first-seed 0", "--first-seed 7")
    page = (tmp_path / "report.html").read_text()
    assert first in page and second in page


def test_options_in_a_file_are_those_of_the_command_which_come_first(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(
        'strategy = ["relay", "fedavg"]\nattack = ["none"]\nseeds = 2\nbudget = 40\n'
        'player = "tests.players:made_up"\ntune = false\nworkers = 1\nset = {eta = 0.3}\n'
    )
    out = tmp_path / "out"
    given = ["run", "--config", str(file), "--seeds", "1", "--out", str(out)]
    assert CliRunner().invoke(app, given).exit_code == 0
    cells = read_results(out).cells
    assert [cell["cell"]["strategy"] for cell in cells] == ["fedavg", "relay"]
    assert {cell["cell"]["budget"] for cell in cells} == {40}
    assert all(cell["cell"]["settings"] == {"eta": 0.3} for cell in cells)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategies = []", "'strategies' is no option"),
        ("seeds = true", "seeds = True: expected a whole number"),
        ("share = 0.2", "share = 0.2: expected a list"),
        ("seeds = ", "cannot be read"),
    ],
)
def test_a_file_with_what_is_no_option_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file, out = tmp_path / "bad.toml", tmp_path / "out"
    file.write_text(text)
    done = CliRunner().invoke(app, ["run", "--config", str(file), "--out", str(out)])
    assert said in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--strategy", "fedawg", "expected one of relay"),
        ("--strategy", "relay:lames=2", "setting 'lames'"),
        ("--data", "imagenet", "expected one of digits"),
        ("--data", "digits@gru", "suits the data"),
        ("--attack", "evil", "is not one of"),
        ("--partition", "natural", "needs data with groups"),
    ],
)
def test_names_are_checked_before_anything_is_written(
    tmp_path: Path, option: str, value: str, said: str
) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", option, value, "--out", str(out)])
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
    assert not out.exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    done = CliRunner().invoke(app, [*RUN, "--no-tune", "--out", str(out)])
    assert isinstance(done.exception, ConfigurationError)
    assert "expected a folder to write into" in str(done.exception)


def test_a_player_that_is_not_there_is_said_before_anything_is_played(tmp_path: Path) -> None:
    wrong = [*RUN[:-1], "nowhere:play", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, wrong)
    assert "expected module:function" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--first-seed", "1000"], "1000 is a seed of the tuning"),
        (["--target", "1.5"], "target = 1.5: expected a number from 0 to 1"),
        (["--target", "nan"], "target = nan: expected a number from 0 to 1"),
        (["--share", "nan"], "shares = (nan,): expected one or more"),
        (["--fleet", "trains"], "expected one of homogeneous"),
        (["--set", "learning-rate=fast"], "learning-rate = 'fast': expected a number"),
        (["--set", "no equals"], "expected KEY=VALUE"),
        (["--strategy", "relay", "--strategy", "relay"], "one or more different ones"),
    ],
)
def test_options_are_checked_before_anything_is_written(
    tmp_path: Path, options: list[str], said: str
) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", *options, "--out", str(out)])
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('share = ["much"]', "shares = ('much',): expected one or more"),
        ("strategy = [1]", "strategies = (1,): expected one or more"),
        ("seeds = 0", "seeds = (): expected one or more"),
        ("set = {eta = 2020-01-01}", "expected a text, a number, true or false"),
        ("set = {eta = [1]}", "expected a text, a number, true or false"),
    ],
)
def test_values_in_a_file_are_checked_like_those_of_the_command(
    tmp_path: Path, text: str, said: str
) -> None:
    file, out = tmp_path / "bad.toml", tmp_path / "out"
    file.write_text(text)
    done = CliRunner().invoke(app, ["run", "--config", str(file), "--out", str(out)])
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize("value", ["5", "null", "text", "true", 5, 0.25, True, ""])
def test_the_noted_command_sets_what_was_set(value: str | float) -> None:
    plan = dataclasses.asdict(Plan(settings={"key": value}))
    words = shlex.split(commands_of({**plan, "seeds": [0]})[0])
    assert _setting(words[words.index("--set") + 1]) == ("key", value)
