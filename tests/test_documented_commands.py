"""Commands and Python of tutorials and how-to pages run, at a small size, as they are printed.

A command that needs a machine of its own is named in `ELSEWHERE` with the test that runs it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clients.client_app import app as lineup_app
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.cli import app as commands
from flower_relay.run_folder import RunFolder
from flower_relay.scaffold import write_project
from tests.linear import client, genesis_model
from tests.worlds import CONFIG, first_model

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for name in ("tutorials", "how-to", "concepts", "quickstart.md", "economy.md")
    for path in [*(ROOT / "docs" / name).glob("*.md"), ROOT / "docs" / name]
    if path.is_file()
)

ELSEWHERE = {
    "make demo": "test_documented_commands.py::test_a_documented_demo_runs_and_verifies",
    "flower-relay demo": "test_documented_commands.py::test_a_documented_demo_runs_and_verifies",
    "make fleet": "test_fleet.py::test_strangers_are_refused_the_run_verifies_and_no_secret",
    "flwr run": "test_scaffold.py::test_flwr_run_runs_a_new_project",
    "python -m venv": "test_installed.py::test_flwr_run_runs_a_new_app_from_a_wheel",
    "pip install": "test_installed.py::test_flwr_run_runs_a_new_app_from_a_wheel",
    "cd my-app": "test_installed.py::test_flwr_run_runs_a_new_app_from_a_wheel",
    "flower-relay watch": "test_run_page_browser.py::test_a_run_in_progress_is_shown_and_grows",
    "flower-relay --install-completion": "test_wheel.py::test_the_shell_can_be_taught",
    "flower-relay ledger verify RUN --trust": "test_ledger_receipts.py::test_a_receipt_of_another",
    "flower-relay ledger heads": "test_ledger_forks.py::test_two_participants_who_were_shown_two",
    "flower-relay ledger proof": "test_ledger_forks.py::test_the_command_writes_the_proof_and",
    "flower-relay economy replay": "test_economy_replay.py::test_traces_of_other_sizes_and_seeds",
}  # fmt: skip

FEW = "--nodes 4 --budget 4 --strategy relay --strategy fedavg"
SMALLER = {
    "compare run --app": f"{FEW} --seeds 1 --no-tune --out OUT",
    "compare run": f"{FEW} --seeds 1 --no-tune --out OUT",
    "compare tune": f"{FEW} --tuning-seeds 1 --out OUT",
    "economy run": "--participants 16 --rounds 5 --out OUT",
    "economy study": "--participants 16 --rounds 5 --seeds 2",
    "economy sweep": "--participants 16 --rounds 5 --seeds 2 --out OUT",
}
"""What is said after a documented command so that it is small: a later option counts."""

SLOW = {"economy sweep", "compare tune", "compare run"}
"""What plays whole comparisons or starts Ray."""


def documented() -> list[tuple[str, str]]:
    """Every command of the pages, by its page."""
    return [
        (path.relative_to(ROOT).as_posix(), command)
        for path in PAGES
        for block in re.findall(r"```bash\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
        for line in block.splitlines()
        if (command := line.partition(" #")[0].strip())
    ]


def elsewhere(command: str) -> str | None:
    return next((test for begin, test in ELSEWHERE.items() if command.startswith(begin)), None)


def small(command: str, out: Path) -> list[str]:
    """The words of a `flower-relay` command, at a small size and into a folder of its own."""
    words = command.removeprefix(".venv/bin/").removeprefix("flower-relay ")
    if words == "economy sweep":
        words += " --vary slots=4,8"
    more = next((more for begin, more in SMALLER.items() if words.startswith(begin)), "")
    return shlex.split(f"{words} {more.replace('OUT', str(out))}")


def here() -> list[object]:
    return [
        pytest.param(command, marks=pytest.mark.slow if set(SLOW) & {begin(command)} else ())
        for command in dict.fromkeys(command for _, command in documented())
        if elsewhere(command) is None
    ]


def begin(command: str) -> str:
    return " ".join(command.split()[1:3])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run under each name that the pages give it, an app, and data."""
    folder = tmp_path_factory.mktemp("documented")
    run = RunFolder(folder / "RUN")
    strategy = RelayStrategy(budget=12, chain=run.chain, store=run.store, observers=run.observers)
    grid = InMemoryGrid(lineup_app, 6, run_config=CONFIG)
    run.save_champion(strategy.start(grid, first_model(), num_rounds=12))
    for name in ("runs/THE-RUN", "A", "B"):
        shutil.copytree(folder / "RUN", folder / name)
    shutil.copy(folder / "operator.key", folder / "runs")
    write_project(folder / "app" / "my-app")
    shutil.move(folder / "app" / "my-app", folder / "my-app")
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=(240, 4)), np.repeat(np.arange(12), 20)
    np.savez(folder / "mydata.npz", x=x, y=(x[:, 0] > 0).astype(int), group=group)
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", here())
def test_a_documented_command_runs(
    command: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    if command.startswith("flower-relay new"):
        monkeypatch.chdir(place / "app")
    (place / "mine.json").unlink(missing_ok=True)
    if "check-receipt" in command or "--receipt" in command:
        CliRunner().invoke(
            commands, ["ledger", "receipt", "RUN", "partition-id-3", "--out", "mine.json"]
        )
    done = CliRunner().invoke(commands, small(command, tmp_path / "out"))
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    assert "relay-app-" not in done.output  # a folder of a moment, in which a ServerApp was asked


@pytest.mark.parametrize("command", [c for _, c in documented() if elsewhere(c) is not None])
def test_a_documented_command_that_needs_more_is_run_by_another_test(command: str) -> None:
    file, _, name = (elsewhere(command) or "").partition("::")
    assert f"def {name}" in (ROOT / "tests" / file).read_text("utf-8")


def test_the_plan_prints_what_the_page_shows_but_for_its_figures() -> None:
    """The figures are of the rules, and move with them."""
    page = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
    command, shown = re.findall(
        r"```bash\nflower-relay (plan .*?)\n```\n\n```text\n(.*?)```", page, re.DOTALL
    )[0]
    printed = CliRunner().invoke(commands, shlex.split(command)).output
    lines = [[re.sub(r"[\d.,]+", "0", word) for word in line.split()] for line in (
        *printed.splitlines(), *shown.splitlines(),
    )]  # fmt: skip
    half = len(shown.splitlines())
    assert lines[:half] == lines[-half:]


WITH_PYTHON = [path for path in PAGES if "```python" in path.read_text("utf-8")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: path.stem)
def test_python_of_a_page_runs_block_after_block(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`app`, `arrays` and `run` are what the pages call the reader's own.

    What needs an extra that is not installed is left out.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs").mkdir()
    from flwr.clientapp import ClientApp

    names = {
        "app": client, "arrays": genesis_model(), "run": RunFolder.new(tmp_path / "runs"),
        "RelayStrategy": RelayStrategy, "ClientApp": ClientApp,
    }  # fmt: skip
    for block in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        if "MLflowTracker" in block and find_spec("mlflow") is None:
            continue
        exec(compile(block, path.name, "exec"), names)


@pytest.mark.parametrize("path", [p for p in PAGES if "```diff" in p.read_text("utf-8")])
def test_what_a_diff_adds_can_be_imported(path: Path) -> None:
    for block in re.findall(r"```diff\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        added = [line[1:] for line in block.splitlines() if line.startswith("+from ")]
        exec("\n".join(added), {})


DEMOS = [(page, command) for page, command in documented() if command.startswith("make demo")]


@pytest.mark.slow
@pytest.mark.flower
def test_a_documented_demo_runs_and_verifies(tmp_path: Path) -> None:
    """One after the other, each with a budget of eight; the last goes on with the plain one."""
    runs = tmp_path / "runs"
    for _, command in sorted(DEMOS, key=lambda demo: ("resume" in demo[1], "hostile" in demo[1])):
        config = shlex.split(command)[2].removeprefix("DEMO=") if "DEMO" in command else ""
        first = min(runs.glob("*/ledger.db"), default=runs).parent.name
        config = config.replace("THE-RUN", first) + " budget=8"
        config = re.sub(r"budget=200 ?", "", config)
        words = ["scripts/flower.py", "--nodes", "4", "--runs-dir", str(runs), config.strip()]
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for ledger in runs.glob("*/ledger.db"):
        checked = CliRunner().invoke(commands, ["ledger", "verify", str(ledger.parent)])
        assert checked.exit_code == 0 and "everything holds" in checked.output
