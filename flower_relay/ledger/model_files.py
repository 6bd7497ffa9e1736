"""The models of a run's folder against what its ledger names.

A file must hash to its name. A model that is not there was collected, which is how disk
use stays bounded, unless the run cannot go on (or be used) without it: then it is missing.
The folder may be anybody's, so only regular files are read, and of holes only so much.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import ModelDamagedError
from ..files.regular import open_regular
from ..store import Arrays, FolderStore, canonical_bytes, model_name

__all__ = [
    "FilesFound",
    "ModelFiles",
    "ReadOnlyModels",
    "compare_models",
    "find_models",
    "look_again",
]

_SUFFIX = ".safetensors"

_MOST_HOLES = 2**28
"""Bytes of a folder's files that are on no disk, and are read all the same."""


@dataclass(frozen=True, kw_only=True)
class FilesFound:
    """Names of the files that hash to their name, and of those that do not."""

    intact: frozenset[str]
    changed: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """What became of the models that a ledger names.

    Attributes
    ----------
    present : int
        Named, and there.
    collected : int
        Named, not there and no longer needed.
    missing : dict of model to its role
        Not there, and needed.
    changed : dict of model to hash
        Files that are not what their name says, and what they hash to or are instead.
    unnamed : tuple of str
        Files that no block names: a candidate of a leg that a crash cut short.
    """

    present: int
    collected: int
    missing: dict[str, str]
    changed: dict[str, str]
    unnamed: tuple[str, ...]


class ReadOnlyModels(FolderStore):
    """A folder of models that is only read: what is put into it is named, and forgotten.

    All models of a run have the arrays of the first. Averaging others could make an array
    that is larger than both by far.
    """

    _shape: dict[str, Any] | None = None

    def put(self, arrays: Arrays) -> str:
        """The name that a model would have."""
        return model_name(canonical_bytes(arrays))

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays.

        Raises
        ------
        ModelMissingError, ModelDamagedError
            As of a folder; also when its arrays are not those of the models read before.
        """
        arrays = super().get(name)
        shape = {key: (array.dtype, array.shape) for key, array in arrays.items()}
        if self._shape not in (None, shape):
            raise ModelDamagedError(
                f"model {name[:12]}: expected the arrays of the run's other models, found others."
            )
        self._shape = shape
        return arrays


def find_models(folder: Path) -> FilesFound:
    """Hash every model file of a folder; one that goes away meanwhile is not there."""
    intact: set[str] = set()
    changed: dict[str, str] = {}
    room = _MOST_HOLES
    for path in _listed(folder):
        name = path.name.removesuffix(_SUFFIX)
        try:
            room, found = _hash_of(path, room)
        except FileNotFoundError:
            continue
        except OSError as problem:
            found = str(problem.strerror or problem)
        if found == name:
            intact.add(found)
        else:
            changed[name] = found
    return FilesFound(intact=frozenset(intact), changed=changed)


def _listed(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(_SUFFIX))
    except OSError:  # not there, not a folder or closed to us: no models that we could see
        return []
    return [folder / name for name in names]


def _hash_of(path: Path, room: int) -> tuple[int, str]:
    """What a file hashes to; and the bytes of holes that may still be read."""
    with os.fdopen(open_regular(path, follow=False), "rb") as file:
        status = os.fstat(file.fileno())
        holes = max(0, status.st_size - 512 * getattr(status, "st_blocks", status.st_size))
        if holes > room:  # by what the disk has written so far
            holes = _holes(file.fileno(), status.st_size)
        if holes > room:
            return room, f"{status.st_size} bytes, most of them holes"
        return room - holes, hashlib.file_digest(file, "sha256").hexdigest()


def _holes(file: int, size: int) -> int:
    """Bytes of a file that are on no disk, and in none of its caches."""
    data = end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # none after this
            break
        end = os.lseek(file, start, os.SEEK_HOLE)
        data += end - start
    os.lseek(file, 0, os.SEEK_SET)
    return size - data


def look_again(folder: Path, files: FilesFound, needed: Collection[str]) -> FilesFound:
    """What has become of files since they were found: some are gone, and what is needed is there.

    Parameters
    ----------
    needed : collection of str
        Models whose files may have come since.
    """
    still = {name for name in files.intact if os.path.lexists(folder / f"{name}{_SUFFIX}")}
    for name in set(needed) - still - files.changed.keys():
        try:
            _, found = _hash_of(folder / f"{name}{_SUFFIX}", _MOST_HOLES)
        except (OSError, ValueError):  # a name of a block need not be one of a file
            continue
        still |= {name} & {found}
    return FilesFound(intact=frozenset(still), changed=files.changed)


def compare_models(files: FilesFound, named: Collection[str], needed: dict[str, str]) -> ModelFiles:
    """Tell present, collected, missing, changed and unnamed models apart.

    Parameters
    ----------
    named : collection of str
        Every model that a block names.
    needed : dict of model to its role
        From `models_needed`.
    """
    there = files.intact | files.changed.keys()
    gone = set(named) - there
    return ModelFiles(
        present=len(files.intact & set(named)),
        collected=len(gone - needed.keys()),
        missing={name: role for name, role in needed.items() if name in gone},
        changed=files.changed,
        unnamed=tuple(sorted(files.intact - set(named))),
    )
