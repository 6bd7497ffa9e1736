"""How a ledger is named: by its file, its run's folder, or a database's address."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ConfigurationError
from ..legible import legible
from .database import Database
from .postgres import PostgresRun
from .sqlite import SqliteFile

__all__ = ["LEDGER_FILE", "locate", "masked"]

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
        return SqliteFile(_file_of(Path(target)), patience)
    address, _, run = target.partition("#")
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # such as a port that is no number
        raise _no_ledger_there("an address that cannot be read") from None
    if url.get_backend_name() == "sqlite" and url.database:
        return SqliteFile(Path(url.database), patience)
    if url.get_backend_name() != "postgresql" or not run:
        raise _no_ledger_there(repr(masked(target)))
    return PostgresRun(url, run, patience)


def masked(target: str) -> str:
    """A ledger's name as messages show it: whatever may be a password is not in it."""
    shown = re.sub(r"(?<=://)([^:@/?#]*):.*(?=@)", r"\1:***", target, flags=re.DOTALL)
    if "@" not in target:
        # Without a host, what should be its port may be a password.
        shown = re.sub(r"(?<=://)([^:@/?#]*):(?!\d{1,5}(?:[/?#]|$))[^/?#]*", r"\1:***", shown)
    return re.sub(r"([?&][^=&#]*(?:pass|pwd|secret|key)[^=&#]*=)[^&#]*", r"\1***", shown,
                  flags=re.IGNORECASE)  # fmt: skip


def _file_of(path: Path) -> Path:
    """The ledger's file, which a run's folder stands for, too."""
    try:
        return path / LEDGER_FILE if path.is_dir() else path
    except (OSError, ValueError) as problem:  # too long a name, or a folder closed to us
        raise _no_ledger_there(f"{legible(str(path), 100)!r} ({problem})") from problem


def _no_ledger_there(found: str) -> ConfigurationError:
    return ConfigurationError(
        "a ledger is named by its file, its run's folder, or "
        f"postgresql://USER@HOST/DATABASE#RUN with the run's name at the end; found {found}. "
        "Nothing was read or written."
    )
