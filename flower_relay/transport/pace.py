"""How long an answer is waited for: by what is usual, and by what the others of a batch took.

`Pace` has the deadline of one message. `Patience` has that of a batch of which enough are back:
the rest have some times as long as those took, and then they are late.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median_low
from typing import Protocol

from flwr.serverapp import Grid

from ..rules.roles import MOST_TURNS_TAKEN

__all__ = ["LEAST_PATIENCE", "SLOWER", "STILL", "Clock", "Pace", "Patience", "clock_of"]

_TIMES = 2.0
"""Times what two thirds of a round took, after which the round of several lanes goes on.

Of 1.25, 1.5, 2 and 3 the shortest that costs devices nothing which are all alike
(docs/appendix/wave.md).
"""

LEAST_PATIENCE = 10.0
"""Seconds that everybody has, however quick the others are."""

_LEAST_DEADLINE, _MEDIANS, _ENOUGH, _KEPT = 30.0, 10.0, 5, 40
"""A deadline by what was seen: seconds at least, how many medians, of how many answers."""

SLOWER = 3.0
"""Times the usual deadline for a node that missed it."""

_A_TURN = 3.0
"""Medians of time that use up a further turn."""


class Clock(Protocol):
    """What a grid's nodes are late by."""

    until: float
    """The moment up to which answers are waited for: a clock that is simulated goes no further."""

    @property
    def now(self) -> float:
        """Seconds so far."""


class _WallClock:
    """The seconds that pass here."""

    until = math.inf

    @property
    def now(self) -> float:
        return time.monotonic()


class _StillClock:
    """No seconds pass: who is asked answers, and nobody is later than another."""

    until = math.inf

    @property
    def now(self) -> float:
        return 0.0


STILL: Clock = _StillClock()


def clock_of(grid: Grid) -> Clock:
    """The clock by which a grid's nodes are late: its own where it has one."""
    found: Clock = getattr(grid, "clock", None) or _WallClock()
    return found


@dataclass
class Patience:
    """How long the rest of a batch is waited for, once enough of it are back.

    Attributes
    ----------
    enough : callable
        Whether enough are back. It is asked when something is.
    usual : float
        Seconds after which enough were back of another batch, where this one is too small to
        tell; else infinity.
    until : float
        The moment at which those that are not back are late; infinity while that is not known.
    """

    enough: Callable[[], bool]
    usual: float = math.inf
    until: float = math.inf
    _began: float = math.nan

    def begin(self, now: float) -> None:
        """A message is sent; the first counts."""
        if math.isnan(self._began):
            self._began = now
            self._wait(self.usual)

    def look(self, now: float) -> float | None:
        """Something is back. Once enough are, the rest have as long again, at least ten seconds.

        Returns
        -------
        float or None
            Seconds that this took, when it is the one by which enough are back.
        """
        if math.isfinite(self.until) or not self.enough():
            return None
        self._wait(now - self._began)
        return now - self._began

    def _wait(self, took: float) -> None:
        self.until = self._began + max(LEAST_PATIENCE, _TIMES * took)


@dataclass
class Pace:
    """How long answers take of late, by the kind of what was asked, and the deadline for it.

    A participant that answers just before its deadline at every turn would else stretch
    every round to the user's timeout. A node that missed a deadline may be an honest device
    that is slow. It has three times as long from then on, until it answers as quickly as is usual,
    or misses that as well.
    """

    _seconds: dict[str, deque[float]] = field(default_factory=dict)
    _slow: set[tuple[str, int]] = field(default_factory=set)

    def note(self, kind: str, node: int, seconds: float) -> None:
        """An answer came after so many seconds."""
        if seconds <= self._most(kind):
            self._slow.discard((kind, node))
        self._seconds.setdefault(kind, deque(maxlen=_KEPT)).append(seconds)

    def miss(self, kind: str, node: int) -> None:
        """No answer came before the deadline; who has had three times as long has no more of it."""
        self._slow ^= {(kind, node)}

    def deadline(self, kind: str, node: int, timeout: float) -> float:
        """Seconds for a node's answer: ten times the median, at least 30, at most the timeout.

        Of one answer fifty times, of two twenty-five, and so on until there are five; of none
        the timeout.
        """
        slower = SLOWER if (kind, node) in self._slow else 1.0
        return min(timeout, slower * self._most(kind))

    def _most(self, kind: str) -> float:
        return max(_LEAST_DEADLINE, _MEDIANS * self._usual(kind))

    def _usual(self, kind: str) -> float:
        """Seconds that are usual, with room while few have answered; infinity before anybody has.

        Of an even number the lower of the two in the middle: of the first two answers one may be
        meant to stretch what follows.
        """
        seen = self._seconds.get(kind)
        return median_low(seen) * max(1.0, _ENOUGH / len(seen)) if seen else math.inf

    def turns_taken(self, kind: str, seconds: float) -> int:
        """How many turns somebody used up who took so long: one for three times the median.

        None below ten seconds; until five answers of the kind have come, there is more room.
        """
        if seconds < LEAST_PATIENCE:
            return 0
        return min(MOST_TURNS_TAKEN, int(seconds / (_A_TURN * self._usual(kind))))
