"""Models by content: named by the SHA-256 of their canonical safetensors bytes.

`ModelStore` is what a run needs of a store; `MemoryStore` keeps models in memory and
`FolderStore` in files, which a run with large models or long legs wants. Any array that
Flower carries is kept, integer counters and scalars included.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .errors import StoreError

__all__ = ["Arrays", "FolderStore", "MemoryStore", "ModelStore", "canonical_bytes", "model_name"]

Arrays = Mapping[str, NDArray[Any]]


def canonical_bytes(arrays: Arrays) -> bytes:
    """The one spelling of a model: names sorted, arrays contiguous, no metadata."""
    return save({name: np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
                 for name in sorted(arrays)})  # fmt: skip


def model_name(data: bytes) -> str:
    """SHA-256 of a model's canonical bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


class ModelStore(Protocol):
    """Where models are kept by name."""

    def put(self, arrays: Arrays) -> str:
        """Keep a model; its name."""

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays."""

    def keep_only(self, names: Iterable[str]) -> None:
        """Let go of every other model."""


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
        """A model's arrays, freshly unpacked.

        Raises
        ------
        StoreError
            When no model of that name is kept.
        """
        if name not in self._models:
            raise StoreError(f"model {name[:12]} is not in the store.")
        return load(self._models[name])

    def keep_only(self, names: Iterable[str]) -> None:
        """Let go of every other model."""
        wanted = set(names)
        self._models = {name: data for name, data in self._models.items() if name in wanted}

    def __len__(self) -> int:
        """How many models are kept."""
        return len(self._models)


class FolderStore:
    """A store of files, `HASH.safetensors`, written whole or not at all.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, arrays: Arrays) -> str:
        """Keep a model: write it beside, sync it, and only then give it its name."""
        data = canonical_bytes(arrays)
        name = model_name(data)
        if not self._path(name).exists():
            unfinished = self._folder / f"{name}.part"
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._path(name))
        return name

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays, once its bytes are seen to be the ones it is named for.

        Raises
        ------
        StoreError
            When the file is missing, or its bytes have another hash.
        """
        path = self._path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(f"model {name[:12]} is not in {self._folder}.") from None
        found = model_name(data)
        try:
            if found == name:
                return load(data)
        except SafetensorError as problem:
            raise StoreError(f"{path} is not a safetensors file: {problem}") from problem
        raise StoreError(f"{path} was changed: its bytes hash to {found[:12]}.")

    def keep_only(self, names: Iterable[str]) -> None:
        """Delete the files of every other model."""
        wanted = {self._path(name) for name in names}
        for path in self._folder.glob("*.safetensors"):
            if path not in wanted:
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"
