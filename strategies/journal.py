"""What the ledger does not hold, kept for the report: times, traffic and test accuracy.

Blocks hold no clock times, so a run's figures are written beside its ledger, a line as soon
as each is known. A run that is resumed reads its own past here; what a crash kept from being
written stays unknown (a time) or uncounted (the traffic of the leg that was lost).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, fields, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from flower_relay import RelayObserver, RoundRow, RunRecord

__all__ = ["Journal", "Totals"]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a run has cost so far, the server's evaluations included."""

    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    bytes_hops: int = 0
    bytes_tests: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0

    @classmethod
    def of(cls, record: RunRecord) -> Totals:
        """The totals of the process that a record is of."""
        return cls(**{item.name: getattr(record, item.name) for item in fields(cls)})

    def __add__(self, other: Totals) -> Totals:
        mine, its = asdict(self), asdict(other)
        return Totals(**{name: mine[name] + its[name] for name in mine})


class Journal(RelayObserver):
    """A file of JSON Lines that a run's processes write one after the other.

    Parameters
    ----------
    path : pathlib.Path
        Read where it is there already.

    Attributes
    ----------
    before : Totals
        Of the processes before this one.
    tests : dict of round to metrics
        The server's own evaluations, those of earlier processes included.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.monotonic()
        self.before = Totals()
        self.tests: dict[int, dict[str, Any]] = {}
        self._rounds: dict[int, dict[str, Any]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            self._recall(line)
        if text and not text.endswith("\n"):
            self._write("")

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Write a settled round's times and the totals up to it."""
        newest = list(takewhile(lambda hop: hop.round == row.round, reversed(record.hops)))
        hops = [_known(hop.seconds) for hop in reversed(newest)]
        totals = asdict(self.before + Totals.of(record))
        figures = {"seconds": _known(row.seconds), "hop_seconds": hops, "totals": totals}
        self._write(json.dumps({"round": row.round, **figures}))

    def tested(self, number: int, metrics: dict[str, Any]) -> None:
        """Write what the server's own evaluation of a champion found, and when in this process."""
        self.tests[number] = metrics
        seconds = round(time.monotonic() - self._began, 3)
        self._write(json.dumps({"round": number, "test": metrics, "seconds": seconds}))

    def complete(self, record: RunRecord) -> None:
        """Put what earlier processes measured into the record of a run that was resumed."""
        totals = self.before + Totals.of(record)
        for name, value in asdict(totals).items():
            setattr(record, name, value)
        for index, row in enumerate(record.rounds):
            if row.round in self._rounds:
                seconds = _number(self._rounds[row.round]["seconds"])
                record.rounds[index] = replace(row, seconds=seconds)
        times = {number: iter(line["hop_seconds"]) for number, line in self._rounds.items()}
        for index, hop in enumerate(record.hops):
            if hop.round in times:
                record.hops[index] = replace(hop, seconds=_number(next(times[hop.round], None)))

    def _recall(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if "test" in entry:
                self.tests[int(entry["round"])] = dict(entry["test"])
            else:
                before = Totals(**entry["totals"])
                _ = entry["seconds"], iter(entry["hop_seconds"])
                self._rounds[int(entry["round"])] = entry
                self.before = before
        except (ValueError, TypeError, KeyError, RecursionError):
            return  # cut short by a crash; what it told stays unknown

    def _write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _known(seconds: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(seconds) else seconds


def _number(seconds: float | None) -> float:
    return math.nan if seconds is None else seconds
