"""Files that are there whole or not at all, and still there after the power went.

Each is written beside, synced, and only then given its name; the folder is synced too,
since a name that is only in memory is lost with it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["make_folder", "sync_folder", "write_new", "write_whole"]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each synced into the one that holds it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, where a folder can be opened for that."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows, or a folder that we may write into and not look into
        return
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in place of one of that name if there is one.

    Until it is whole it is called `NAME.part`; nothing of it stays when that fails. What has
    that name already, half a file or a link to another one, is taken away and not written to.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:  # new, so that nothing is followed
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        # On a full disk what is half-written is the first that can go.
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> bool:
    """Write a file that only its owner may read, unless there is one of that name.

    Returns
    -------
    bool
        Whether it was written; of several processes at once exactly one is told so.
    """
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)  # unlike a rename, this never replaces
            return True
        return False
    finally:
        os.unlink(unfinished)
        sync_folder(path.parent)
