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
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.pieces import PIECE, pieces
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
    packed = [
        packer.compress(part)
        for name in sorted(arrays)
        for part in _parts(arrays[name], reference[name], encoding)
    ]
    return b"".join([*packed, packer.flush()])


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
    unpacked = _unpacked(data, sum(_size(array, encoding) for array in reference.values()))
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


def _parts(array: NDArray[Any], reference: NDArray[Any], encoding: str) -> Iterator[bytes]:
    """An array's difference in bytes that compress well.

    All first bytes of its numbers, then all second ones: those of sign and exponent hardly differ.
    """
    if _rounds(array, encoding):
        yield from _halves(array, reference) if encoding == "fp16" else _levels(array, reference)
        return
    for place in range(array.dtype.itemsize):
        for now, before in pieces(array, reference):
            yield (_bits(now)[:, place] ^ _bits(before)[:, place]).tobytes()


def _halves(array: NDArray[Any], reference: NDArray[Any]) -> Iterator[bytes]:
    """Each change in 16 bits."""
    for place in range(2):
        for now, before in pieces(array, reference):
            with np.errstate(over="ignore"):
                half = _change(_wide(now), _wide(before)).astype("<f2")
            if not np.isfinite(half).all():
                raise ValueError("a change is too large for 16 bits")
            yield _bits(half)[:, place].tobytes()


def _levels(array: NDArray[Any], reference: NDArray[Any]) -> Iterator[bytes]:
    """The largest change of an array as a scale, and each change in levels of it."""
    most = 0.0
    for now, before in pieces(array, reference):
        most = max(most, np.abs(_change(_wide(now), _wide(before))).max())
    with np.errstate(over="ignore"):
        scale = _SCALE.type(most / 127)
    if not np.isfinite(scale):
        raise ValueError("a change is too large for 8 bits")
    still = scale < np.finfo(_SCALE).tiny
    yield bytes(_SCALE.itemsize) if still else scale.tobytes()
    for now, before in pieces(array, reference):
        if still:
            yield bytes(now.size)
            continue
        change = _change(_wide(now), _wide(before))
        yield np.clip(np.rint(change / scale), -127, 127).astype(np.int8).tobytes()


def _change(array: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """What was added to a reference; nothing where both have the same, infinities included."""
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.asarray(array - reference)
    if not np.isfinite(change).all():
        change = np.where(array == reference, change.dtype.type(0), change)
        if not np.isfinite(change).all():
            raise ValueError("a change is not finite")
    return change


def _whole(data: NDArray[np.uint8], reference: NDArray[Any], encoding: str) -> NDArray[Any]:
    """An array from its difference."""
    made = np.empty(reference.shape, reference.dtype)
    if _rounds(reference, encoding):
        return made if _adds(data, reference, encoding, made) else reference
    planes = data.reshape(reference.dtype.itemsize, -1)
    for place, plane in enumerate(planes):
        _bits(made)[:, place] = plane
    bits = _bits(made)
    for now, before in pieces(bits, _bits(reference)):
        now ^= before
    return made


def _adds(
    data: NDArray[np.uint8], reference: NDArray[Any], encoding: str, made: NDArray[Any]
) -> bool:
    """Write a reference and its rounded changes; whether there is a change at all.

    Where there is none its own bits have to stay: adding nothing would turn -0 into 0.
    """
    changes = _changes(data, encoding, _wide(reference.reshape(-1)[:0]).dtype)
    moved, finite = False, True
    for (now, before), change in zip(pieces(made, reference), changes, strict=True):
        moved = moved or bool(change.any())
        with np.errstate(over="ignore", invalid="ignore"):
            now[:] = (_wide(before) + change).astype(made.dtype)
        finite = finite and bool((np.isfinite(now) | (now == before)).all())
    if moved and not finite:
        raise ValueError("the difference leads to numbers that are not finite")
    return moved


def _changes(data: NDArray[np.uint8], encoding: str, wide: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """The rounded changes of an array, piece by piece."""
    if encoding == "fp16":
        planes = data.reshape(2, -1)
        for start in range(0, planes.shape[1], PIECE):
            piece = np.ascontiguousarray(planes[:, start : start + PIECE].T)
            yield piece.reshape(-1).view("<f2").astype(wide)
        return
    scale = wide.type(data[: _SCALE.itemsize].view(_SCALE)[0])
    levels = data[_SCALE.itemsize :].view(np.int8)
    for start in range(0, levels.size, PIECE):
        with np.errstate(over="ignore", invalid="ignore"):
            yield levels[start : start + PIECE].astype(wide) * scale


def _bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array's bytes, one row a number."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    """At least 32 bits, so that sums are the same wherever they are made."""
    return array if array.dtype.itemsize > 4 else array.astype(np.dtype(np.float32))


def _unpacked(data: bytes, size: int) -> NDArray[np.uint8]:
    """Exactly `size` bytes; no more are ever made."""
    unpacker, found, place = zlib.decompressobj(), np.empty(size, np.uint8), 0
    try:
        for start in range(0, len(data), PIECE):
            left = data[start : start + PIECE]
            while piece := unpacker.decompress(left, min(PIECE, size - place + 1)):
                if (end := place + len(piece)) > size:
                    raise _misfit(size)
                found[place:end] = np.frombuffer(piece, np.uint8)
                place, left = end, unpacker.unconsumed_tail
    except zlib.error as problem:
        raise ValueError(f"the bytes are damaged: {problem}") from problem
    if place != size or not unpacker.eof or unpacker.unused_data:
        raise _misfit(size)
    return found


def _misfit(size: int) -> ValueError:
    return ValueError(f"the bytes should unpack to {size}, and do not")
