"""Progress for people: a live line on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from .record import RelayObserver, RoundRow, RunRecord

__all__ = ["ProgressDisplay", "describe"]

_PAUSE = 2.0
"""Seconds between plain lines."""


class ProgressDisplay(RelayObserver):
    """Shows round, hops, verdicts, the champion's utility, pace and time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show it.
    clock : callable
        Seconds, for the pace.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console()
        self._clock = clock
        self._progress: Progress | None = None
        self._began = self._last = 0.0

    def on_start(self, record: RunRecord) -> None:
        """Show what begins."""
        self._began = self._last = self._clock()
        names = len(record.participants)
        self._console.print(f"Relay of {names} participants, {record.settings.topology}.")
        if self._console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(), BarColumn(), TextColumn("{task.description}"),
                console=self._console, transient=True,
            )  # fmt: skip
            self._progress.add_task("waiting for the first hop", total=1.0)
            self._progress.start()

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Show how far it is."""
        now = self._clock()
        done = _share_done(record, row)
        text = describe(record, row, now - self._began)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, description=text)
        elif now - self._last >= _PAUSE or done >= 1.0:
            self._last = now
            self._console.print(text, soft_wrap=True, highlight=False)

    def on_end(self, record: RunRecord) -> None:
        """Clear the live line away and leave the last state."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if record.rounds:
            text = describe(record, record.rounds[-1], self._clock() - self._began)
            self._console.print(f"Relay over: {text}", soft_wrap=True, highlight=False)


def describe(record: RunRecord, row: RoundRow, seconds: float) -> str:
    """One line about a round and what is left of the run."""
    utility = "–" if row.utility is None else f"{row.utility:.3f}"
    pace = row.hops / seconds if seconds > 0 else 0.0
    done = _share_done(record, row)
    left = seconds * (1 - done) / done if done > 0 else 0.0
    return (
        f"round {row.round}: {row.hops} hops, {row.accepted} accepted, {row.rejected} "
        f"rejected, utility {utility}, {pace:.1f} hops/s, about {left:.0f} s left"
    )


def _share_done(record: RunRecord, row: RoundRow) -> float:
    budget = record.settings.budget
    of_rounds = row.round / record.num_rounds
    return min(1.0, of_rounds if budget is None else max(of_rounds, row.hops / budget))
