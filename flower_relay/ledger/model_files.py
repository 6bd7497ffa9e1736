"""The models of a run's folder against what its ledger names.

A file must hash to its name. A model that is not there was collected, which is how disk
use stays bounded, unless the run cannot go on (or be used) without it: then it is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..store import Arrays, FolderStore, canonical_bytes, model_name

__all__ = ["FilesFound", "ModelFiles", "ReadOnlyModels", "compare_models", "find_models"]

_SUFFIX = ".safetensors"


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
        Files that are not what their name says, and what they hash to.
    unnamed : tuple of str
        Files that no block names: a candidate of a leg that a crash cut short.
    """

    present: int
    collected: int
    missing: dict[str, str]
    changed: dict[str, str]
    unnamed: tuple[str, ...]


class ReadOnlyModels(FolderStore):
    """A folder of models that is only read: what is put into it is named, and forgotten."""

    def put(self, arrays: Arrays) -> str:
        """The name that a model would have."""
        return model_name(canonical_bytes(arrays))


def find_models(folder: Path) -> FilesFound:
    """Hash every model file of a folder."""
    intact: set[str] = set()
    changed: dict[str, str] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == path.name.removesuffix(_SUFFIX):
            intact.add(found)
        else:
            changed[path.name.removesuffix(_SUFFIX)] = found
    return FilesFound(intact=frozenset(intact), changed=changed)


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
