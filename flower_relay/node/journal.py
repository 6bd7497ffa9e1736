"""A file of lines, each on the disk before anything is built on it, and no more than it alone.

It begins with a line that is written whole; what changes follows, line by line, in room that the
file has already: blank lines until there is no more, and then it is written whole again. To write
into such room takes a disk a third of the time of a longer file, and a tenth of a new one.

A crash can tear the line that is being written. Nothing was built on it, so it counts as blank.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..files.durable import write_whole

__all__ = ["Journal", "OvertakenError"]

_ROOM = 65_536
"""Bytes for changes: a relay's node makes some hundred of them before it writes all anew."""

_sync = getattr(os, "fdatasync", os.fsync)
"""Bring a file's bytes to the disk; where there is the choice, not also when that was."""


class OvertakenError(Exception):
    """Another process wrote since the lines were read."""


class Journal:
    """What a file held when it was opened, and the place where its next line goes.

    Parameters
    ----------
    path : pathlib.Path
        The file; it need not be there yet.

    Attributes
    ----------
    lines : list of dict
        Its lines, the whole one first; none where there is no file.

    Raises
    ------
    OSError, ValueError
        When the file cannot be read, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes() if path.exists() else None
        self.lines: list[dict[str, Any]] = []
        self._next = self._size = 0
        if data is not None:
            self.lines, self._next = _lines_in(data)
            self._size = len(data)

    def add(self, line: dict[str, Any]) -> bool:
        """Write one more line, if there is room for it; False where there is none.

        Raises
        ------
        OvertakenError
            When somebody else wrote in the meantime.
        OSError
            When it cannot be written.
        """
        data = _bytes_of(line)
        if self._next + len(data) >= self._size:
            return False
        with self._path.open("r+b", buffering=0) as file:
            self._look(file.fileno())
            file.seek(self._next)
            file.write(data)
            _sync(file.fileno())
        self._next += len(data)
        return True

    def write(self, line: dict[str, Any]) -> None:
        """Write the whole anew as one line, with room for more; raises as `add` does."""
        if self._size:
            with self._path.open("rb", buffering=0) as file:
                self._look(file.fileno())
        elif self._path.exists():
            raise OvertakenError
        data = _bytes_of(line)
        write_whole(self._path, data + b"\n" * _ROOM)
        self._next, self._size = len(data), len(data) + _ROOM

    def _look(self, file: int) -> None:
        """See that the room is as it was left."""
        os.lseek(file, self._next, os.SEEK_SET)
        room = os.read(file, max(0, self._size - self._next))
        if os.fstat(file).st_size != self._size or room.strip(b"\n"):
            raise OvertakenError


def _bytes_of(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _lines_in(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The lines of a file, and where the next one goes: at its end where the last was torn."""
    lines: list[dict[str, Any]] = []
    place, torn = 0, False
    for text in data.rstrip(b"\n").split(b"\n"):  # the room is long
        place += len(text) + 1
        if not text:
            continue
        line = _line(text)
        if line is None and lines:
            torn = True
            continue
        if line is None or torn:
            raise ValueError(f"what stands before byte {place} is no line of it")
        lines.append(line)
        end = place
    if not lines:
        raise ValueError("it is empty")
    return lines, len(data) if torn else end


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
