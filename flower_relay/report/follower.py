"""A run followed while it is written: new blocks of its ledger, new lines of its metrics.

It only reads, without a lock, and keeps what the blocks so far add up to: asking again costs
what is new, not what is there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, LedgerError, RelayError
from ..federation.record import RunRecord, participant_rows, settled_rows
from ..ledger import SealedBlock
from ..ledger.address import LEDGER_FILE, locate
from ..ledger.sql_chain import StoredBlocks
from ..mechanism.apply import Progress
from ..mechanism.blocks import Genesis, Publication
from ..mechanism.state import begin
from ..settings import RelaySettings
from .run_view import Phase, RunView

__all__ = ["Follower", "newest_run"]

_ENDS = ("result.json", "report.html", "champion.safetensors")
"""Files that are written when a run is over."""


class Follower:
    """One run, as far as it has come.

    Parameters
    ----------
    target : str
        A run's folder, its ledger's file, a folder of runs (the newest is followed), or
        `postgresql://USER@HOST/DATABASE#RUN`. A folder may still be empty.
    begins : bool
        Whether the run is only about to begin, so that its folder may not be there yet.
    clock : callable
        Seconds, for the pace where the run's files do not tell it.

    Attributes
    ----------
    view : RunView
        What is known.
    version : int
        Rises whenever `poll` finds something new.
    """

    def __init__(
        self,
        target: str,
        *,
        begins: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target, self.folder = _resolved(target, begins)
        self._clock = clock
        self._progress: Progress | None = None
        self._after: int | None = None
        self._read = 0
        self._pace: tuple[float, int] | None = None
        self._news = self._first = clock()
        self._hops_at_first: int | None = None
        self._of_round: dict[int, float] = {}
        self.version = 0
        self.view = RunView(title=_title(target, self.folder))

    def poll(self) -> bool:
        """Read what is new; whether something was."""
        before = self.version
        problem = ""
        try:
            for sealed in StoredBlocks(locate(self._target), self._after):
                self._fold(sealed)
        except RelayError as trouble:
            problem = "" if self._after is None and not self._exists() else str(trouble)
        except (ArithmeticError, LookupError, TypeError, ValueError) as trouble:
            problem = (
                f"its blocks do not follow from one another: {trouble!r}. Nothing was changed; "
            )
            problem += "`flower-relay ledger verify` says what is wrong."
        if self._read_metrics():
            self.version += 1
        if self.version != before:
            self._news = self._clock()
            self._refresh()
        phase = self._phase(problem)
        if (phase.state, phase.problem) != (self.view.phase.state, self.view.phase.problem):
            self.version += 1
        self.view.phase = phase
        return self.version != before

    def _exists(self) -> bool:
        return self.folder is None or (self.folder / LEDGER_FILE).exists()

    def _fold(self, sealed: SealedBlock) -> None:
        block = sealed.block()
        settled = None if self._progress is None else self._progress.state.settlement
        if self._progress is None:
            if not isinstance(block, Genesis):
                raise LedgerError(
                    f"{self._target}: expected a genesis block first, found another. Nothing was "
                    "changed; `flower-relay ledger verify` says what is there."
                )
            self._progress = Progress(state=begin(block), last=block)
            self.view.record = RunRecord(
                settings=self._progress.state.settings, num_rounds=self._rounds_asked()
            )
        else:
            self._progress.fold(block)
        self._after = sealed.index
        record = self.view.record
        if isinstance(block, Publication) and settled is not None and record is not None:
            hops, row = settled_rows(self._progress, settled, {}, math.nan, {})
            record.hops += hops
            record.rounds.append(row)
        self.version += 1

    def _refresh(self) -> None:
        """What is worked out anew from the state, once a poll and not once a block."""
        record = self.view.record
        if record is None or self._progress is None:
            return
        record.participants = participant_rows(self._progress.state)
        if self._hops_at_first is None:
            self._hops_at_first = self._progress.hops
        hops_of = {0: 0} | {row.round: row.hops for row in record.rounds}
        self.view.tests = [
            (hops_of[number], value)
            for number, value in sorted(self._of_round.items())
            if number in hops_of
        ]

    def _read_metrics(self) -> bool:
        """Whole new lines of `metrics.jsonl`: times, traffic, the server's evaluations."""
        if self.folder is None:
            return False
        try:
            with (self.folder / "metrics.jsonl").open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return False
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._note(line)
        return bool(whole)

    def _note(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            number = int(entry["round"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # cut short by a crash, or not ours
        if isinstance(test := entry.get("test"), dict):
            for name, value in test.items():
                if "acc" in name and (found := _number(value)) is not None:
                    self._of_round[number] = found
        elif isinstance(totals := entry.get("totals"), dict):
            self._note_totals(totals)

    def _note_totals(self, totals: dict[str, Any]) -> None:
        record = self.view.record
        if record is None or self._progress is None:
            return
        if (seconds := _number(totals.get("seconds"))) is not None:
            self._pace = (seconds, self._progress.hops)
        for name in ("messages", "bytes_sent", "bytes_received"):
            if (value := _number(totals.get(name))) is not None:
                setattr(record, name, int(value))

    def _phase(self, problem: str) -> Phase:
        record, progress = self.view.record, self._progress
        if record is None or progress is None:
            return Phase(problem=problem)
        seconds, left = self._pace[0] if self._pace else None, None
        done = _share_done(record, progress)
        over = self._over(done, progress)
        if not over and done:
            spent, share = self._spent(done)
            left = spent * (1 - done) / share if share > 0 else None
        return Phase(
            state="over" if over else "running", seconds=seconds, left=left,
            quiet=None if over else self._clock() - self._news, problem=problem,
        )  # fmt: skip

    def _spent(self, done: float) -> tuple[float, float]:
        """Seconds, and the share of the run that they went for."""
        if self._pace and self._progress and self._progress.hops:
            seconds, hops = self._pace
            return seconds, done * hops / self._progress.hops
        at_first = self._hops_at_first or 0
        hops = self._progress.hops if self._progress else 0
        return self._news - self._first, done * (hops - at_first) / hops if hops else 0.0

    def _over(self, done: float, progress: Progress) -> bool:
        if not progress.between_rounds:
            return False
        if done >= 1:
            return True
        if self.folder is None:
            return False
        written = max((_modified(path) for path in _ledger_files(self.folder)), default=0.0)
        return any(_modified(self.folder / name) >= written > 0 for name in _ENDS)

    def _rounds_asked(self) -> int:
        """How many rounds the run's config asked for; 0 where nobody can tell."""
        if self.folder is None:
            return 0
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            asked = 0 if config.get("budget") else config.get("rounds", 0)
        except (OSError, ValueError, AttributeError, RecursionError):
            return 0
        return asked if isinstance(asked, int) else 0


def newest_run(runs: Path) -> Path | None:
    """The run in a folder of runs whose ledger was written last."""
    found = sorted(runs.glob(f"*/{LEDGER_FILE}"), key=_modified)
    return found[-1].parent if found else None


def _resolved(target: str, begins: bool) -> tuple[str, Path | None]:
    """The ledger to read, and the run's folder where it has one on this machine."""
    if "://" in target:
        locate(target)  # refused now, rather than at every poll
        return target, None
    path = Path(target).absolute()
    if path.is_file():
        return str(path), path.parent
    if not (path.is_dir() or begins):
        raise ConfigurationError(
            f"RUN = {target!r}: expected a run's folder, its {LEDGER_FILE}, a folder of runs, or "
            "postgresql://USER@HOST/DATABASE#RUN; found nothing there."
        )
    if not (path / LEDGER_FILE).exists() and (run := newest_run(path)) is not None:
        path = run
    return str(path / LEDGER_FILE), path


def _title(target: str, folder: Path | None) -> str:
    return target.partition("#")[2] if folder is None else folder.name


def _share_done(record: RunRecord, progress: Progress) -> float:
    settings: RelaySettings = record.settings
    if settings.budget is not None:
        return min(1.0, progress.hops / settings.budget)
    if record.num_rounds:
        return min(1.0, progress.round_published / record.num_rounds)
    return 0.0


def _ledger_files(folder: Path) -> tuple[Path, Path]:
    return folder / LEDGER_FILE, folder / f"{LEDGER_FILE}-wal"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _number(value: object) -> float | None:
    """What a line of a file says, where it is a number that can be drawn."""
    if not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
