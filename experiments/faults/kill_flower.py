"""The part of `kill.py` that goes through `flwr run`: kills the server app's process."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments import ROOT
from experiments.faults.counting import Count, Ledger
from flower_relay.transport.superlink import PrivateSuperLink, end_tidily_on_signals, run_app

__all__ = ["kill_in_flower"]

_NODES = 8
_CLIENTS = 'seed=1 partition="iid"'
_CONFIG = f"{_CLIENTS} rounds=20 max-leg=3 examiners=4"


def kill_in_flower(kills: int, seed: int, runs: Path) -> bool:
    """Kill the server app's process in several runs, and resume each in another run."""
    runs.mkdir()
    end_tidily_on_signals()
    rng, count, where = random.Random(seed), Count(), f'runs-dir="{runs}"'
    with PrivateSuperLink(ROOT) as link:
        if problem := run_app(link, _NODES, f'{where} {_CONFIG} run-name="whole"'):
            raise SystemExit(f"the uninterrupted run failed: {problem}")
        whole, length = Ledger.of(runs / "whole"), _length(runs / "whole")
        print(f"flwr run: {len(whole.blocks)} blocks, {whole.hops} hops, {length:.1f} s.")
        for number in range(1, kills + 1):
            folder = runs / f"killed-{number}"
            with _killed_after(rng.uniform(0, length), folder, str(link.folder)) as killed:
                run_app(link, _NODES, f'{where} {_CONFIG} run-name="{folder.name}"')
            if not killed.is_set():
                print(f"  {folder.name} ended before it was killed", file=sys.stderr)
                continue
            died, written = Ledger.of(folder), len(_journal(folder))
            count.died(died)
            resumed = f'{where} {_CLIENTS} resume="{folder.name}"'
            if problem := run_app(link, _NODES, resumed):
                print(f"  {folder.name} could not be resumed: {problem}", file=sys.stderr)
                continue
            count.judge(folder, died, whole, _trained(_journal(folder)[written:]))
    return count.tell("flwr run") and count.kills > 0


def _length(folder: Path) -> float:
    """Seconds from a run's genesis block to its last round; before it, clients are started."""
    rounds = [line for line in map(json.loads, _journal(folder)) if "totals" in line]
    return float(rounds[-1]["totals"]["seconds"])


def _journal(folder: Path) -> list[str]:
    path = folder / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def _trained(lines: list[str]) -> int:
    """Hops that a process had trained: those that it wrote a time for."""
    rounds = [json.loads(line) for line in lines]
    return sum(each is not None for line in rounds for each in line.get("hop_seconds", []))


@contextmanager
def _killed_after(delay: float, folder: Path, mark: str) -> Iterator[threading.Event]:
    """Kill a run's server app so many seconds after its genesis block."""
    killed, over = threading.Event(), threading.Event()

    def kill() -> None:
        while not _journal(folder):
            if over.wait(0.02):
                return
        if not over.wait(delay):
            for process in _server_apps(mark):
                os.kill(process, signal.SIGKILL)
                killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _server_apps(mark: str) -> list[int]:
    """Processes of server apps that the SuperLink with that folder started."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, held = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"flwr-simulation" in command and mark.encode() in held:
            found.append(int(entry.name))
    return found
