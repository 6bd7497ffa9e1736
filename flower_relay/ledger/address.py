"""How a ledger is named: by its file, its run's folder, or a database's address."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ConfigurationError
from .database import Database
from .postgres import PostgresRun
from .sqlite import SqliteFile

__all__ = ["LEDGER_FILE", "locate"]

LEDGER_FILE = "ledger.db"
"""The SQLite file in a run's folder."""


def locate(target: str | Path, patience: float = 5.0) -> Database:
    """Where a ledger is.

    Parameters
    ----------
    target : str or pathlib.Path
        A SQLite file, the run's folder with `ledger.db` in it, or
        `postgresql://USER@HOST/DATABASE#RUN`.
    patience : float
        Seconds to wait for what another program has locked.

    Raises
    ------
    ConfigurationError
        When it is neither of these, or the driver for PostgreSQL is not installed.
    """
    if isinstance(target, Path) or "://" not in target:
        path = Path(target)
        return SqliteFile(path / LEDGER_FILE if path.is_dir() else path, patience)
    address, _, run = target.partition("#")
    try:
        url = make_url(address)
    except ArgumentError:
        raise _no_ledger_there("an address that cannot be read") from None
    if url.get_backend_name() == "sqlite" and url.database:
        return SqliteFile(Path(url.database), patience)
    if url.get_backend_name() != "postgresql" or not run:
        raise _no_ledger_there(repr(url.render_as_string() + (f"#{run}" if run else "")))
    return PostgresRun(url, run, patience)


def _no_ledger_there(found: str) -> ConfigurationError:
    return ConfigurationError(
        "a ledger is named by its file, its run's folder, or "
        f"postgresql://USER@HOST/DATABASE#RUN with the run's name at the end; found {found}. "
        "Nothing was read or written."
    )
