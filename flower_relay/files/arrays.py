"""Arrays with the bytes of their numpy file before them, as Flower sends arrays.

An array that was read like this needs no copy to be sent: its file is what it is a view of.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["file_behind", "file_of", "read_array"]

_PIECE = 1 << 20
"""Bytes that are read at a time."""


def read_array(
    kind: np.dtype[Any], shape: tuple[int, ...], read: Callable[[memoryview], None]
) -> NDArray[Any]:
    """An array of numbers that are read straight into its numpy file.

    Parameters
    ----------
    read : callable
        Fills the room that it is given, piece by piece.
    """
    header = _header(kind, shape)
    count = int(np.prod(shape, dtype=np.int64))
    # As long as nobody else has its bytes, these are written to, and handed out, in place.
    file = io.BytesIO(bytes(len(header) + count * kind.itemsize))
    with file.getbuffer() as room:
        room[: len(header)] = header
        for start in range(len(header), len(room), _PIECE):
            read(room[start : start + _PIECE])
    return np.frombuffer(file.getvalue(), kind, count, len(header)).reshape(shape)


def file_behind(array: NDArray[Any]) -> bytes | None:
    """The bytes of the numpy file that an array is a view of; None where it is of none."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not isinstance(owner, bytes) or not array.nbytes or not array.flags.c_contiguous:
        return None
    header = _header(array.dtype, array.shape)
    if len(owner) != len(header) + array.nbytes or not owner.startswith(header):
        return None
    begins = np.frombuffer(owner, np.uint8).ctypes.data + len(header)
    return owner if begins == array.ctypes.data else None


def file_of(array: NDArray[Any]) -> bytes:
    """The bytes of an array's numpy file: those behind it, or a copy."""
    if (found := file_behind(array)) is not None:
        return found
    flat = np.ascontiguousarray(array).reshape(-1)
    return b"".join([_header(array.dtype, array.shape), flat.view(np.uint8).data])


def _header(kind: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    described = np.lib.format.dtype_to_descr(kind)
    np.lib.format.write_array_header_1_0(
        file, {"descr": described, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
