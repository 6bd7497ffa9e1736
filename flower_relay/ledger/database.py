"""What keeps a run's blocks: a SQLite file of its own, or a PostgreSQL database.

Both give connections of two sorts. There is one writer of a run at a time, whose lock
ends with its process however that ends; readers are never refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import LedgerError

__all__ = ["Database", "explained"]


class Database(Protocol):
    """Where one run's blocks are."""

    @property
    def run(self) -> str:
        """The run's name in a database of several; empty in a file of its own."""

    def writer(self) -> AbstractContextManager[Connection]:
        """The connection of the only writer.

        Raises
        ------
        LedgerInUseError
            When there is a writer already; only a process that ended loses its lock.
        """

    def reader(self) -> AbstractContextManager[Connection]:
        """A connection that cannot write."""

    def check(self, connection: Connection) -> None:
        """See that the storage is whole, before anything in it is believed.

        Raises
        ------
        LedgerDamagedError
            When it is not; nothing was changed.
        """

    def explain(self, problem: DBAPIError) -> LedgerError:
        """What a database's error means: what happened, what is safe, what to do."""

    def __str__(self) -> str:
        """Its name in messages, without a password."""
        ...


@contextmanager
def explained(database: Database) -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except DBAPIError as problem:
        raise database.explain(problem) from problem
