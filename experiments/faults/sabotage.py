"""Faults for `faults.py`: what each does to a fleet of real processes, and when.

A saboteur waits until a node is at work, which it reads in the node's own log, and then kills
it, tampers with its wire or its clock, or kills the SuperLink.
"""

from __future__ import annotations

import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from experiments.faults.wire import ANNOUNCED, DELIVERED, TamperedFleet, Wire
from scripts.fleet import Fleet

__all__ = [
    "Saboteur", "ahead", "behind", "cut", "flapping", "killed", "killed_announcing",
    "killed_delivering", "only_hostile", "superlink_killed", "twice",
]  # fmt: skip

_COMES_BACK_AFTER = 65.0
"""Seconds after which a SuperLink lets a SuperNode that vanished connect again."""

_CUT, _AWAY = 60.0, 10.0
"""Seconds for which a network is cut, and for which a killed SuperLink is away."""

_FLAPPING = 0.3
_BEHIND, _AHEAD = -240.0, 60.0
"""Seconds. Flower 1.41 refuses a SuperNode that is more than 5 ahead or 305 behind."""


class _Over(Exception):
    """The run has ended."""


class Saboteur(threading.Thread):
    """Does something to a fleet while a run is under way.

    Parameters
    ----------
    fleet : Fleet
    act : callable
        What it does.
    hop : int
        At which train message of the run it does so, counted from 1.
    """

    def __init__(self, fleet: Fleet, act: Callable[[Saboteur], None], hop: int) -> None:
        super().__init__(daemon=True)
        self.fleet, self.hop = fleet, hop
        self.acted, self.over = threading.Event(), threading.Event()
        self._act = act

    def run(self) -> None:
        """Act, and leave every wire whole."""
        try:
            self._act(self)
        except _Over:
            pass
        finally:
            for wire in getattr(self.fleet, "wires", []):
                wire.whole.set()

    def tell(self, what: str) -> None:
        """Note that it was done."""
        self.acted.set()
        print(f"  {time.strftime('%H:%M:%S')} {what}", flush=True)

    def pause(self, seconds: float) -> None:
        """Wait, unless the run ends."""
        if self.over.wait(seconds):
            raise _Over

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        while not happened():
            self.pause(0.05)

    def busy(self, kind: str = "train") -> int:
        """A node that is at a message of a kind, once the hop has come."""
        while True:
            self.pause(0.05)
            logs = [self._log(number) for number in range(self.fleet.num_nodes)]
            if sum(said.count("Receiving: train message") for said in logs) < self.hop:
                continue
            for number, said in enumerate(logs):
                if said.rfind(f"Receiving: {kind} message") > said.rfind("Sending: "):
                    return number

    def _log(self, number: int) -> str:
        log = self.fleet.folder / f"node-{number}" / "supernode.log"
        return log.read_text(errors="replace")

    def kill(self, number: int) -> None:
        """End a SuperNode and all that it started, at once."""
        os.killpg(self.fleet.supernodes[number].pid, signal.SIGKILL)
        self.fleet.supernodes[number].wait()
        self.tell(f"node {number} killed")

    def come_back(self, number: int) -> None:
        """Start a SuperNode again when it may, until the SuperLink takes it."""
        self.pause(_COMES_BACK_AFTER)
        while True:
            process = self.fleet.supernodes[number] = self.fleet.start_node(number)
            self.pause(10)
            if process.poll() is None:
                self.tell(f"node {number} is back")
                return


def killed(saboteur: Saboteur, kind: str = "train", back: bool = True) -> None:
    """A node is killed at its work, and comes back when it may, or never."""
    number = saboteur.busy(kind)
    saboteur.kill(number)
    if back:
        saboteur.come_back(number)


def killed_announcing(saboteur: Saboteur) -> None:
    """A node is killed when its reply is announced, and none of it delivered."""
    number = saboteur.busy()

    def lose(path: str, body: bytes) -> bool:
        if path == ANNOUNCED:
            saboteur.kill(number)
        return path == ANNOUNCED

    _wire(saboteur, number).loses = lose
    saboteur.until(saboteur.acted.is_set)
    _wire(saboteur, number).loses = lambda path, body: False
    saboteur.come_back(number)


def killed_delivering(saboteur: Saboteur) -> None:
    """A node is killed when its reply is delivered, and not yet acknowledged.

    SuperNodes deliver two parts at a time: while the answer to the first is held back, the
    others go through.
    """
    number, dead = saboteur.busy(), threading.Event()
    delivered: list[float] = []

    def lose(path: str, body: bytes) -> bool:
        if path != DELIVERED:
            return False
        delivered.append(time.monotonic())
        if len(delivered) > 1:
            return False
        dead.wait()
        return True

    wire = _wire(saboteur, number)
    wire.loses = lose
    saboteur.until(lambda: bool(delivered) and time.monotonic() - delivered[-1] > 2)
    saboteur.kill(number)
    saboteur.tell(f"it had delivered {len(delivered)} parts")
    dead.set()
    wire.loses = lambda path, body: False
    saboteur.come_back(number)


def cut(saboteur: Saboteur) -> None:
    """Nothing gets from a node that trains to the SuperLink, or back, for a minute."""
    number = saboteur.busy()
    _wire(saboteur, number).whole.clear()
    saboteur.tell(f"node {number} cut off")
    saboteur.pause(_CUT)
    _wire(saboteur, number).whole.set()
    saboteur.tell(f"node {number} connected")


def flapping(saboteur: Saboteur) -> None:
    """Three in ten nodes are cut off half of the time, for seconds on end."""
    saboteur.busy()
    rng = random.Random(saboteur.hop)
    shaky = range(math.ceil(_FLAPPING * saboteur.fleet.num_nodes))
    while True:
        for number in shaky:
            whole = _wire(saboteur, number).whole
            before = whole.is_set()
            (whole.set if rng.random() < 0.5 else whole.clear)()
            if before != whole.is_set():
                saboteur.tell(f"node {number} {'cut off' if before else 'connected'}")
        saboteur.pause(rng.uniform(5, 15))


def twice(saboteur: Saboteur) -> None:
    """Whatever a node answers is delivered twice, all the time."""
    for number in range(saboteur.fleet.num_nodes):
        _wire(saboteur, number).twice = True
    saboteur.busy()
    saboteur.tell("answers are delivered twice")


def behind(saboteur: Saboteur) -> None:
    """One node's clock is four minutes behind, all the time."""
    _tampered(saboteur).set_clock(0, _BEHIND)
    saboteur.tell("node 0 lives in the past")


def ahead(saboteur: Saboteur) -> None:
    """A node's clock leaps ahead while it trains: it is refused, and put right."""
    number = saboteur.busy()
    _tampered(saboteur).set_clock(number, _AHEAD)
    process = saboteur.fleet.supernodes[number]
    saboteur.until(lambda: process.poll() is not None)
    saboteur.tell(f"node {number} leapt ahead, and was refused")
    _tampered(saboteur).set_clock(number, 0.0)
    saboteur.come_back(number)


def superlink_killed(saboteur: Saboteur) -> None:
    """The SuperLink is killed while a node trains, with all its children, and started again."""
    saboteur.busy()
    process = saboteur.fleet.process
    assert process is not None
    for pid in [process.pid, *_descendants(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    saboteur.tell("SuperLink killed")
    time.sleep(_AWAY)  # even if the run is over: what is still to come needs a SuperLink
    saboteur.fleet.launch()
    saboteur.tell("SuperLink back")


def _descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(entry.parent.name)
            found += [child, *_descendants(child)]
    return found


def only_hostile(saboteur: Saboteur) -> None:
    """The run config says it all."""
    saboteur.busy()
    saboteur.acted.set()


def _tampered(saboteur: Saboteur) -> TamperedFleet:
    assert isinstance(saboteur.fleet, TamperedFleet)
    return saboteur.fleet


def _wire(saboteur: Saboteur, number: int) -> Wire:
    return _tampered(saboteur).wires[number]
