"""The last few models that a node saw, so that it need only be sent what is new.

They are kept in the node's state, or in a folder where its config names one
(`relay-cache-dir`), the last used last, and never beyond a number and a size. What is kept is
looked up by hash, and has it: a file that was changed counts as not there.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from logging import WARNING
from pathlib import Path
from typing import Any, Protocol

from flwr.app import ConfigRecord, Context
from flwr.common import log
from numpy.typing import NDArray

from ..errors import ConfigurationError
from ..files.durable import make_folder
from ..store import model_name
from ..wire.arrays import arrays_in
from ..wire.parcels import MOST_MODELS

__all__ = ["ModelCache", "cache_of"]

_STATE = "relay-models"

_IN_STATE, _IN_FOLDER = 64_000_000, 2_000_000_000
"""Bytes kept unless the node's config says otherwise (`relay-cache-bytes`)."""

_SHARED: OrderedDict[str, bytes] = OrderedDict()
_MOST_SHARED = 64
"""Nodes of one process (a simulation's) keep the same model once, as long as that takes no more
room than one of them has."""


class ModelCache(Protocol):
    """Models by name, bounded."""

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        """A model's arrays, or None; what is used is kept longest."""

    def put(self, name: str, data: bytes) -> None:
        """Keep a model's bytes, if so many may be, and forget the oldest beyond the bounds."""

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
            zip(kept.get("names", []), kept.get("models", []), strict=False)
        )

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        data = self._kept.get(name)
        if data is None:
            return None
        self.put(name, data)
        return arrays_in(data)

    def put(self, name: str, data: bytes) -> None:
        if len(data) > self._most:
            return
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
        try:
            make_folder(folder)
        except OSError as problem:
            raise ConfigurationError(
                f"relay-cache-dir = {str(folder)!r} in the node config: expected a folder that is "
                f"there or can be made, but: {problem.strerror}. No message is answered until it "
                "is one, or left out."
            ) from problem

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        with contextlib.suppress(OSError, ValueError):
            data = self._path(name).read_bytes()
            if model_name(data) == name:
                os.utime(self._path(name))
                return arrays_in(data)
        return None

    def put(self, name: str, data: bytes) -> None:
        if len(data) > self._most:
            return
        try:
            self._write(name, data)
        except OSError as problem:  # a full disk, a file that is in use: it is sent again
            log(WARNING, "Model %s is not kept in %s: %s", name[:12], self._folder, problem)

    def _write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        unfinished = path.with_suffix(".part")
        try:
            unfinished.write_bytes(data)  # not synced: what is lost is sent again
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        files = self._files()
        size = sum(each for _, each, _ in files)
        while files and (len(files) > MOST_MODELS or size > self._most):
            _, oldest, path = files.pop(0)
            path.unlink(missing_ok=True)
            size -= oldest

    def names(self) -> list[str]:
        return [path.stem for _, _, path in self._files()]

    def _files(self) -> list[tuple[int, int, Path]]:
        """When each file was last used, its size in bytes, and the file; the oldest first."""
        found = []
        for path in self._folder.glob("*.safetensors"):
            with contextlib.suppress(OSError):  # another process of the node may let go of it
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        return sorted(found)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def _shared(name: str, data: bytes) -> bytes:
    kept = _SHARED.setdefault(name, data)
    _SHARED.move_to_end(name)
    size = sum(map(len, _SHARED.values()))
    while len(_SHARED) > _MOST_SHARED or size > _IN_STATE:
        size -= len(_SHARED.popitem(last=False)[1])
    return kept
