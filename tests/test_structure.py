"""The library keeps to its floor plan, and `experiments.structure` sees where it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "flower_relay/__init__.py", "flower_relay/errors.py", "flower_relay/rules/__init__.py",
    "flower_relay/mechanism/__init__.py", "flower_relay/mechanism/state.py",
    "flower_relay/ledger/__init__.py", "flower_relay/federation/__init__.py",
    "flower_relay/economy/__init__.py", "tests/test_one.py", "experiments/kill.py",
)  # fmt: skip


def structure(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "experiments.structure", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert not done.stderr
    return done.returncode, done.stdout


def plan(root: Path, **texts: str) -> Path:
    """A small checkout; `federation__run="import x"` is what one file of it holds."""
    written = {name.replace("__", "/") + ".py": text for name, text in texts.items()}
    for name in (*ROOMS, *written):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written.get(name, ""))
    return root


def test_the_library_keeps_to_its_floor_plan() -> None:
    code, told = structure()
    assert code == 0, told
    assert "circles              0\narrows up            0\n" in told


def test_a_small_checkout_with_arrows_down_is_as_it_should_be(tmp_path: Path) -> None:
    plan(
        tmp_path,
        flower_relay__federation__run="from ..ledger import chain\nimport time, flwr",
        flower_relay__mechanism__state="import numpy\nfrom flower_relay.errors import RelayError",
        tests__test_one="import subprocess",
    )
    code, told = structure("--root", str(tmp_path))
    assert code == 0, told


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("rules__gate", "from ..mechanism import state", "up: rules.gate imports mechanism.state"),
        (
            "ledger__verify",
            "def late():\n    from flower_relay.federation import run",
            "up: ledger.verify imports federation",
        ),
        ("federation__run", "from ..economy import x", "up: federation.run imports economy"),
        (
            "federation__run",
            "import flower_relay.economy",
            "up: federation.run imports economy",
        ),
        ("rules__gate", "import numpy\nimport torch.nn", "world: rules.gate imports torch"),
        ("rules__gate", "from time import monotonic", "world: rules.gate imports time"),
        (
            "mechanism__apply",
            "def late():\n    from pathlib import Path",
            "world: mechanism.apply imports pathlib",
        ),
        ("mechanism__leg", "from flwr.app import Message", "world: mechanism.leg imports flwr"),
        ("mechanism__leg", "import sqlalchemy as s", "world: mechanism.leg imports sqlalchemy"),
        (
            "mechanism__state",
            "from ..mechanism import apply\n",
            "circle: mechanism.apply, mechanism.state",
        ),
    ],
)
def test_what_is_wrong_with_a_module_is_told(
    file: str, text: str, told: str, tmp_path: Path
) -> None:
    other = {"flower_relay__mechanism__apply": "from .state import State"}
    plan(tmp_path, **(other | {f"flower_relay__{file}": text}))
    code, found = structure("--root", str(tmp_path))
    assert code == 1
    assert told in found.splitlines()


@pytest.mark.parametrize(
    "text", ["from experiments.kill import play", "def late():\n    import experiments.kill"]
)
def test_a_test_that_imports_an_experiment_is_told(text: str, tmp_path: Path) -> None:
    code, found = structure("--root", str(plan(tmp_path, tests__test_one=text)))
    assert code == 1
    assert "test: tests/test_one.py imports experiments" in found


def test_seventeen_modules_at_the_root_are_too_many(tmp_path: Path) -> None:
    plan(tmp_path, **{f"flower_relay__m{number}": "" for number in range(15)})
    assert structure("--root", str(tmp_path))[0] == 0  # with `errors`
    plan(tmp_path, flower_relay__one_more="")
    code, found = structure("--root", str(tmp_path))
    assert code == 1
    assert "root: 17 modules, expected 16 at most" in found
