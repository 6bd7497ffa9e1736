"""The durable chain: sealed blocks in SQL, each committed before anyone hears of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from ..errors import KeyFileError, LedgerDamagedError, LedgerError, LedgerStorageError
from ..mechanism.blocks import Block
from .address import locate
from .database import Database, explained
from .keys import OperatorKey
from .schema import BLOCKS, MIGRATIONS, Migration, check_run, migrate, note_writer
from .sealed import MOST_CHARACTERS, NOTHING_BEFORE, SealedBlock, seal

__all__ = ["SqlChain", "StoredBlocks", "open_ledger", "read_sealed"]

_PAGE = 256
"""Blocks that are read at a time: readers hold no transaction open."""

_COLUMNS = [column for column in BLOCKS.c if column.name != "run"]


def open_ledger(
    target: str | Path,
    *,
    key: OperatorKey,
    patience: float = 5.0,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> SqlChain:
    """Open a run's ledger for writing; begin it if there is none.

    Parameters
    ----------
    target : str or pathlib.Path
        A SQLite file, the run's folder, or `postgresql://USER@HOST/DATABASE#RUN`.
    key : OperatorKey
        Signs the blocks; a ledger has one from its first block to its last.
    patience : float
        Seconds to wait for what another program has locked.
    migrations : sequence of callable
        What brings an older ledger to the version that is written.

    Raises
    ------
    LedgerInUseError
        When another process is writing to this run; it is named.
    LedgerVersionError
        When a newer library wrote it.
    LedgerDamagedError, LedgerStorageError
        When what is there cannot be used.
    KeyFileError
        When it was begun with another key.
    """
    database = locate(target, patience)
    with ExitStack() as stack:
        connection = stack.enter_context(database.writer())
        with explained(database):
            database.check(connection)
            with connection.begin():  # tables and their first run are there together
                migrate(connection, database, migrations)
                note_writer(connection, database.run)
            last = _last(database, connection)
        if last is not None:
            _check_last(database, last, key)
        return SqlChain(database, connection, key, last, stack.pop_all())


def read_sealed(target: str | Path) -> StoredBlocks:
    """A ledger's blocks as they are stored, genesis first, without changing anything.

    The ledger may be written meanwhile. Nothing is verified but that each column holds
    what its type says.

    Raises
    ------
    LedgerError
        When there is no ledger, or it cannot be read; with the first block asked for.
    """
    return StoredBlocks(locate(target))


class StoredBlocks(Iterator[SealedBlock]):
    """The blocks of a ledger as they are read; made by `read_sealed`."""

    def __init__(self, database: Database, after: int | None = None) -> None:
        self._database = database
        self._last = after
        self._blocks = _read(database, after)

    def __next__(self) -> SealedBlock:
        """The next block that is there."""
        sealed = next(self._blocks)
        self._last = sealed.index
        return sealed

    def later(self) -> StoredBlocks:
        """The blocks that were added since the last one of these was read."""
        return StoredBlocks(self._database, self._last)


class SqlChain:
    """A chain of blocks in a database; made by `open_ledger`, which holds its lock.

    It is a context manager; closing it lets go of the lock, as does the process's end. A
    process that is forked meanwhile may read it and not write to it.
    """

    def __init__(
        self,
        database: Database,
        connection: Connection,
        key: OperatorKey,
        last: SealedBlock | None,
        held: ExitStack,
    ) -> None:
        self._database, self._connection = database, connection
        self.key, self._held = key, held
        self._owner = os.getpid()
        self._length = 0 if last is None else last.index + 1
        self._head = NOTHING_BEFORE if last is None else last.hash

    @property
    def head(self) -> str:
        """Hash of the last block; zeros before genesis."""
        return self._head

    def append(self, block: Block) -> str:
        """Seal a block, commit it durably, and return its hash.

        Raises
        ------
        LedgerError
            When it is not on the record: all blocks before are, and the chain is as before.
        """
        if self._lost:
            raise LedgerStorageError(
                f"{self._database}: expected an open ledger, found it closed or its connection "
                "lost. What was committed is safe; this block is not on the record. Resume the "
                "run: it goes on after the last block there."
            )
        sealed = seal(self._length, self._head, block, self.key)
        if len(sealed.body) > MOST_CHARACTERS:
            raise LedgerError(
                f"{self._database}: expected a block of at most {MOST_CHARACTERS} characters, "
                f"found one of {len(sealed.body)}, which nobody would read. All blocks before it "
                "are safe. Begin a run with fewer participants or lanes."
            )
        with explained(self._database), self._connection.begin():
            row = {"run": self._database.run, **asdict(sealed)}
            self._connection.execute(insert(BLOCKS), row)
        self._length, self._head = self._length + 1, sealed.hash
        return sealed.hash

    def sealed_blocks(self) -> Iterator[SealedBlock]:
        """The blocks as they are stored, genesis first; also after the chain was closed."""
        if self._lost:
            return StoredBlocks(self._database)
        return _pages(self._database, self._connection)

    def __iter__(self) -> Iterator[Block]:
        """All blocks, genesis first.

        Raises
        ------
        LedgerDamagedError
            At the first block that does not follow from the one before.
        """
        number, head = 0, NOTHING_BEFORE
        for sealed in self.sealed_blocks():
            if (sealed.index, sealed.previous) != (number, head):
                raise _damaged(self._database, number, f"block {sealed.index} of another chain")
            if not _is_whole(sealed):
                raise _damaged(self._database, number, "one that was changed")
            if sealed.producer != self.key.public:
                raise _damaged(self._database, number, "one of another key")
            yield sealed.block()
            number, head = number + 1, sealed.hash

    def __len__(self) -> int:
        """How many blocks there are."""
        return self._length

    def close(self) -> None:
        """Let go of the database and of the writer's lock; what is there can still be read."""
        self._held.close()

    @property
    def _lost(self) -> bool:
        """Whether the lock is not held (any more): a new session, or a child, does not have it."""
        gone = self._connection.closed or self._connection.invalidated
        return gone or self._owner != os.getpid()

    def __enter__(self) -> SqlChain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _read(database: Database, last: int | None) -> Iterator[SealedBlock]:
    """Page by page, each over a connection of its own: who stops half-way leaves none open."""
    with database.reader() as connection, explained(database):
        database.check(connection)
        check_run(connection, database)
        page = _page(database, connection, last)
    while page:
        yield from page
        with database.reader() as connection:
            page = _page(database, connection, page[-1].index)


def _pages(database: Database, connection: Connection) -> Iterator[SealedBlock]:
    last: int | None = None
    while page := _page(database, connection, last):
        yield from page
        last = page[-1].index


def _page(database: Database, connection: Connection, after: int | None) -> list[SealedBlock]:
    """The next blocks: so many, or as many as have so many characters."""
    query = select(*_COLUMNS).where(BLOCKS.c.run == database.run).limit(_PAGE)
    if after is not None:
        query = query.where(BLOCKS.c.index > after)
    page: list[SealedBlock] = []
    with explained(database), connection.begin(), connection.execute(
        query.order_by(BLOCKS.c.index)
    ) as rows:  # fmt: skip
        room = MOST_CHARACTERS
        for row in rows:
            page.append(_sealed(database, row, (-1 if after is None else after) + 1 + len(page)))
            room -= len(page[-1].body)
            if room <= 0:
                break
    return page


def _last(database: Database, connection: Connection) -> SealedBlock | None:
    query = (
        select(*_COLUMNS)
        .where(BLOCKS.c.run == database.run)
        .order_by(BLOCKS.c.index.desc())
        .limit(1)
    )
    with connection.begin():
        row = connection.execute(query).first()
    return None if row is None else _sealed(database, row, row._mapping["index"])


def _is_whole(sealed: SealedBlock) -> bool:
    return sealed.hash == sealed.computed_hash() and sealed.is_signed()


def _damaged(database: Database, number: int, found: str) -> LedgerDamagedError:
    return LedgerDamagedError(
        f"{database}: expected block {number} as it was signed, following from the one before; "
        f"found {found}. Nothing was added, and model files are not affected. `flower-relay "
        "ledger verify` says what is wrong; restore the ledger from a backup to resume the run."
    )


def _check_last(database: Database, last: SealedBlock, key: OperatorKey) -> None:
    if not _is_whole(last):
        raise _damaged(database, last.index, "one that was changed")
    if last.producer != key.public:
        raise KeyFileError(
            f"{database}: expected its operator's key {last.producer[:16]}…, found "
            f"{key.public[:16]}…. Nothing was added. Resume with the key file that the run began "
            "with."
        )


def _sealed(database: Database, row: Row[Any], number: int) -> SealedBlock:
    found = row._mapping
    wrong = [
        name
        for name, value in found.items()
        if type(value) is not (int if name == "index" else str)
    ]
    if wrong:
        raise _damaged(database, number, f"{', '.join(wrong)} of another type")
    return SealedBlock(**found)
