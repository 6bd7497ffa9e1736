"""A SQLite file from somebody else: what of it may be read, seen before it is.

A database can hold more than rows. A view named like a table computes without end, a check or
an index on an expression runs when the file is tested for damage, and a row may announce a
gigabyte. Tables of plain columns are all that a ledger needs, so they are all that is read.
"""

from __future__ import annotations

import re
import sqlite3
import stat
from pathlib import Path

from sqlalchemy import Connection

from ..files.regular import kind_of
from ..legible import legible

__all__ = ["bound", "odd_file", "odd_object"]

_MOST_BYTES = 2**26
"""Of a row: four for each character of the longest body."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: _MOST_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
}

_TABLES = ("ledger_meta", "runs", "blocks")

_COMPUTES = re.compile(r"\b(CHECK|GENERATED|AS|VIRTUAL|WHERE|COLLATE)\b", re.IGNORECASE)
"""Words of a table that holds more than columns."""


def odd_file(path: Path) -> str | None:
    """What a database's file, or one that SQLite opens beside it, is instead of a file."""
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
        try:
            mode = each.stat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            return f"{kind_of(mode)} in the place of {each.name}"
    return None


def bound(connection: sqlite3.Connection) -> None:
    """Set limits to what a database can make this process do."""
    for which, most in _LIMITS.items():
        connection.setlimit(which, most)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def odd_object(connection: Connection) -> str | None:
    """The first thing in a database that is more than a table of plain columns, if any.

    Triggers are none: they do nothing where nothing is written, and ours forbid changes. Nor
    are views under other names, which nobody reads.
    """
    listed = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master")
    for kind, name, sql in listed:
        # SQLite takes names in any case.
        if str(name).lower() in _TABLES and kind != "table":
            return f"a {legible(str(kind), 20)} named {name}"
        if kind == "index" and sql is not None:
            return f"an index of its own, {legible(str(name), 60)}"
        if kind == "table" and (not isinstance(sql, str) or _COMPUTES.search(sql)):
            return f"a table with more than columns, {legible(str(name), 60)}"
    return None
