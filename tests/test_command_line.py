"""`flower-relay`: no argument ends in a traceback, and Ctrl-C says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flower_relay.cli import main
from flower_relay.comparison.files import read_results
from flower_relay.destinations import check_file, check_folder
from flower_relay.errors import ConfigurationError

ROOT = Path(__file__).parents[1]

WRITE = [
    "compare run --strategy relay --seeds 1 --no-tune --out",
    "compare tune --out",
    "economy run --rounds 1000000000 --out",
    "economy study --rounds 1000000000 --out",
    "economy sweep --vary participants=20 --rounds 1000000000 --out",
]
READ = [
    "compare tables",
    "economy replay",
    "economy study --rounds 1000000000 --reference",
    "ledger verify",
    "ledger show",
    "ledger balance",
    "ledger lineage",
    "ledger export --out exported",
    "ledger check-receipt",
]


def refusal(
    words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a command is refused with; that it is, and takes no time, is looked at, too."""
    monkeypatch.setattr("signal.signal", lambda kind, handler: None)
    monkeypatch.setattr(sys, "argv", ["flower-relay", *words.split(), str(place)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    return said


@pytest.mark.parametrize("words", WRITE)
def test_results_that_could_not_be_written_are_never_worked_for(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        said = refusal(words, place, monkeypatch, capsys)
        assert f"out = {str(place)!r}: expected a folder" in said and f"{str(file)!r} is" in said
    for place in (Path("/proc/none"), tmp_path / ("x" * 300)):
        assert "it cannot be written to (" in refusal(words, place, monkeypatch, capsys)


@pytest.mark.parametrize("words", READ)
def test_what_is_not_there_or_is_something_else_is_a_message(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name in ("file", "file/below", "folder", "none"):
        assert name in refusal(words, tmp_path / name, monkeypatch, capsys)


def test_a_file_that_cannot_be_written_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "/somewhere/rounds.parquet")

    monkeypatch.setattr("flower_relay.cli.app", full)
    said = refusal("economy run --out", tmp_path, monkeypatch, capsys)
    assert said.startswith("Error: /somewhere/rounds.parquet: No space left on device.")


def test_a_folder_for_results_is_made_and_holds_nothing_by_that(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    check_file(tmp_path / "c" / "picture.svg")
    assert list((tmp_path / "c").iterdir()) == []


def test_a_folder_where_a_file_is_to_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"svg = .*a file to write, found that a folder"):
        check_file(tmp_path, "svg")


@pytest.mark.parametrize("plan", ["{}", "[]", "5", "", "{"])
@pytest.mark.parametrize("cell", ["5", "[]", "{}", '{"schema": 1}', "", "\xff"])
def test_a_comparison_whose_files_are_damaged_is_refused_by_name(
    plan: str, cell: str, tmp_path: Path
) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "plan.json").write_text(plan)
    (tmp_path / "cells" / "a.json").write_bytes(cell.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"\.json"):
        read_results(tmp_path)


def stopped(tmp_path: Path, begun: Path, *words: str) -> str:
    """What a command says that is stopped by Ctrl-C once it has made a file or folder."""
    output = tmp_path / "output.txt"
    command = [sys.executable, "-m", "flower_relay.cli", *words]
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # as a shell may have it
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )  # fmt: skip
    signal.signal(signal.SIGINT, ignored)
    try:
        end = time.monotonic() + 120
        while not begun.exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    said = output.read_text()
    assert "Stopping ..." in said and "Traceback" not in said
    return said


def test_ctrl_c_says_that_it_stops_and_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    words = ["economy", "run", "--rounds", "1000000000", "--out", str(out)]
    said = stopped(tmp_path, out, *words)
    assert f"To begin anew: flower-relay {' '.join(words[:5])} '{out}'" in said


def test_a_comparison_that_is_stopped_goes_on_by_the_same_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["compare", "run", "--strategy", "relay", "--attack", "none", "--budget", "100000"]
    words += ["--no-tune", "--workers", "1", "--seeds", "1", "--out", str(out)]
    assert f"To go on from there: flower-relay {' '.join(words)}" in stopped(
        tmp_path, out / "plan.json", *words
    )
