"""Files that are there whole or not at all, and still there after the power went.

Each is written beside, synced, and only then given its name; the folder is synced too,
since a name that is only in memory is lost with it. Windows opens no folders, and keeps their
lists of names by itself; nothing else here differs there.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

__all__ = ["discard_unfinished", "make_folder", "sync_folder", "write_new", "write_whole"]


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


def write_whole(path: Path, *pieces: bytes | memoryview) -> None:
    """Write a file of these pieces, in place of one of that name if there is one.

    Until it is whole it is called `NAME.<random>.part`; nothing of it stays when that fails. No
    two writers share that name, so that of several at once each leaves a whole file.
    """
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:  # new, so that nothing is followed
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        # On a full disk what is half-written is the first that can go.
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def discard_unfinished(path: Path) -> None:
    """Remove what `write_whole` left of a file where its process was killed meanwhile."""
    for unfinished in path.parent.glob(f"{path.name}.*.part"):
        unfinished.unlink(missing_ok=True)


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
        return _linked(Path(unfinished), path) or _copied(data, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(unfinished)
        sync_folder(path.parent)


def _linked(unfinished: Path, path: Path) -> bool:
    """Give a file its name, which unlike a rename never replaces; False where none are linked."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # sticks and shared folders, some phones
        return False
    return True


def _copied(data: bytes, path: Path) -> bool:
    """Write a file under its name at once: not there whole or not at all, but never replaced."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return True
