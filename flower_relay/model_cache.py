"""The last few models that a node saw, so that it need only be sent what is new.

They are kept in the node's state, or in a folder where its config names one
(`relay-cache-dir`), the last used last, and never beyond a number and a size. What is kept is
looked up by hash, and has it: a file that was changed counts as not there.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from flwr.app import ConfigRecord, Context
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from .durable import make_folder
from .errors import ConfigurationError
from .store import model_name

__all__ = ["MOST_MODELS", "PREFIX", "ModelCache", "cache_of"]

PREFIX = 16
"""Digits of a hash by which a node says what it holds."""

_STATE = "relay-models"
MOST_MODELS = 16
"""A test of a leg of four is of up to eleven models, and the next leg starts from any of them."""

_IN_STATE, _IN_FOLDER = 64_000_000, 2_000_000_000
"""Bytes kept unless the node's config says otherwise (`relay-cache-bytes`)."""

_SHARED: OrderedDict[str, bytes] = OrderedDict()
_MOST_SHARED = 64
"""Nodes of one process (a simulation's) keep the same model once."""


class ModelCache(Protocol):
    """Models by name, bounded."""

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        """A model's arrays, or None; what is used is kept longest."""

    def put(self, name: str, data: bytes) -> None:
        """Keep a model's canonical bytes, and forget the oldest beyond the bounds."""

    def names(self) -> list[str]:
        """What is held, oldest first."""
        ...


def cache_of(context: Context) -> ModelCache:
    """The cache that a node's config asks for.

    Raises
    ------
    ConfigurationError
        When `relay-cache-bytes` is not a number of bytes.
    """
    folder = context.node_config.get("relay-cache-dir")
    most = context.node_config.get("relay-cache-bytes", _IN_FOLDER if folder else _IN_STATE)
    if type(most) is not int or most < 0:
        raise ConfigurationError(
            f"relay-cache-bytes = {most!r} in the node config: expected a whole number of bytes, "
            "0 to keep no models. No message is answered until it is one, or left out."
        )
    return _InFolder(Path(str(folder)), most) if folder else _InState(context, most)


class _InState:
    """In the node's own state, which Flower keeps from message to message."""

    def __init__(self, context: Context, most: int) -> None:
        self._state, self._most = context.state, most
        record = self._state.get(_STATE)
        kept: dict[str, Any] = dict(record) if isinstance(record, ConfigRecord) else {}
        self._kept: dict[str, bytes] = dict(
            zip(kept.get("names", []), kept.get("models", []), strict=True)
        )

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        data = self._kept.get(name)
        if data is None:
            return None
        self.put(name, data)
        return load(data)

    def put(self, name: str, data: bytes) -> None:
        self._kept.pop(name, None)
        self._kept[name] = _shared(name, data)
        while self._kept and (
            len(self._kept) > MOST_MODELS or sum(map(len, self._kept.values())) > self._most
        ):
            del self._kept[next(iter(self._kept))]
        self._state[_STATE] = ConfigRecord(
            {"names": list(self._kept), "models": list(self._kept.values())}
        )

    def names(self) -> list[str]:
        return list(self._kept)


class _InFolder:
    """Files named by their hashes; for models that a state is too small for."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        make_folder(folder)

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        with contextlib.suppress(OSError, SafetensorError):
            data = self._path(name).read_bytes()
            if model_name(data) == name:
                os.utime(self._path(name))
                return load(data)
        return None

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(data)  # not synced: what is lost is sent again
        unfinished.replace(path)
        files = self._files()
        while files and (len(files) > MOST_MODELS or self._size(files) > self._most):
            files.pop(0).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return [path.stem for path in self._files()]

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)

    def _size(self, files: list[Path]) -> int:
        return sum(path.stat().st_size for path in files)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def _shared(name: str, data: bytes) -> bytes:
    kept = _SHARED.setdefault(name, data)
    _SHARED.move_to_end(name)
    if len(_SHARED) > _MOST_SHARED:
        _SHARED.popitem(last=False)
    return kept
