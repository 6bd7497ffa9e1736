"""The lock of a run's only writer: a file beside the ledger, locked by the operating system.

The kernel lets go of it when the last process that has the file open ends. A process that the
writer forks inherits the open file, and would keep a run locked whose writer is long dead: so
a child closes it first of all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from weakref import WeakSet

__all__ = ["LockedError", "locked"]

_HELD: WeakSet[BinaryIO] = WeakSet()


class LockedError(Exception):
    """Somebody else has the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if there is none and never deleted.

    Deleting it would let two writers lock two files of one name.

    Raises
    ------
    OSError
        When the file cannot be made.
    LockedError
        When another writer, in this process or another, holds it.
    """
    import fcntl  # not there on Windows, where ledgers can be read but not written

    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError from None
        _HELD.add(file)
        yield


def _let_go() -> None:
    """In a child: close, and do not unlock, which would unlock the parent's as well."""
    for file in _HELD:
        file.close()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
