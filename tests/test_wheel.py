"""What an installation brings: the commands of the quickstart work without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.version import Version

import flower_relay

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, unpacked where nothing else of it is."""
    folder = tmp_path_factory.mktemp("wheel")
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as an installation has it, in a folder that is not the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    code = "import sys; sys.path.remove(''); from flower_relay.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, env=environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_nothing_stands_beside_the_library_in_an_environment(installed: Path) -> None:
    tops = {path.name.partition("-")[0] for path in installed.iterdir()}
    assert tops == {"flower_relay"}


def test_nothing_stands_twice_and_no_caches_travel(installed: Path) -> None:
    files = [path.relative_to(installed) for path in installed.rglob("*") if path.is_file()]
    assert not [path for path in files if "__pycache__" in path.parts]
    app = installed / "flower_relay" / "bundled"
    assert {path.name for path in app.iterdir()} == {
        "LICENSE", "clients", "pyproject.toml", "strategies",
    }  # fmt: skip


def test_the_version_is_one(installed: Path, tmp_path: Path) -> None:
    assert flower_relay.__version__ == PROJECT["project"]["version"]
    said = run(installed, tmp_path, "--version").stdout
    assert said == f"flower-relay {flower_relay.__version__}\n"


def test_a_comparison_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "clients"  # what a user's own project may well hold
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise RuntimeError('the wrong clients')")
    done = run(
        installed, tmp_path, "compare", "run", "--strategy", "relay", "--strategy", "fedavg",
        "--attack", "none", "--partition", "iid", "--seeds", "1", "--nodes", "4", "--budget", "8",
        "--no-tune", "--out", "found",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "found" / "cells").glob("*.json"))) == 2


def test_the_shell_can_be_taught_the_commands(installed: Path, tmp_path: Path) -> None:
    assert "--install-completion" in run(installed, tmp_path, "--help").stdout


def test_tables_are_whole_where_no_terminal_is(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "economy", "study", "--seeds", "2", "--rounds", "3",
               "--participants", "16")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout


def test_the_app_says_which_flower_it_was_made_for() -> None:
    app, dependencies = PROJECT["tool"]["flwr"]["app"], PROJECT["project"]["dependencies"]
    assert app["fab-format-version"] == 1
    [lowest] = [word.removeprefix("flwr>=") for word in dependencies if word.startswith("flwr>=")]
    assert Version(app["flwr-version-target"]) >= Version(lowest)
