"""Models as bytes: the one spelling of each, by whose hash it is named.

It is safetensors, with arrays contiguous and no metadata.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from .arrays import read_array
from .regular import open_regular

__all__ = [
    "Arrays",
    "Piece",
    "arrays_of",
    "canonical_bytes",
    "model_name",
    "name_of",
    "named",
    "pieces_of",
    "read_apart",
]

Arrays = Mapping[str, NDArray[Any]]

_TYPES = {
    np.dtype(kind): name
    for kind, name in (
        ("<u8", "U64"), ("<i8", "I64"), ("<f8", "F64"), ("<c8", "C64"), ("<f4", "F32"),
        ("<u4", "U32"), ("<i4", "I32"), ("<f2", "F16"), ("<u2", "U16"), ("<i2", "I16"),
        ("i1", "I8"), ("u1", "U8"), ("?", "BOOL"),
    )
}  # fmt: skip
"""What safetensors calls the types of arrays, in the order in which it puts arrays in a file."""

_ORDER = list(_TYPES)
_BY_NAME = {name: kind for kind, name in _TYPES.items()}

Piece = bytes | memoryview


def pieces_of(arrays: Arrays) -> list[Piece]:
    """The canonical bytes of a model as its header and its arrays' own memory, copied nowhere."""
    names = list(arrays)
    plain = all(name.isascii() and name.isprintable() and name not in _RESERVED for name in names)
    if not plain or any(array.dtype not in _TYPES for array in arrays.values()):
        return [_by_the_library(arrays)]
    ordered = sorted(names, key=lambda name: (_ORDER.index(arrays[name].dtype), name))
    header: dict[str, Any] = {}
    pieces: list[Piece] = []
    place = 0
    for name in ordered:
        array = np.asarray(arrays[name])
        header[name] = {
            "dtype": _TYPES[array.dtype], "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }  # fmt: skip
        place += array.nbytes
        if array.nbytes:
            pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *pieces]


_RESERVED = ("", "__metadata__")


def _by_the_library(arrays: Arrays) -> bytes:
    return save({name: np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
                 for name in sorted(arrays)})  # fmt: skip


def _views_in(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a model's canonical bytes, as views of them."""
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, each in json.loads(data[8:start]).items():
        kind, (begin, end) = _BY_NAME[each["dtype"]], each["data_offsets"]
        count = (end - begin) // kind.itemsize
        found[name] = np.frombuffer(data, kind, count, start + begin).reshape(each["shape"])
    return found


def arrays_of(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a model, without a copy of it where it is spelled as we spell it."""
    with contextlib.suppress(*_MISSPELLED):
        return _views_in(data)
    return load(data)


def canonical_bytes(arrays: Arrays) -> bytes:
    """The one spelling of a model: safetensors, arrays contiguous, no metadata."""
    return b"".join(pieces_of(arrays))


def model_name(data: bytes) -> str:
    """SHA-256 of a model's canonical bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def name_of(arrays: Arrays) -> str:
    """The same of its arrays, without a copy of them."""
    return named(pieces_of(arrays))


def named(pieces: Iterable[Piece]) -> str:
    """The same of its canonical bytes in pieces."""
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
    return hashed.hexdigest()


def read_apart(path: Path, name: str) -> dict[str, NDArray[Any]] | None:
    """A model's arrays, read one by one; None where its file is not as it should be.

    What is wrong with it is for who reads the whole of it to say.
    """
    try:
        opened = open_regular(path, follow=True)
    except FileNotFoundError:
        return None
    with os.fdopen(opened, "rb") as file, contextlib.suppress(*_MISSPELLED):
        digest = hashlib.sha256()

        def read(room: memoryview) -> None:
            if file.readinto(room) != len(room):
                raise ValueError("it ends too soon")
            digest.update(room)

        found = _arrays_in(file, os.fstat(opened).st_size, read, digest.update)
        if digest.hexdigest() == name:
            return found
    return None


def _arrays_in(
    file: BinaryIO, size: int, read: Callable[[memoryview], None], passed: Callable[[bytes], None]
) -> dict[str, NDArray[Any]]:
    """The arrays of a file of `size` bytes; its header is compared with that before it is believed.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, RecursionError
        When it is spelled otherwise than we spell models.
    """
    start = file.read(8)
    place = 8 + int.from_bytes(start, "little")
    if place > size:
        raise ValueError("its header is longer than it is")
    header = file.read(place - 8)
    passed(start + header)
    found = {}
    for name, each in json.loads(header).items():
        kind, shape, (begin, end) = _BY_NAME[each["dtype"]], each["shape"], each["data_offsets"]
        last, place = place, place + math.prod(shape) * kind.itemsize
        if not last <= place <= size or end - begin != place - last:
            raise ValueError("its arrays do not follow each other")
        found[name] = read_array(kind, tuple(shape), read)
    if place != size:
        raise ValueError("something comes after its arrays")
    return found


_MISSPELLED = ValueError, KeyError, TypeError, AttributeError, RecursionError
