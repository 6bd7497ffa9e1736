"""A wheel in an empty environment: `flower-relay new`, `flwr run`, and a ledger that verifies.

For each further Python that is here, each with another of the Flowers that are supported. It needs
a package index, as a user does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from flower_relay.transport.superlink import PrivateSuperLink

ROOT = Path(__file__).parents[1]
MINUTES = 60
PAIRS = [("3.12", "1.41"), ("3.12", "1.42"), ("3.13", "1.41"), ("3.13", "1.42")]

pytestmark = [pytest.mark.slow, pytest.mark.flower]


def interpreter(version: str) -> str | None:
    """A Python of that version, on the path or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


def say(*words: str | Path, cwd: Path, minutes: int = 20, **more: str) -> str:
    """What a command prints; that it ends well is looked at, too."""
    done = subprocess.run(
        words, cwd=cwd, env=os.environ | more, capture_output=True, text=True,
        timeout=minutes * MINUTES,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def somebody(binaries: Path, run: Path) -> str:
    """A participant's name: where one is asked for that is not there, all are said."""
    asked = (binaries / "flower-relay", "ledger", "receipt", run, "nobody")
    said = subprocess.run(asked, capture_output=True, text=True, timeout=5 * MINUTES)
    return re.findall(r"node-\d+", said.stderr)[0]


class Installed(PrivateSuperLink):
    """A SuperLink of the environment that the wheel was installed in."""

    def __init__(self, binaries: Path) -> None:
        super().__init__(ROOT)
        self.env["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        del self.env["PYTHONPATH"]


@pytest.mark.parametrize(("python", "flower"), PAIRS)
def test_flwr_run_runs_a_new_app_from_a_wheel(python: str, flower: str, tmp_path: Path) -> None:
    found = interpreter(python)
    if found is None:
        pytest.skip(f"Python {python} is not here")
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    say(found, "-m", "venv", "environment", cwd=tmp_path)
    binaries = tmp_path / "environment" / "bin"
    wanted = [f"{wheel}[simulation]", f"flwr[simulation]=={flower}.*", "scikit-learn"]
    try:
        say(binaries / "pip", "install", "--quiet", *wanted, cwd=tmp_path)
    except AssertionError as problem:
        pytest.skip(f"cannot be installed here: {str(problem)[-300:]}")
    say(binaries / "flower-relay", "new", "my-app", "--framework", "sklearn", cwd=tmp_path)
    runs = tmp_path / "runs"
    with Installed(binaries) as link:
        config = f'hops=8 runs-dir="{runs}"'
        nodes = "num-supernodes=4 client-resources-num-cpus=1"
        words = ("run", ".", "--stream", "--run-config", config, "--federation-config", nodes)
        said = say(binaries / "flwr", *words, cwd=tmp_path / "my-app", **link.env)
    assert re.search(r"8/8 hops", said), said[-2000:]
    [run] = [path for path in runs.iterdir() if path.is_dir()]
    name = somebody(binaries, run)
    say(
        binaries / "flower-relay", "ledger", "receipt", run, name, "--out", "mine.json",
        cwd=tmp_path,
    )  # fmt: skip
    checked = say(
        binaries / "flower-relay", "ledger", "verify", run, "--receipt", "mine.json", cwd=tmp_path
    )
    assert "everything holds" in checked
