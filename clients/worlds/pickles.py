"""Two data files that are pickles, read without running anything that they name.

Arrays of numpy are made by numpy's own constructors. Data frames are made of stand-ins that
hold what the pickle says of them, so that no pandas is needed (pandas 3 cannot load a frame
of 2020 either).
"""

from __future__ import annotations

import codecs
import gzip
import pickle
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.worlds.packages import CheckedUnpickler
from flower_relay.errors import ConfigurationError

__all__ = ["Frame", "frames_in", "unpickled"]

_ARRAYS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray _reconstruct": np.ndarray(0).__reduce__()[0],  # type: ignore[dict-item]
    "numpy ndarray": np.ndarray,
    "numpy dtype": np.dtype,
    "_codecs encode": codecs.encode,
}


class _Stand:
    """Holds the state that a pickle gives it, whatever class it stands for."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Frame(_Stand):
    """Stands for a data frame of pandas 1."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """Its columns by name, each of shape (rows,)."""
        axes, *_, parts = self.state["_data"].state
        names = axes[0].tolist()
        found: dict[str, NDArray[Any]] = {}
        for block in parts["0.14.1"]["blocks"]:
            places = block["mgr_locs"]
            chosen = names[places] if isinstance(places, slice) else [names[i] for i in places]
            found |= dict(zip(chosen, block["values"], strict=True))
        return found


class _Index(_Stand):
    """Stands for an index: its labels, or nothing for a plain range."""

    def tolist(self) -> list[str]:
        """The labels."""
        return [str(label) for label in self.state["data"]]


def _new_index(kind: type[_Index], state: Any) -> _Index:
    made = kind()
    made.state = state
    return made


def _reconstructed(kind: type[_Stand], *_: Any) -> _Stand:
    return kind()


_FRAMES: dict[str, Callable[..., Any]] = {
    "copy_reg _reconstructor": _reconstructed,
    "__builtin__ object": object,
    "__builtin__ slice": slice,
    "pandas.core.frame DataFrame": Frame,
    "pandas.core.internals.managers BlockManager": _Stand,
    "pandas.core.indexes.base _new_Index": _new_index,
    "pandas.core.indexes.base Index": _Index,
    "pandas.core.indexes.range RangeIndex": _Index,
}

_BAD = (OSError, EOFError, zlib.error, pickle.UnpicklingError, ValueError, TypeError, KeyError,
        AttributeError, IndexError, OverflowError, MemoryError)  # fmt: skip


def unpickled(path: Path, allowed: Mapping[str, Callable[..., Any]] = _ARRAYS) -> Any:
    """What a gzipped pickle holds: arrays in tuples, lists and dicts.

    Raises
    ------
    ConfigurationError
        When it cannot be read, or names anything else.
    """
    try:
        return CheckedUnpickler(gzip.decompress(path.read_bytes()), allowed).load()
    except _BAD as problem:
        why = str(problem) or "it asks for more memory than there is"
        raise ConfigurationError(f"{path} cannot be read: {why}.") from problem


def frames_in(path: Path) -> dict[int, list[dict[str, NDArray[Any]]]]:
    """Lists of data frames by number, each frame as its columns.

    Raises
    ------
    ConfigurationError
        When it cannot be read, or holds something else.
    """
    found = unpickled(path, _ARRAYS | _FRAMES)
    try:
        return {int(key): [frame.columns() for frame in frames] for key, frames in found.items()}
    except _BAD as problem:
        raise ConfigurationError(f"{path} holds no lists of data frames: {problem}.") from problem
