"""Models by content: named by the SHA-256 of their canonical safetensors bytes.

`ModelStore` is what a run needs of a store; `MemoryStore` keeps models in memory and
`FolderStore` in files, local or in a bucket, which a run with large models or long legs
wants. Any array that Flower carries is kept, integer counters and scalars included.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from safetensors import SafetensorError

from .errors import (
    ConfigurationError,
    ModelDamagedError,
    ModelMissingError,
    StorageFullError,
    StoreError,
)
from .files.durable import make_folder, write_whole
from .files.models import (
    Arrays,
    arrays_of,
    canonical_bytes,
    model_name,
    name_of,
    named,
    pieces_of,
    read_apart,
)
from .files.regular import read_regular

__all__ = [
    "Arrays",
    "FolderStore",
    "MemoryStore",
    "ModelStore",
    "canonical_bytes",
    "model_name",
    "name_of",
]

_SUFFIX = ".safetensors"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room on the disk, in the user's share of it, or under the limit of a file's size."""


class ModelStore(Protocol):
    """Where models are kept by name."""

    def put(self, arrays: Arrays) -> str:
        """Keep a model; its name."""

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays."""

    def keep_only(self, names: Iterable[str]) -> None:
        """Let go of every other model."""

    def disk_use(self) -> int:
        """Bytes that the models take on a disk."""
        ...


class MemoryStore:
    """A store that lives as long as the process, one copy of each model."""

    def __init__(self) -> None:
        self._models: dict[str, bytes] = {}

    def put(self, arrays: Arrays) -> str:
        """Keep a model under the hash of its canonical bytes."""
        data = canonical_bytes(arrays)
        name = model_name(data)
        self._models.setdefault(name, data)
        return name

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays, not to be written to.

        Raises
        ------
        ModelMissingError
            When no model of that name is kept.
        """
        if name not in self._models:
            raise ModelMissingError(
                f"expected model {name[:12]}… in memory, found none: it was let go of, or never "
                "made. Nothing else is affected; keep what is needed, or use a FolderStore."
            )
        return arrays_of(self._models[name])

    def keep_only(self, names: Iterable[str]) -> None:
        """Let go of every other model."""
        wanted = set(names)
        self._models = {name: data for name, data in self._models.items() if name in wanted}

    def disk_use(self) -> int:
        """None: nothing is on a disk."""
        return 0

    def __len__(self) -> int:
        """How many models are kept."""
        return len(self._models)


class FolderStore:
    """A store of files, `HASH.safetensors`, each there whole or not at all.

    Parameters
    ----------
    folder : pathlib.Path or str
        A local folder, made if it is not there, or any address that fsspec knows
        (`s3://bucket/run`, `memory://run`), whose driver has to be installed.
    """

    def __init__(self, folder: Path | str) -> None:
        self._files, self._root, self._local = _opened(folder)
        with self._told("made"):
            if self._local:
                make_folder(Path(self._root))
            else:
                self._files.makedirs(self._root, exist_ok=True)

    def put(self, arrays: Arrays) -> str:
        """Keep a model; it is durable when its name is returned.

        Raises
        ------
        StorageFullError
            When there is no room for it.
        StoreError
            When it cannot be written for another reason.
        """
        pieces = pieces_of(arrays)
        name, size = named(pieces), sum(map(len, pieces))
        path = self._path(name)
        with self._told("written", name):
            if self._holds(path, name, size):
                return name
            if self._local:
                write_whole(Path(path), *pieces)
            else:
                self._files.pipe_file(path, b"".join(pieces))
        return name

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays, not to be written to, once its bytes are those it is named for.

        From a local folder each comes in a numpy file of its own: Flower sends it without a copy.

        Raises
        ------
        ModelMissingError
            When there is no file of it.
        ModelDamagedError
            When its bytes have another hash.
        """
        path = self._path(name)
        with self._told("read", name):
            apart = read_apart(Path(path), name) if self._local else None
            if apart is not None:
                return apart
            data = self._read(path)
        if data is None:
            raise ModelMissingError(
                f"{path}: expected a model's file, found none. The ledger and the other models "
                "are not affected. If the run still needs this one (a baton, a trail, a model "
                "under test), put a copy in its place, from a backup or from a participant who "
                "has it, then resume; older models are let go of on purpose."
            )
        found = model_name(data)
        if found != name:
            raise ModelDamagedError(
                f"{path} was changed or cut short: expected bytes whose SHA-256 is {name[:12]}…, "
                f"found {len(data)} bytes whose SHA-256 is {found[:12]}…. The ledger and the "
                "other models are not affected. Put a copy in its place, from a backup or from "
                "a participant who has this model, then resume the run."
            )
        try:
            return arrays_of(data)
        except (SafetensorError, KeyError, ValueError) as problem:  # a type that numpy lacks
            raise ModelDamagedError(
                f"{path} has the bytes it is named for, and they are no safetensors: {problem}. "
                "Whoever named it so put something else than a model on the ledger; it was not "
                "changed."
            ) from problem

    def keep_only(self, names: Iterable[str]) -> None:
        """Delete every other model, and what a crash left half-written."""
        wanted = {self._path(name) for name in names}
        with self._told("tidied"):
            for path in self._sizes():
                if path not in wanted and path.endswith((_SUFFIX, ".part")):
                    self._files.rm_file(path)

    def disk_use(self) -> int:
        """Bytes of all files, half-written ones included."""
        return sum(self._sizes().values())

    def _sizes(self) -> dict[str, int]:
        """Every file of the folder itself by its path, with its size in bytes.

        Models lie side by side: what is in folders below, or behind links, is not ours.
        """
        with self._told("listed"):
            if self._local:
                return _local_sizes(self._root)
            self._files.invalidate_cache()  # others may write here, and some drivers remember
            found = self._files.find(self._root, maxdepth=1, detail=True)
        return {path: int(info["size"]) for path, info in found.items()}

    def _read(self, path: str) -> bytes | None:
        try:
            data: bytes = read_regular(Path(path)) if self._local else self._files.cat_file(path)
            return data
        except FileNotFoundError:
            return None

    def _holds(self, path: str, name: str, size: int) -> bool:
        """Whether a file is there and whole; one that was cut short or changed is written anew."""
        if self._local:
            try:
                there = os.lstat(path)
                same = stat.S_ISREG(there.st_mode) and there.st_size == size
                return same and model_name(read_regular(Path(path), follow=False)) == name
            except FileNotFoundError:
                return False
        self._files.invalidate_cache()
        try:
            return int(self._files.info(path)["size"]) == size
        except FileNotFoundError:
            return False

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}{_SUFFIX}"

    @contextmanager
    def _told(self, done: str, name: str = "") -> Iterator[None]:
        """Turn the errors of files into ours."""
        what = self._path(name) if name else self._root
        try:
            yield
        except OSError as problem:
            kind, cure = (
                (StorageFullError, "Free some room")
                if problem.errno in _FULL
                else (StoreError, "Put that right")
            )
            raise kind(
                f"{what} cannot be {done}: {problem}. What was kept before, the ledger included, "
                f"is safe, and nothing half-written counts as a model. {cure}, then resume the "
                "run."
            ) from problem


def _local_sizes(folder: str) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {
            f"{folder}/{entry.name}": entry.stat(follow_symlinks=False).st_size
            for entry in entries
            if not entry.is_dir(follow_symlinks=False)
        }


def _opened(folder: Path | str) -> tuple[Any, str, bool]:
    """The file system that a folder is on, its path there, and whether that is this machine's."""
    # Not imported above: nodes need this module's names for models, and keep no store.
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(folder, Path) or "://" not in folder:
        return LocalFileSystem(), str(Path(folder).absolute()), True
    try:
        files, root = url_to_fs(folder)
    except (ImportError, ValueError) as problem:
        raise ConfigurationError(
            f"models should be kept in {folder}, but: {problem}. Nothing was written. Name a "
            "folder, or install what fsspec needs for that address."
        ) from problem
    return files, root.rstrip("/"), isinstance(files, LocalFileSystem)
