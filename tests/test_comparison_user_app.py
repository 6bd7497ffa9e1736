"""A comparison on an app of one's own: `flower-relay compare run --app PATH`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flower_relay.comparison.cli import app
from flower_relay.comparison.files import read_results
from flower_relay.scaffold import write_project
from strategies import user_contest
from tests.user_apps import CLIENT, PYPROJECT, SERVER, write_usual_app


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Each test's app is imported anew: all of them are called alike."""
    before, path = set(sys.modules), list(sys.path)
    user_contest._tried.cache_clear()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("usual_app", "made_app")):
            del sys.modules[name]


def run(folder: Path, out: Path, *more: str) -> Result:
    given = ["run", "--app", str(folder), "--out", str(out), "--workers", "1", "--nodes", "4"]
    return CliRunner().invoke(app, [*given, "--budget", "12", "--seeds", "1", *more])


def said(done: Result) -> str:
    return " ".join(str(done.exception).split())


def test_an_app_of_the_usual_layout_is_compared_without_any_option(tmp_path: Path) -> None:
    folder, out = write_usual_app(tmp_path / "usual"), tmp_path / "out"
    done = run(folder, out, "--no-tune")
    assert done.exit_code == 0, done.output + said(done)
    assert "Accuracy here is eval_acc on participants' own cases." in done.output
    cells = {each["cell"]["strategy"]: each for each in read_results(out).cells}
    assert list(cells) == ["fedadam", "fedavg", "fedavgm", "relay", "relay-untested"]
    for name, found in cells.items():
        first, last = found["records"][0], found["records"][-1]
        assert (first["epochs"], last["epochs"]) == (0, 12), name
        assert first["accuracy"] == found["final"]["nothing_learned"]
    begun = {json.dumps(each["records"][0]["accuracy"]) for each in cells.values()}
    assert len(begun) == 1  # all begin with the same model
    assert cells["relay"]["final"]["accuracy"] > cells["relay"]["final"]["nothing_learned"]
    assert (out / "report.html").exists()


def test_an_app_that_flower_relay_new_writes_is_compared_and_leaves_no_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder, out = write_project(tmp_path / "made-app", "sklearn"), tmp_path / "out"
    chosen = ["--strategy", "relay", "--strategy", "fedavg", "--no-tune"]
    done = run(folder, out, *chosen)
    assert done.exit_code == 0, done.output + said(done)
    assert len(read_results(out).cells) == 2
    assert not (tmp_path / "home").exists()


def test_the_apps_own_learning_rate_is_tuned_up_and_down(tmp_path: Path) -> None:
    folder, out = write_usual_app(tmp_path / "usual"), tmp_path / "out"
    done = run(folder, out, "--strategy", "relay", "--strategy", "fedavg")
    assert done.exit_code == 0, done.output + said(done)
    tuning = json.loads((out / "tuning.json").read_text())
    tried = [each["settings"] for each in tuning[f"relay|{folder}|own"]["tried"]]
    assert [each["learning-rate"] for each in tried[:3]] == pytest.approx([0.1, 0.025, 0.4])
    shares = {
        each["settings"]["fraction-train"] for each in tuning[f"fedavg|{folder}|own"]["tried"]
    }
    assert shares >= {0.5}


def test_the_same_command_goes_on_and_a_changed_app_needs_another_folder(tmp_path: Path) -> None:
    folder, out = write_usual_app(tmp_path / "usual"), tmp_path / "out"
    chosen = ["--strategy", "fedavg", "--no-tune"]
    assert run(folder, out, *chosen).exit_code == 0
    [cell] = (out / "cells").iterdir()
    written = cell.stat().st_mtime_ns
    assert run(folder, out, *chosen).exit_code == 0
    assert cell.stat().st_mtime_ns == written
    plan = json.loads((out / "plan.json").read_text())
    assert plan["command"] == [
        "flower-relay compare run --strategy fedavg --first-seed 0 --seeds 1 --nodes 4 --budget 12 "
        f"--engine memory --fleet homogeneous --target 0.0 --tuning-seeds 1 --app {folder} "
        "--no-tune"
    ]
    (folder / "usual_app" / "server_app.py").write_text(SERVER + "\n# better\n")
    assert "Take another folder" in said(run(folder, out, *chosen))


def test_initial_arrays_come_from_a_function_where_one_is_named(tmp_path: Path) -> None:
    server = "app = None\n"
    task = "\n\ndef begin():\n    return Net().state_dict()\n"
    folder = write_usual_app(tmp_path / "usual", server=server)
    path = folder / "usual_app" / "task.py"
    path.write_text(path.read_text() + task)
    client = folder / "usual_app" / "client_app.py"
    client.write_text(CLIENT.replace('msg.content["config"]["lr"]', "0.1"))
    chosen = ["--strategy", "fedavg", "--no-tune"]
    refused = run(folder, tmp_path / "out", *chosen)
    assert "--initial module:function" in said(refused)
    done = run(folder, tmp_path / "out", *chosen, "--initial", "usual_app.task:begin")
    assert done.exit_code == 0, done.output + said(done)


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        ("pyproject", "", "expected a section [tool.flwr.app]"),
        ("pyproject", PYPROJECT.replace("clientapp =", "client ="), "expected clientapp ="),
        ("client", "import nowhere_to_be_had", "No module named 'nowhere_to_be_had'"),
        ("client", "app = 3", "found int"),
        ("client", CLIENT.replace("loss = train_fn(", "loss = 1 / 0 * train_fn("),
         "raised when it was asked to train: ZeroDivisionError"),
        ("client", CLIENT.replace("@app.evaluate()", ""), "@app.evaluate()"),
        ("client", CLIENT.replace("eval_loss", "a").replace("eval_acc", "b"), "as a number: a"),
        ("server", SERVER.replace("strategy = ", "return\n    strategy = "), "without starting"),
        ("server", SERVER.replace("strategy = ", "1 / 0\n    strategy = "), "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_app_is_said_before_anything_is_written(
    tmp_path: Path, part: str, text: str, expected: str
) -> None:
    folder = write_usual_app(tmp_path / "usual", **{part: text})
    done = run(folder, tmp_path / "out", "--no-tune")
    assert expected in said(done)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--data", "digits"], "data with app"),
        (["--attack", "label-flip"], "label-flip cannot be played on an app of your own"),
        (["--attack", "sign-flip+alie"], "each decide what is returned"),
        (["--attack", "hang:1"], "hang cannot be played on an app of your own"),
        (["--strategy", "scaffold"], "a ClientApp that corrects its own steps"),
        (["--set", "no-key=1"], "expected a key of the app's run config"),
        (["--rate-key", "speed"], "expected a key of the app's run config"),
        (["--metric", "beauty"], "reports as a number: eval_acc"),
    ],
)
def test_options_that_do_not_go_with_an_app_are_refused(
    tmp_path: Path, more: list[str], expected: str
) -> None:
    folder = write_usual_app(tmp_path / "usual")
    done = run(folder, tmp_path / "out", "--no-tune", *more)
    assert expected in said(done)
    assert not (tmp_path / "out").exists()


def test_the_rules_that_out_vote_the_hostile_are_played_under_attack(tmp_path: Path) -> None:
    folder, out = write_usual_app(tmp_path / "usual"), tmp_path / "out"
    rules = ["relay", "multikrum", "fedtrimmedavg", "fedavg"]
    chosen = [word for rule in rules for word in ("--strategy", rule)]
    attack = ["--attack", "none", "--attack", "sign-flip+liar", "--share", "0.25"]
    done = run(folder, out, "--no-tune", *chosen, *attack, "--set", "learning-rate=0.5")
    assert done.exit_code == 0, done.output + said(done)
    cells = {(c["cell"]["strategy"], c["cell"]["attack"]): c for c in read_results(out).cells}
    assert len(cells) == 8
    attacked, clean = cells["relay", "sign-flip+liar"], cells["relay", ""]
    assert sum(person["hostile"] for person in attacked["participants"]) == 1
    assert not any(person["hostile"] for person in clean["participants"])
    assert all(isinstance(p["own_accuracy"], float) for p in attacked["participants"])
    made = [hop for hop in attacked["hops"] if hop["hostile"]]
    assert made and "accepted" not in {hop["outcome"] for hop in made}
    averaged = [cells["fedavg", attack]["final"]["accuracy"] for attack in ("", "sign-flip+liar")]
    assert averaged[1] < averaged[0]
    [command] = json.loads((out / "plan.json").read_text())["command"]
    assert "--attack none --attack sign-flip+liar --share 0.25" in command


def test_ring_daisy_chain_and_median_are_played_on_an_app(tmp_path: Path) -> None:
    folder, out = write_usual_app(tmp_path / "usual"), tmp_path / "out"
    rules = ["cyclic", "daisychain", "fedmedian"]
    done = run(folder, out, "--no-tune", *(w for rule in rules for w in ("--strategy", rule)))
    assert done.exit_code == 0, done.output + said(done)
    for found in read_results(out).cells:
        assert found["final"]["accuracy"] > found["final"]["nothing_learned"]


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    assert "expected a Flower app's folder" in said(run(tmp_path / "nowhere", tmp_path / "out"))


def test_what_is_said_of_an_app_needs_an_app(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", "--metric", "x", "--out", str(tmp_path / "out")])
    assert "--app PATH" in said(done)
