"""How much memory a process has, and in which phase of a run it had the most.

Ray's object store lies in memory that processes share: pages of it count for whoever has
touched them, and stay with it. So what a process has for itself and what it shares are told
apart: messages on their way to simulated nodes are in both.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flower_relay import MemoryChain
from flower_relay.mechanism.blocks import Block

__all__ = ["Watch", "WatchedChain"]

_EVERY = 0.005
"""Seconds between two looks."""

_AFTER = {
    "Genesis": "deposit", "Admission": "deposit", "Deposit": "legs", "Commitment": "tests",
    "Testing": "settlement", "Settlement": "publication", "Publication": "deposit",
}  # fmt: skip
"""By the last block on the record: the phase that a run is in."""


class Watch:
    """Looks at this process's memory, in a thread of its own, while its block is run.

    Parameters
    ----------
    unit : int
        Bytes that figures are told in: those of a model.

    Attributes
    ----------
    before : int
        Bytes that the process had when the watch began.
    """

    def __init__(self, unit: int) -> None:
        self._unit, self._over = unit, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._most: dict[str, list[float]] = {}
        self._took: dict[str, list[float]] = {}
        _begin_anew()
        self._own, self._shared, self.before = _memory()
        self._phase, self._since = "", self._now()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.phase = ""
        self._over.set()
        self._thread.join()

    @property
    def phase(self) -> str:
        """The phase that what is seen belongs to."""
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._note()
        _begin_anew()
        now = self._now()
        took = self._took.setdefault(self._phase, [0.0, 0.0])
        for place, (end, start) in enumerate(zip(now, self._since, strict=True)):
            took[place] += end - start
        self._phase, self._since = phase, now

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            self._note()

    def _note(self) -> None:
        own, shared, peak = _memory()
        found = (own - self._own, shared - self._shared, peak - self.before)
        most = self._most.setdefault(self._phase, [0.0, 0.0, 0.0])
        most[:] = map(max, most, (each / self._unit for each in found))

    def highest(self) -> float:
        """The most so far, own and shared together: the system's own figure, not one looked up."""
        self._note()
        return max(most[2] for most in list(self._most.values()))

    def seconds(self, phase: str) -> float:
        """How long a phase took in all."""
        return self._took[phase][0]

    def table(self) -> dict[str, Any]:
        """Phase by phase: models at the most, and seconds."""
        found: dict[str, Any] = {}
        for phase, (own, shared, total) in self._most.items():
            if not phase:
                continue
            wall, processor = self._took[phase]
            found |= {
                f"{phase}: own memory at the most, models": own,
                f"{phase}: shared, models": shared,
                f"{phase}: peak of both, models": total,
                f"{phase}: s": wall,
                f"{phase}: processor s of this process": processor,
            }
        return found


class WatchedChain(MemoryChain):
    """A chain by whose last block a watch knows the phase."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def append(self, block: Block) -> str:
        """Add a block: another phase begins."""
        self._watch.phase = _AFTER[type(block).__name__]
        return super().append(block)


def _memory() -> tuple[int, int, int]:
    """Bytes that this process has for itself, shares with others, and had at its peak."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("RssAnon", "RssShmem", "VmHWM"):
            found[name] = int(rest.split()[0]) * 1024
    return found["RssAnon"], found["RssShmem"], found["VmHWM"]


def _begin_anew() -> None:
    """Have the system forget the peak so far, where it lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
