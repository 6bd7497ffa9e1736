"""A run's ledger in a PostgreSQL database that several runs may share.

The writer holds an advisory lock of its session, so the server lets go of it when the
session ends. A pooler between, if any, must pool sessions and not transactions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ..errors import ConfigurationError, LedgerDamagedError, LedgerError, LedgerStorageError
from .schema import in_use

__all__ = ["PostgresRun"]

_ANSWERS_WITHIN = 20
"""Seconds in which a server must let somebody in, if the address says nothing else."""

_SECRET = re.compile("pass|pwd|secret|key", re.IGNORECASE)
"""Parameters of an address that may be passwords."""

_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code for a lock that was not to be had in time."""


class PostgresRun:
    """One run among the blocks of a database.

    Parameters
    ----------
    url : sqlalchemy.URL
        The database.
    run : str
        The run's name in it.
    patience : float
        Seconds to wait for what another session has locked.
    """

    def __init__(self, url: URL, run: str, patience: float) -> None:
        self.run = run
        self._patience = patience
        self._url = url.set(drivername="postgresql+psycopg")

    def __str__(self) -> str:
        shown = {name: _shown(name, value) for name, value in self._url.query.items()}
        return f"{self._url.set(query=shown).render_as_string(hide_password=True)}#{self.run}"

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """The connection of the only writer of this run."""
        with self._connected(self._engine()) as connection:
            try:
                self._lock(connection)
            except DBAPIError as problem:
                if _code(problem) == _NOT_AVAILABLE:
                    raise in_use(self) from None
                raise self.explain(problem) from problem
            yield connection

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection that cannot write."""
        with self._connected(self._engine()) as connection:
            connection.execution_options(postgresql_readonly=True)
            yield connection

    def check(self, connection: Connection) -> None:
        """Nothing: the server keeps checksums of its pages."""

    def explain(self, problem: DBAPIError) -> LedgerError:
        """What PostgreSQL's error means: what happened, what is safe, what to do."""
        code = _code(problem)
        meanings = (meaning for prefix, meaning in _MEANINGS.items() if code.startswith(prefix))
        kind, happened, safe, cure = next(meanings, _OUT_OF_REACH)
        detail = " ".join(str(problem.orig).split())
        for secret in self._secrets():
            detail = detail.replace(secret, "***")
        return kind(f"{self}: {happened} ({detail}). {safe} {cure}")

    def _secrets(self) -> list[str]:
        """What of the address no message shows."""
        hidden = [value for name, value in self._url.query.items() if _shown(name, value) != value]
        values = [self._url.password, *(v for each in hidden for v in _texts(each))]
        return [str(value) for value in values if value]

    def _engine(self) -> Engine:
        try:
            waits = {"connect_timeout": self._url.query.get("connect_timeout", _ANSWERS_WITHIN)}
            return create_engine(self._url, poolclass=NullPool, connect_args=waits)
        except ModuleNotFoundError as problem:
            raise ConfigurationError(
                f"{self}: a ledger in PostgreSQL needs the driver psycopg, which is not "
                "installed. Nothing was read or written. pip install 'flower-relay[postgres]'"
            ) from problem

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            connection = engine.connect()
        except DBAPIError as problem:
            raise self.explain(problem) from problem
        with connection:
            yield connection

    def _lock(self, connection: Connection) -> None:
        """Take the run's lock; the server notices within a minute when this host is gone."""
        number = hashlib.sha256(b"flower_relay run " + self.run.encode()).digest()[:8]
        with connection.begin():
            for setting in (
                "synchronous_commit = on",
                f"lock_timeout = {max(1, round(self._patience * 1000))}",
                "tcp_keepalives_idle = 30",
                "tcp_keepalives_interval = 10",
                "tcp_keepalives_count = 3",
            ):
                connection.execute(text(f"SET {setting}"))
        with connection.begin():
            key = int.from_bytes(number, signed=True)
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})


def _shown(name: str, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A parameter of an address as messages show it."""
    return "***" if _SECRET.search(name) else value


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _code(problem: DBAPIError) -> str:
    return getattr(problem.orig, "sqlstate", None) or ""


_COMMITTED = "Every block before this one is committed and safe."
_UNTOUCHED = "Nothing was changed."

_Meaning = tuple[type[LedgerError], str, str, str]

_OUT_OF_REACH: _Meaning = (
    LedgerStorageError,
    "the database cannot be reached, or the connection broke",
    f"{_COMMITTED} If this one was being committed, the ledger will tell on resuming.",
    "See that the server runs and the address is right, then resume the run.",
)

_MEANINGS: dict[str, _Meaning] = {
    "53": (
        LedgerStorageError,
        "the server is out of room, memory or connections",
        _COMMITTED,
        "Give it some, then resume the run.",
    ),
    "55P03": (
        LedgerStorageError,
        "another session keeps the tables locked",
        _COMMITTED,
        "End that session, then resume the run.",
    ),
    "28": (
        LedgerStorageError,
        "the server refuses this user",
        _UNTOUCHED,
        "Check user and password (PGPASSFILE keeps it out of the address).",
    ),
    "3D": (
        LedgerStorageError,
        "there is no such database",
        _UNTOUCHED,
        "Make it (createdb) or name another.",
    ),
    "25006": (
        LedgerStorageError,
        "the server lets nobody write (a standby?)",
        _COMMITTED,
        "Name the primary server, then resume the run.",
    ),
    "42501": (
        LedgerStorageError,
        "this user may not do that",
        _COMMITTED,
        "Grant it CREATE on the schema and SELECT, INSERT on the tables.",
    ),
    "23": (
        LedgerError,
        "blocks are only ever added, each at the end",
        _COMMITTED,
        "Something else than flower_relay wrote here: see `flower-relay ledger verify`.",
    ),
    "XX": (
        LedgerDamagedError,
        "the server reports damaged data",
        _UNTOUCHED,
        "Restore the database from a backup, and see by `flower-relay ledger verify` how far "
        "that is the ledger.",
    ),
}
"""By the beginning of the SQLSTATE."""
