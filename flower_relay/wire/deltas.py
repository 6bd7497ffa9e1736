"""Models as differences: what is sent to who already holds a model that is close by.

A difference is bytes and nothing else: which arrays there are, of what shape and type, is
known from the model that both sides hold, and with it how long the bytes are once they are
unpacked. Nothing is unpickled, and nothing longer is ever made of them.

`exact` gives every bit back: the two models' bits, exclusive-or'd and sorted by place, of
which most are zero. `fp16` and `int8` round each array's change, `int8` to 255 levels of the
array's own largest change; what comes back is then another model, close to the one meant,
and the same bits wherever it is computed. An array that did not change comes back with every
bit in each of them. Whatever is infinite in both models in the same place has not changed there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..settings import ENCODINGS

__all__ = ["ENCODINGS", "decode", "encode"]

Arrays = Mapping[str, NDArray[Any]]

_LEVEL = 1
"""zlib's fastest: the slower ones gain some two per cent on weights."""

_SCALE = np.dtype("<f4")


def encode(arrays: Arrays, reference: Arrays, encoding: str) -> bytes:
    """The difference between a model and one that the receiver holds.

    Parameters
    ----------
    arrays, reference : mapping of name to array
        With the same names, shapes and types.
    encoding : str
        One of `ENCODINGS`. Arrays that are not of floats are always exact.

    Raises
    ------
    ValueError
        When the two are not alike, or a change is too large for the encoding.
    """
    if _form(arrays) != _form(reference):
        raise ValueError("the models differ in names, shapes or types of their arrays")
    packer = zlib.compressobj(_LEVEL)
    parts: list[bytes] = []
    for name in sorted(arrays):
        parts += [packer.compress(part) for part in _parts(arrays[name], reference[name], encoding)]
    return b"".join([*parts, packer.flush()])


def decode(data: bytes, reference: Arrays, encoding: str) -> dict[str, NDArray[Any]]:
    """The model that a difference to `reference` stands for.

    Raises
    ------
    ValueError
        When the bytes are no such difference, or what they give is not finite where the
        reference has something else.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is none of {', '.join(ENCODINGS)}")
    size = sum(_size(array, encoding) for array in reference.values())
    unpacked = _unpacked(data, size)
    found: dict[str, NDArray[Any]] = {}
    place = 0
    for name in sorted(reference):
        array = reference[name]
        end = place + _size(array, encoding)
        found[name] = _whole(unpacked[place:end], array, encoding)
        place = end
    return found


def _form(arrays: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, array.dtype.str) for name, array in arrays.items()}


def _rounds(array: NDArray[Any], encoding: str) -> bool:
    return encoding != "exact" and array.dtype.kind == "f"


def _size(array: NDArray[Any], encoding: str) -> int:
    if not _rounds(array, encoding):
        return array.nbytes
    return 2 * array.size if encoding == "fp16" else _SCALE.itemsize + array.size


def _parts(array: NDArray[Any], reference: NDArray[Any], encoding: str) -> list[bytes]:
    """An array's difference in bytes that compress well."""
    if not _rounds(array, encoding):
        return [_by_place(_bits(array) ^ _bits(reference)).tobytes()]
    change = _change(_wide(array), _wide(reference))
    if encoding == "fp16":
        with np.errstate(over="ignore"):
            half = change.astype("<f2")
        if not np.isfinite(half).all():
            raise ValueError("a change is too large for 16 bits")
        return [_by_place(_bits(half)).tobytes()]
    with np.errstate(over="ignore"):
        scale = _SCALE.type(np.abs(change).max(initial=0.0) / 127)
    if scale < np.finfo(_SCALE).tiny:
        return [bytes(_SCALE.itemsize + array.size)]
    if not np.isfinite(scale):
        raise ValueError("a change is too large for 8 bits")
    levels = np.clip(np.rint(change / scale), -127, 127).astype(np.int8)
    return [scale.tobytes(), levels.tobytes()]


def _change(array: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """What was added to a reference; nothing where both have the same, infinities included."""
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.asarray(array - reference)
    if not np.isfinite(change).all():
        change = np.where(array == reference, change.dtype.type(0), change)
        if not np.isfinite(change).all():
            raise ValueError("a change is not finite")
    return change


def _whole(data: bytes, reference: NDArray[Any], encoding: str) -> NDArray[Any]:
    """An array from its difference."""
    if not _rounds(reference, encoding):
        planes = np.frombuffer(data, np.uint8).reshape(reference.dtype.itemsize, -1)
        bits = np.ascontiguousarray(planes.T) ^ _bits(reference)
        exact: NDArray[Any] = bits.reshape(-1).view(reference.dtype).reshape(reference.shape)
        return exact
    wide = _wide(reference)
    if encoding == "fp16":
        planes = np.frombuffer(data, np.uint8).reshape(2, -1)
        change = np.ascontiguousarray(planes.T).reshape(-1).view("<f2").astype(wide.dtype)
    else:
        scale = np.frombuffer(data, _SCALE, count=1)[0]
        levels = np.frombuffer(data, np.int8, offset=_SCALE.itemsize)
        with np.errstate(over="ignore", invalid="ignore"):
            change = levels.astype(wide.dtype) * wide.dtype.type(scale)
    if not change.any():
        return reference  # its own bits: adding nothing would turn -0 into 0
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.asarray(wide + change.reshape(wide.shape)).astype(reference.dtype)
    if not (np.isfinite(array) | (array == reference)).all():
        raise ValueError("the difference leads to numbers that are not finite")
    return array


def _bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array's bytes, one row a number."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)


def _by_place(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All first bytes, then all second ones: those of sign and exponent hardly differ."""
    return np.ascontiguousarray(bits.T)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    """At least 32 bits, so that sums are the same wherever they are made."""
    return array if array.dtype.itemsize > 4 else array.astype(np.dtype(np.float32))


def _unpacked(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes; no more are ever made."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, size + 1)
    except zlib.error as problem:
        raise ValueError(f"the bytes are damaged: {problem}") from problem
    if len(found) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"the bytes should unpack to {size}, and do not")
    return found
