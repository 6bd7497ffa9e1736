"""What `scripts/flower.py` and `scripts/fleet.py` refuse, before anything is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from flower_relay.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import fleet  # noqa: E402
import flower  # noqa: E402
from launch import how_to_go_on, prepare  # noqa: E402


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('stratgy="relay"', "no key 'stratgy'. Did you mean strategy?"),
        ("nonsense=5", "There are: audit, average-every, batch-size"),
        ("a.b=1", "no key 'a.b'"),
        ("strategy relay", "expected KEY=VALUE and spaces between, found 'strategy'"),
        ("budget=5 max-leg", "found 'max-leg'"),
        ('runs-dir="a"b"', "found 'b\"'"),
        ("runs-dir='a\"b'", "without double quotes"),
        ("budget=5 budget=6", "expected each key once"),
        ("data=digits", "a text in quotes"),
        ("data=mine.toml", "a text in quotes"),
        ("seed=[1]", "expected each key once, with a number"),
        ("data=5", "data = 5: expected a text in quotes"),
        ('model="\\u001b[31m"', "and control characters"),
        ('strategy="fedavgg"', "expected one of relay, relay-untested"),
        ("rounds=0", "rounds = 0: expected a whole number, at least 1"),
        ("timeout=nan", "timeout = nan: expected a number above 0"),
        ("lanes=0", "lanes = 0: expected a whole number"),
        ('run-name="../x"', "expected a folder's name"),
        ('run-name=".."', "expected a folder's name"),
        ('resume="nothing"', "expected the name of a run in"),
        ('hostile="sybil" hostile-share=0.2', "a sybil reconnects"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_what_is_wrong_in_it(
    config: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        prepare(config, tmp_path)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["runs", "with 'quote", "back\\slash", "ü b"])
def test_flower_reads_back_what_it_is_given(name: str, tmp_path: Path) -> None:
    launch = prepare('budget=3 eta=1e-3 partition="iid"', tmp_path / name)
    assert parse_config_args([launch.config]) == {
        "runs-dir": str(tmp_path / name), "run-name": launch.folder.name, "budget": 3,
        "eta": 0.001, "partition": "iid",
    }  # fmt: skip
    assert launch.folder.parent == tmp_path / name and launch.folder.name.endswith("-relay")


def test_what_the_config_says_overrules_the_options_of_the_script(tmp_path: Path) -> None:
    config = f'runs-dir="{tmp_path}" run-name="mine" min-available-nodes=3'
    launch = prepare(config, Path("elsewhere"), run_name="usual", min_available_nodes=8)
    assert launch.folder == tmp_path / "mine"
    assert parse_config_args([launch.config])["min-available-nodes"] == 3
    assert not Path("elsewhere").exists()


def test_a_run_of_that_name_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigurationError, match=r'go on with that run by resume="mine"'):
        prepare('run-name="mine"', tmp_path)


def begun(folder: Path, **config: object) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"strategy": "relay"} | config))


def test_a_stopped_relay_is_gone_on_with_by_the_command_that_it_names(tmp_path: Path) -> None:
    config = 'partition="iid" rounds=9 budget=5 lanes=2'
    launch = prepare(config, tmp_path)
    command = ["python", "scripts/flower.py", "--nodes", "4"]
    said = how_to_go_on(launch, command, config, ["seed=2"])
    assert said.startswith("Stopped; there is no ledger to go on from. To begin anew: python")
    assert said.endswith("--nodes 4 'partition=\"iid\" rounds=9 budget=5 lanes=2' seed=2")
    begun(launch.folder, partition="iid", budget=5, lanes=2)
    said = how_to_go_on(launch, command, config, ["seed=2"])
    again = f'resume="{launch.folder.name}" partition="iid" rounds=9'
    assert said.endswith(f"scripts/flower.py --nodes 4 '{again}' seed=2")
    assert prepare(again, tmp_path).folder == launch.folder


def test_a_stopped_run_without_a_ledger_begins_anew(tmp_path: Path) -> None:
    config = 'strategy="fedavg" run-name="mine"'
    launch = prepare(config, tmp_path)
    begun(launch.folder, strategy="fedavg")
    said = how_to_go_on(launch, ["x"], config, [])
    assert f"To begin anew, once {launch.folder} is removed: x" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"strategy": 5}', "[" * 100_000, "\xff"])
def test_a_run_whose_config_is_damaged_is_not_gone_on_with(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"expected the run config that a run began with"):
        prepare('resume="mine"', tmp_path)


def places(tmp_path: Path) -> list[Path]:
    (tmp_path / "file").touch()
    return [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none"), tmp_path / 'a"b']


@pytest.mark.parametrize("script", [flower, fleet])
def test_a_place_that_cannot_be_written_to_is_a_message_and_exit_code_1(
    script: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("signal.signal", lambda kind, handler: None)
    for place in places(tmp_path):
        monkeypatch.setattr(sys, "argv", ["x", "--runs-dir", str(place), "budget=1"])
        assert script.main() == 1  # type: ignore[attr-defined]
        assert capsys.readouterr().err.startswith(f"Error: runs-dir = {str(place)!r}: expected")
    log = "--keep-log" if script is flower else "--keep-logs"
    monkeypatch.setattr(sys, "argv", ["x", log, str(tmp_path / "file" / "log"), "budget=1"])
    assert script.main() == 1  # type: ignore[attr-defined]
    assert "is a file. Nothing was begun" in capsys.readouterr().err


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    launches = [prepare('run-name="same"', tmp_path) for _ in range(2)]
    with pytest.raises(ConfigurationError, match=r"expected another name for every run"):
        flower._check_names(launches)
    flower._check_names([prepare("budget=1", tmp_path) for _ in range(2)])


def test_a_command_that_is_refused_leaves_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/flower.py", "--runs-dir", str(tmp_path), "no-such-key=1"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no key 'no-such-key'" in done.stderr and "Traceback" not in done.stderr
