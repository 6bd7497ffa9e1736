"""`scripts/flower.py` takes everything away again, whenever it is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.flower, pytest.mark.slow]


def processes_with(mark: str) -> list[dict[bytes, bytes]]:
    """Environments of the processes that carry a mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            held = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in held:
            found.append(dict(part.split(b"=", 1) for part in held.split(b"\0") if b"=" in part))
    return found


def homes(mark: str) -> set[Path]:
    """Folders of the SuperLinks that carry a mark."""
    held = [environment.get(b"FLWR_HOME") for environment in processes_with(mark)]
    return {Path(os.fsdecode(home)).parent for home in held if home}


def wait_until(there: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 90
    while not there():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["starting", "running"])
def test_a_signal_ends_the_run_and_leaves_nothing(
    when: str, kind: signal.Signals, tmp_path: Path
) -> None:
    output = tmp_path / "output.txt"
    mark = f"relay-test-{tmp_path}"
    command = [sys.executable, "scripts/flower.py", "--nodes", "4", "--runs-dir", str(tmp_path)]
    # A path this long would break Ray's sockets, and a shell may have SIGINT ignored.
    environment = {**os.environ, "FLOWER_RELAY_TEST": mark, "TMPDIR": str(tmp_path)}
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, 'strategy="cyclic" rounds=2000'],
            cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    signal.signal(signal.SIGINT, ignored)
    try:
        wait_until(lambda: homes(mark), process)
        if when == "running":
            wait_until(lambda: b"Relay of 4 participants" in output.read_bytes(), process)
        folders = homes(mark)
        process.send_signal(kind)
        assert process.wait(60) == 128 + kind
    finally:
        process.terminate()  # a failed test cleans up, too
        process.wait(60)
    assert processes_with(mark) == []
    assert folders and not any(folder.exists() for folder in folders)
