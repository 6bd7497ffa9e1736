"""A run's ledger as a SQLite file: write-ahead log, every commit synced to the disk.

The writer holds a lock on a file beside, `ledger.db.lock`, which ends with its process, so
that nothing is left to clean up; the empty file stays. A file to be read may be anybody's.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ..errors import LedgerDamagedError, LedgerError, LedgerStorageError
from ..files.durable import make_folder, sync_folder
from .lock import LockedError, locked
from .schema import in_use
from .tables_only import bound, odd_file, odd_object

__all__ = ["SqliteFile"]


class SqliteFile:
    """A ledger's file; it holds one run.

    Parameters
    ----------
    path : pathlib.Path
        Made by the first writer, its folder included.
    patience : float
        Seconds to wait for what another program has locked.
    """

    run = ""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path.absolute()
        self._patience = patience

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """The connection of the only writer."""
        self._check_files()
        with self._lock(), self._connected("rwc", "BEGIN IMMEDIATE") as connection:
            sync_folder(self.path.parent)
            yield connection

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection that cannot write."""
        self._check_files()
        if not self.path.exists():
            raise LedgerError(
                f"expected a ledger in {self}, found no such file. Nothing was made or changed. "
                "Name a run's folder or its ledger.db; only a run that begins makes one."
            )
        # SQLite wants to write two files beside a log, which an archive may not allow; where
        # it was closed in order there is no log, and nobody can be writing one.
        archived = not os.access(self.path.parent, os.W_OK) and not self._log().exists()
        with self._connected("ro&immutable=1" if archived else "ro", "BEGIN") as connection:
            yield connection

    def check(self, connection: Connection) -> None:
        """See that there are only tables, and that no page and no index is broken.

        SQLite reads a zeroed page as empty. Testing for that runs what a schema says, so the
        schema is looked at before.
        """
        with connection.begin():
            if (odd := odd_object(connection)) is not None:
                raise LedgerDamagedError(
                    f"{self}: expected tables as flower_relay makes them, found {odd}. Nothing "
                    "more of it was read. Ask whoever gave you the file for the run's own."
                )
            found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
        if found != "ok":
            raise LedgerDamagedError(f"{self}: {_BROKEN} ({found}). {_UNTOUCHED} {_RESTORE}")

    def explain(self, problem: DBAPIError) -> LedgerError:
        """What SQLite's error means: what happened, what is safe, what to do."""
        name = getattr(problem.orig, "sqlite_errorname", "")
        for prefix, (kind, happened, safe, cure) in _MEANINGS.items():
            if name.startswith(prefix):
                return kind(f"{self}: {happened} ({problem.orig}). {safe} {cure}")
        return LedgerStorageError(f"{self}: SQLite says: {problem.orig}. {_COMMITTED} {_RESUME}")

    def _log(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _check_files(self) -> None:
        """See that what SQLite would open are files, before it waits for a pipe."""
        try:
            odd = odd_file(self.path)
        except OSError as problem:
            raise LedgerStorageError(
                f"{self}: it cannot be opened ({problem.strerror}). {_UNTOUCHED} Let this user "
                "read the file and its folder."
            ) from problem
        if odd is not None:
            raise LedgerDamagedError(
                f"{self}: expected a file, found {odd}. {_UNTOUCHED} Ask whoever gave you the "
                "folder for the run's own."
            )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.path.with_name(self.path.name + ".lock")
        with ExitStack() as held:
            try:
                make_folder(self.path.parent)
                held.enter_context(locked(path))
            except OSError as problem:
                raise LedgerStorageError(
                    f"{self}: expected to lock it for writing, found: {problem.strerror}. Nothing "
                    "was changed. Free some room, or name a folder that this process may write."
                ) from problem
            except LockedError:
                raise in_use(self) from None
            yield

    @contextmanager
    def _connected(self, mode: str, begin: str) -> Iterator[Connection]:
        engine = self._engine(mode, begin)
        try:
            connection = engine.connect()
        except DBAPIError as problem:
            raise self.explain(problem) from problem
        with connection:
            yield connection

    def _engine(self, mode: str, begin: str) -> Engine:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                timeout=self._patience,
                isolation_level=None,  # transactions begin where we say so, tables included
                check_same_thread=False,
            )
            # What a disk has damaged should be read, and then found out by its hash.
            connection.text_factory = lambda data: data.decode(errors="replace")
            try:
                bound(connection)
                if mode == "rwc":
                    _make_durable(connection)
            except sqlite3.Error:
                connection.close()
                raise
            return connection

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine


def _make_durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


_COMMITTED = "Every block before this one is committed and safe; this one is not on the record."
_UNTOUCHED = "Nothing was changed, and model files are not affected."
_RESUME = "When that is put right, resume the run."
_BROKEN = "it is not a whole SQLite database, or not any more"
_RESTORE = (
    "Copy the run's folder first. Then restore the file from a backup, or rescue what can be "
    "read with `sqlite3 ledger.db .recover` and see by `flower-relay ledger verify` how far "
    "that is the ledger."
)

_MEANINGS: dict[str, tuple[type[LedgerError], str, str, str]] = {
    "SQLITE_FULL": (
        LedgerStorageError,
        "the disk is full",
        _COMMITTED,
        "Free some room, then resume the run.",
    ),
    "SQLITE_BUSY": (
        LedgerStorageError,
        "another program keeps the database locked",
        _COMMITTED,
        "Close what has it open (a database browser, a backup), then resume the run.",
    ),
    "SQLITE_CORRUPT": (LedgerDamagedError, _BROKEN, _UNTOUCHED, _RESTORE),
    "SQLITE_NOTADB": (LedgerDamagedError, _BROKEN, _UNTOUCHED, _RESTORE),
    "SQLITE_TOOBIG": (
        LedgerDamagedError,
        "it holds more in one row than a block can be",
        _UNTOUCHED,
        "Ask whoever gave you the file for the run's own.",
    ),
    "SQLITE_READONLY": (
        LedgerStorageError,
        "it may be read but not written",
        _COMMITTED,
        "Let this user write the file and its folder, then resume the run.",
    ),
    "SQLITE_CANTOPEN": (
        LedgerStorageError,
        "it cannot be opened",
        _UNTOUCHED,
        "Let this user read and write the file and its folder.",
    ),
    "SQLITE_IOERR": (
        LedgerStorageError,
        "the disk failed to read or write, or refused to",
        _COMMITTED,
        "Look after the disk (its room, its limits, its health), then resume the run.",
    ),
    "SQLITE_CONSTRAINT": (
        LedgerError,
        "blocks are only ever added, each at the end",
        _COMMITTED,
        "Something else than flower_relay wrote here: see `flower-relay ledger verify`.",
    ),
}
"""By the beginning of SQLite's own name of an error."""
