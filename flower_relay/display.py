"""Progress for people: a live display on a terminal, plain lines everywhere else.

Under `flwr run --stream` standard output is no terminal; there a line appears every two
seconds or every twentieth of the run, whichever comes first, and always one at the end.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from .record import RelayObserver, RoundRow, RunRecord

__all__ = ["ProgressDisplay", "describe"]

_PAUSE = 2.0
"""Seconds between plain lines, unless a step of the run is done sooner."""

_STEP = 0.05
"""Share of the run that is worth a plain line however fast it went."""


class ProgressDisplay(RelayObserver):
    """Shows round, hops, verdicts, the champion's utility, pace and time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show it; standard output by default.
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
        self._shown = 0.0

    def on_start(self, record: RunRecord) -> None:
        """Show what begins."""
        self.close()
        self._began = self._last = self._clock()
        self._shown = 0.0
        names, topology = len(record.participants), record.settings.topology
        self._print(f"Relay of {names} participants, {topology}.")
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._open()

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Show how far it is."""
        now, done = self._clock(), _share_done(record, row)
        seconds = now - self._began
        if self._progress is not None:
            text = "\n".join(_parts(record, row, seconds, going=True))
            self._progress.update(self._progress.task_ids[0], completed=done, description=text)
        elif now - self._last >= _PAUSE or done - self._shown >= _STEP - 1e-9:
            self._last, self._shown = now, done
            self._print(describe(record, row, seconds))

    def on_end(self, record: RunRecord) -> None:
        """Clear the live display away and leave the last state."""
        self.close()
        if record.rounds:
            parts = _parts(record, record.rounds[-1], self._clock() - self._began, going=False)
            self._print("Relay over: " + ", ".join(parts))
        else:
            self._print("Relay over: no round was run")

    def close(self) -> None:
        """Give the terminal back; harmless at any time, and done by itself at the end."""
        if self._progress is not None:
            self._progress.stop()
            atexit.unregister(self._progress.stop)
            self._progress = None

    def _open(self) -> None:
        self._progress = Progress(
            SpinnerColumn(), BarColumn(bar_width=16), TextColumn("{task.description}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._progress.add_task("waiting for the first round", total=1.0)
        # A run that dies never gets to on_end, and must not leave the cursor hidden.
        atexit.register(self._progress.stop)
        self._progress.start()

    def _print(self, text: str) -> None:
        # The console flushes after every line, so that a pipe shows it at once.
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


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
    return ", ".join(_parts(record, row, seconds, going=True))


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
