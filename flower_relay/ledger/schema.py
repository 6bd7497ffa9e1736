"""The ledger's tables, and how a database comes from one version of them to the next.

The version is the number of migrations that a database has been through. They only ever
add, so that a newer library reads an older ledger as it is; an older library refuses a
newer ledger. Each migration is written down as it was, and never changed later.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Integer, Text, column, inspect, select, table, text, update
from sqlalchemy.exc import DBAPIError

from ..errors import LedgerDamagedError, LedgerError, LedgerInUseError, LedgerVersionError
from ..legible import legible
from ..mechanism.parsing import shown
from .database import Database

__all__ = [
    "BLOCKS",
    "MIGRATIONS",
    "Migration",
    "check_run",
    "in_use",
    "migrate",
    "note_writer",
    "schema_version",
]

META = table("ledger_meta", column("schema_version", Integer))
RUNS = table(
    "runs",
    column("run", Text),
    column("pid", Integer),
    column("host", Text),
    column("since", Text),
)
BLOCKS = table(
    "blocks",
    column("run", Text),
    column("index", Integer),
    column("previous", Text),
    column("body", Text),
    column("hash", Text),
    column("producer", Text),
    column("signature", Text),
)

Migration = Callable[[Connection], None]


def _first_tables(connection: Connection) -> None:
    """Version 1: runs with their last writer, and blocks that nothing can change."""
    statements = [
        "CREATE TABLE ledger_meta (schema_version INTEGER NOT NULL)",
        "INSERT INTO ledger_meta (schema_version) VALUES (0)",
        "CREATE TABLE runs (run TEXT PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL, "
        "since TEXT NOT NULL)",
        'CREATE TABLE blocks (run TEXT NOT NULL REFERENCES runs (run), "index" INTEGER NOT NULL, '
        "previous TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL, producer TEXT NOT NULL, "
        'signature TEXT NOT NULL, PRIMARY KEY (run, "index"))',
        *_APPEND_ONLY[connection.dialect.name],
    ]
    for statement in statements:
        connection.execute(text(statement))


_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER blocks_no_{what.lower()} BEFORE {what} ON blocks "
        "BEGIN SELECT RAISE(ABORT, 'blocks are never changed'); END"
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION blocks_never_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'blocks are never "
        "changed'; END $$",
        "CREATE TRIGGER blocks_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON blocks "
        "FOR EACH STATEMENT EXECUTE FUNCTION blocks_never_change()",
    ],
}

_MOST_NAMED = 50
"""Runs that a message lists."""

MIGRATIONS: tuple[Migration, ...] = (_first_tables,)
"""In order; a database of version n has been through the first n of them."""


def schema_version(connection: Connection, place: Database, known: int = len(MIGRATIONS)) -> int:
    """How many migrations a database has been through; 0 where there is no ledger.

    Raises
    ------
    LedgerVersionError
        When there are more than this library knows.
    """
    if not inspect(connection).has_table(META.name):
        return 0
    found = connection.execute(select(META.c.schema_version).limit(2)).scalars().all()
    version = found[0] if len(found) == 1 else None
    if not isinstance(version, int) or version < 0:
        raise LedgerDamagedError(
            f"{place}: expected one version of its tables, found {shown(found)}. Nothing was "
            "changed. Restore the ledger from a backup."
        )
    if version > known:
        raise LedgerVersionError(
            f"{place}: expected a ledger of version {known} or older, found version {version}, "
            "written by a newer flower_relay. Nothing was changed. Install that version (pip "
            "install --upgrade flower-relay)."
        )
    return version


def migrate(connection: Connection, place: Database, migrations: Sequence[Migration]) -> None:
    """Bring a database to the newest version, in the transaction that is under way."""
    if connection.dialect.name == "postgresql":  # runs may begin there at the same time
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('flower_relay'))"))
    version = schema_version(connection, place, len(migrations))
    for migration in migrations[version:]:
        migration(connection)
        connection.execute(update(META).values(schema_version=META.c.schema_version + 1))


def check_run(connection: Connection, place: Database) -> None:
    """See that there is such a run to read.

    Raises
    ------
    LedgerError
        When there is none, with those that there are.
    """
    with connection.begin():
        if schema_version(connection, place) == 0:
            raise LedgerError(
                f"expected a ledger in {place}, found none. Nothing was changed. Name a run's "
                "folder, its ledger.db, or the database that it was written to."
            )
        runs = select(RUNS.c.run)
        if connection.execute(runs.where(RUNS.c.run == place.run).limit(1)).first() is not None:
            return
        others = connection.execute(runs.order_by(RUNS.c.run).limit(_MOST_NAMED)).scalars().all()
    names = ", ".join(legible(str(name), 60) for name in others)
    raise LedgerError(
        f"{place}: expected a run {place.run!r}, found {names or 'none'}. Nothing was changed. "
        "Name one of these."
    )


def note_writer(connection: Connection, run: str) -> None:
    """Put down who writes a run from now on, for whom the lock refuses."""
    connection.execute(
        text(
            "INSERT INTO runs (run, pid, host, since) VALUES (:run, :pid, :host, :since) "
            "ON CONFLICT (run) DO UPDATE "
            "SET pid = excluded.pid, host = excluded.host, since = excluded.since"
        ),
        {
            "run": run,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def in_use(place: Database) -> LedgerInUseError:
    """The error of a second writer; it names the first, if that has got as far as its name."""
    writer, cure = "another process, which is just beginning", _WAIT
    # Suppressed: the first has not made the file or the tables yet.
    with (
        contextlib.suppress(LedgerError, DBAPIError),
        place.reader() as connection,
        connection.begin(),
    ):
        query = select(RUNS.c.pid, RUNS.c.host, RUNS.c.since).where(RUNS.c.run == place.run)
        if (row := connection.execute(query).first()) is not None:
            writer = f"process {row.pid} on {row.host} since {row.since}"
            if row.host == socket.gethostname():
                cure = _cure(row.pid)
    return LedgerInUseError(
        f"{place}: expected to be its only writer, found {writer}. Nothing was changed{cure} "
        "Reading (verify, show, receipts) is possible at any time."
    )


_WAIT = (
    ", and that run goes on. Wait for it or end that process: its lock ends with it. A process "
    "that has ended may have left another one behind, which has its lock."
)


def _cure(pid: int) -> str:
    """What to do about a writer on this machine."""
    if pid == os.getpid():
        return (
            ". That is this very process: an earlier start() or open_ledger() in it has not ended. "
            "Let that run end, or close what it opened: strategy.chain.close()."
        )
    if _lives(pid):
        return ", and that run goes on. Wait for it or end that process: its lock ends with it."
    return (
        ". That process does not live here any more, but another one that it left behind has its "
        "lock. End that one (`fuser -v` on the file that ends in .lock names it), then resume."
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True
