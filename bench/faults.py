"""What a fleet survives: faults made on purpose, with real processes.

    python bench/faults.py --repeat 3
    python bench/faults.py --only killed cut

In each scenario a relay runs on a secured fleet while something goes wrong; it has to end, and
its ledger has to verify, which includes that no coin is lost or made. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from fleet import Fleet, verify  # noqa: E402

from flower_relay.superlink import end_tidily_on_signals, run_app  # noqa: E402

_COMES_BACK_AFTER = 65.0
"""Seconds after which a SuperLink lets a SuperNode that vanished connect again."""

_TIMEOUT = "timeout=120.0"

_LOST = ("left", "timeout", "error", "mis-shaped", "unsigned")


class Saboteur(threading.Thread):
    """Waits until a node is about a kind of message, and does something to it."""

    def __init__(self, fleet: Fleet, act: Callable[[Saboteur, int], None], after: str) -> None:
        super().__init__(daemon=True)
        self.fleet, self.acted = fleet, threading.Event()
        self.over = threading.Event()
        self._act, self._after = act, after

    def run(self) -> None:
        """Wait for the moment, and act."""
        while not self.over.wait(0.05):
            for number in range(self.fleet.num_nodes):
                if self._busy(number):
                    self.acted.set()
                    self._act(self, number)
                    return

    def _busy(self, number: int) -> bool:
        """Whether a node's last word in its log is that it received such a message."""
        log = self.fleet.folder / f"node-{number}" / "supernode.log"
        said = log.read_text(errors="replace")
        return said.rfind(f"Receiving: {self._after} message") > said.rfind("Sending: ")

    def kill(self, number: int) -> None:
        """End a SuperNode and all that it started, at once."""
        os.killpg(self.fleet.supernodes[number].pid, signal.SIGKILL)
        self.fleet.supernodes[number].wait()

    def restart(self, number: int) -> None:
        """Start a SuperNode again, until the SuperLink takes it."""
        while not self.over.wait(5):
            process = self.fleet.supernodes[number] = self.fleet.start_node(number)
            if self.over.wait(10) or process.poll() is None:
                return


def killed(saboteur: Saboteur, number: int) -> None:
    """The node is killed while it trains, and comes back when it may."""
    saboteur.kill(number)
    if not saboteur.over.wait(_COMES_BACK_AFTER):
        saboteur.restart(number)


def gone(saboteur: Saboteur, number: int) -> None:
    """The node is killed while it trains, and never comes back."""
    saboteur.kill(number)


def cut(saboteur: Saboteur, number: int) -> None:
    """The node hears and says nothing for a minute, as with its network cut."""
    os.killpg(saboteur.fleet.supernodes[number].pid, signal.SIGSTOP)
    saboteur.over.wait(60)
    os.killpg(saboteur.fleet.supernodes[number].pid, signal.SIGCONT)


SCENARIOS: dict[str, tuple[str, Callable[[Saboteur, int], None], str, str]] = {
    "killed": ("node killed while training, back after a minute", killed, "train", ""),
    "gone": ("node killed while training, never back", gone, "train", ""),
    "examiner": ("node killed while examining, never back", gone, "evaluate", ""),
    "cut": ("network cut for a minute while training", cut, "train", ""),
    "late": (
        "a node that answers after its deadline, each time",
        lambda saboteur, number: None,
        "train",
        'hostile="hang:45" hostile-share=0.26 timeout=30.0',
    ),
}


def play(scenario: str, nodes: int, config: str) -> tuple[bool, bool, Counter[str]]:
    """One run with something going wrong: whether it finished, verifies, and its outcomes."""
    _, act, after, extra = SCENARIOS[scenario]
    with tempfile.TemporaryDirectory(prefix="relay-faults-") as runs, Fleet(nodes) as fleet:
        saboteur = Saboteur(fleet, act, after)
        saboteur.start()
        where = f'runs-dir="{runs}" run-name="{scenario}" min-available-nodes={nodes}'
        began = time.monotonic()
        problem = run_app(fleet, None, f"{where} {config} {extra or _TIMEOUT}")
        saboteur.over.set()
        saboteur.join(30)
        print(f"{scenario}: {problem or 'finished'} after {time.monotonic() - began:.0f} s")
        folder = Path(runs) / scenario
        finished = problem is None and saboteur.acted.is_set()
        verified = (folder / "ledger.db").exists() and verify(folder)
        result = folder / "result.json"
        hops = json.loads(result.read_text())["hops"] if result.exists() else []
        return finished, verified, Counter(hop["outcome"] for hop in hops)


def main() -> int:
    """Play the scenarios, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--config", default='budget=8 max-leg=2 partition="iid"')
    options = parser.parse_args()
    end_tidily_on_signals()
    rows: list[str] = []
    failed = False
    for scenario in options.only:
        played = [play(scenario, options.nodes, options.config) for _ in range(options.repeat)]
        outcomes = sum((row[2] for row in played), Counter[str]())
        lost = sum(outcomes[name] for name in _LOST)
        finished, verified = (sum(row[place] for row in played) for place in (0, 1))
        failed |= not finished == verified == options.repeat
        rows.append(
            f"| {SCENARIOS[scenario][0]} | {options.repeat} | {finished} | {verified} | "
            f"{lost} of {outcomes.total()} | {dict(outcomes)} |"
        )
    print("\n| scenario | repetitions | finished | verified | hops lost | outcomes |")
    print("|---|---|---|---|---|---|", *rows, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
