"""Files that somebody else may have put there: read only where they are regular, and not too long.

A run's folder comes from anybody. What looks like a file in it may be a pipe that never
ends, a device, or a link to what is none of theirs. So a file is opened without waiting, and
looked at before a byte of it is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["NotRegularError", "kind_of", "open_regular", "read_regular", "seen_by_others"]

_UNWAITED = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_UNFOLLOWED = getattr(os, "O_NOFOLLOW", 0)

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}


class NotRegularError(OSError):
    """What is there is no regular file, or is too long."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.strerror = found


def kind_of(mode: int) -> str:
    """What a `st_mode` is of, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "something else than a file")


def open_regular(path: Path, *, follow: bool) -> int:
    """A descriptor of a regular file, for reading.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    follow : bool
        Whether a link to a regular file will do.

    Raises
    ------
    OSError
        When there is none, or it may not be read.
    NotRegularError
        When it is something else.
    """
    if not follow and stat.S_ISLNK(os.lstat(path).st_mode):
        raise NotRegularError("a link")
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        raise NotRegularError(kind_of(mode))  # a device is not even opened
    opened = os.open(path, os.O_RDONLY | _UNWAITED | (0 if follow else _UNFOLLOWED))
    if not stat.S_ISREG(mode := os.fstat(opened).st_mode):
        os.close(opened)
        raise NotRegularError(kind_of(mode))
    return opened


def read_regular(path: Path, *, most: int | None = None, follow: bool = True) -> bytes:
    """The bytes of a regular file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    most : int, optional
        Bytes that it may have.
    follow : bool
        Whether a link to a regular file will do.

    Raises
    ------
    OSError
        When there is none, or it may not be read.
    NotRegularError
        When it is something else, or longer.
    """
    with os.fdopen(open_regular(path, follow=follow), "rb") as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise NotRegularError(f"more than {most} bytes")
        return file.read() if most is None else file.read(most)


def seen_by_others(path: Path) -> str | None:
    """The mode of a file of ours that others may read or write, as `chmod` has it; else None.

    As ssh does, nothing is asked of a file that belongs to somebody else (a secret that is
    mounted), nor of a system that has no such modes.
    """
    status = path.stat()
    if not hasattr(os, "geteuid") or status.st_uid != os.geteuid() or not status.st_mode & 0o077:
        return None
    return f"{stat.S_IMODE(status.st_mode):o}"
