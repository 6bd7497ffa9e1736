"""Through Flower itself: SuperLink, Ray, bundle and all, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from clients.models import build_model

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.flower, pytest.mark.slow]


def flower(runs: Path, *configs: str, nodes: int = 8) -> subprocess.CompletedProcess[str]:
    """Run `scripts/flower.py`, marked so that whatever it leaves behind can be found."""
    command = [sys.executable, "scripts/flower.py", "--nodes", str(nodes), "--runs-dir", str(runs)]
    environment = {**os.environ, "FLOWER_RELAY_TEST": str(runs), "TMPDIR": str(runs.parent)}
    return subprocess.run(
        [*command, *configs], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip


def left_behind(mark: str) -> list[str]:
    """Processes that carry a mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_a_federation_with_a_hang_an_error_and_nan_still_trains(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = flower(
        runs,
        'run-name="plain" budget=16 partition="iid" max-leg=2',
        'run-name="hang" budget=8 max-leg=1 hostile="hang:20" hostile-share=0.13 timeout=6.0',
        'run-name="error" budget=8 max-leg=1 hostile="error" hostile-share=0.25',
        'run-name="nan" budget=8 max-leg=1 hostile="nan" hostile-share=0.25',
        'run-name="fedavg" strategy="fedavg" rounds=3',
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcomes = {
        name: {
            hop["outcome"] for hop in json.loads((runs / name / "result.json").read_text())["hops"]
        }
        for name in ("plain", "hang", "error", "nan", "fedavg")
    }
    assert "timeout" in outcomes["hang"]
    assert "error" in outcomes["error"]
    assert "non-finite" in outcomes["nan"]
    assert outcomes["fedavg"] == set()
    for picture in ("learning_curve.png", "lineage.png"):
        assert (runs / "plain" / picture).stat().st_size > 10_000
    model = build_model("mlp", (1, 8, 8), 10, seed=9)
    model.load_state_dict(load_file(runs / "plain" / "champion.safetensors"))
    assert left_behind(str(runs)) == []


def test_a_run_that_fails_fails_the_command(tmp_path: Path) -> None:
    done = flower(
        tmp_path / "runs", 'run-name="alone" min-available-nodes=9 timeout=3.0', nodes=2
    )  # fmt: skip
    assert done.returncode == 1
    assert "FAILED: " in done.stderr and "finished:failed" in done.stderr
    assert "2 of at least 9 nodes were connected" in done.stdout + done.stderr
