"""Progress for people: a live display on a terminal, a log line a round everywhere else.

It is what a strategy shows unless it is given observers of its own. Lines go through Flower's
logger, so that they stand among its own, under `flwr run` as well.
"""

from __future__ import annotations

import atexit
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from logging import INFO

from flwr.common import log
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from .record import RelayObserver, RoundRow, RunRecord

__all__ = ["ProgressDisplay", "describe"]

_SHORT = 12
"""Digits of a model's name that tell it from the run's others."""


class ProgressDisplay(RelayObserver):
    """Shows round, hops, verdicts, the champion's utility, pace and time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show it, if that is a terminal; standard output by default.
    clock : callable
        Seconds, for the pace.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._clock = clock
        self._terminal: Console | None = None
        self._progress: Progress | None = None
        self._open = ExitStack()
        self._began = 0.0

    def on_start(self, record: RunRecord) -> None:
        """Show what begins."""
        self.close()
        self._began = self._clock()
        # Asked now, not when the strategy was made: who redirects the output has done so.
        console = self._console or Console()
        live = console.is_terminal and not console.is_dumb_terminal
        self._terminal = console if live else None
        self._say(f"Relay of {len(record.participants)} participants, {record.settings.topology}.")
        if self._terminal is not None:
            self._show_live(self._terminal)

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Show how far it is."""
        seconds = self._clock() - self._began
        if self._progress is None:
            self._say(describe(record, row, seconds))
            return
        text = "\n".join(_parts(record, row, seconds, going=True))
        done = _share_done(record, row)
        self._progress.update(self._progress.task_ids[0], completed=done, description=text)

    def on_end(self, record: RunRecord) -> None:
        """Clear the live display away and leave the last state."""
        self.close()
        said = "no round was run"
        if record.rounds:
            seconds = self._clock() - self._began
            said = ", ".join(_parts(record, record.rounds[-1], seconds, going=False))
        self._say(f"Relay over: {said}")

    def close(self) -> None:
        """Give the terminal back; harmless at any time, and done by itself at the end."""
        self._open.close()
        atexit.unregister(self.close)
        self._progress = None

    def _say(self, text: str) -> None:
        if self._terminal is None:
            log(INFO, "%s", text)
        else:
            self._terminal.print(text, soft_wrap=True, highlight=False, markup=False)

    def _show_live(self, console: Console) -> None:
        self._progress = self._open.enter_context(
            Progress(
                SpinnerColumn(), BarColumn(bar_width=16), TextColumn("{task.description}"),
                console=console, transient=True, redirect_stderr=sys.stderr.isatty(),
            )
        )  # fmt: skip
        self._open.enter_context(_log_above())
        self._progress.add_task("waiting for the first round", total=1.0)
        # A run that dies never gets to on_end, and must not leave the cursor hidden.
        atexit.register(self.close)


@contextmanager
def _log_above() -> Iterator[None]:
    """Have the log's lines appear above the display, not through it, on the same terminal."""
    shown = [
        (handler, handler.stream)
        for handler in logging.getLogger("flwr").handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__
    ]
    for handler, _ in shown:
        handler.setStream(sys.stderr)  # rich has put its own there, if it is a terminal
    try:
        yield
    finally:
        for handler, stream in shown:
            handler.setStream(stream)


def describe(record: RunRecord, row: RoundRow, seconds: float) -> str:
    """One line about a round and what is left of the run.

    Parameters
    ----------
    record : RunRecord
        For how long the run may be.
    row : RoundRow
        The round to describe.
    seconds : float
        Since the run began.

    Returns
    -------
    str
        Without a line break.
    """
    took = "" if math.isnan(row.seconds) else f", {row.seconds:.1f} s"
    parts = ", ".join(_parts(record, row, seconds, going=True))
    return f"{parts}, champion {row.champion[:_SHORT]}{took}"


def _parts(record: RunRecord, row: RoundRow, seconds: float, *, going: bool) -> tuple[str, str]:
    """How far and how fast, and how well: two halves that fit a narrow terminal."""
    budget, rounds = record.settings.budget, record.num_rounds
    # A round has at least one hop: with a smaller budget the rounds are no limit to show.
    of_rounds = "" if budget is not None and budget <= rounds else f"/{rounds}"
    of_hops = "" if budget is None else f"/{budget}"
    pace = f"{row.hops / seconds:.1f} hops/s" if seconds > 0 else "- hops/s"
    done = _share_done(record, row)
    time_ = f"in {_duration(seconds)}"
    if going:
        time_ = f"{_duration(seconds * (1 - done) / done)} left" if done > 0 else "- left"
    utility = "-" if row.utility is None else f"{row.utility:.3f}"
    return (
        f"round {row.round}{of_rounds}, {row.hops}{of_hops} hops, {pace}, {time_}",
        f"{row.accepted} accepted, {row.rejected} rejected, utility {utility}",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _share_done(record: RunRecord, row: RoundRow) -> float:
    budget = record.settings.budget
    of_rounds = row.round / max(1, record.num_rounds)
    return min(1.0, of_rounds if budget is None else max(of_rounds, row.hops / budget))
