"""Arrays read from bytes of others: into arrays of plain numbers, or a ValueError.

Everything that comes to a server or a node as the bytes of arrays is read here: models as
safetensors, and Flower's arrays, which are numpy's files. A header may announce anything.
Nothing is allocated on its word: what it announces is compared with the bytes that are there,
and the arrays are views of those.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from ..files.arrays import file_of

__all__ = ["RESERVED", "array_of", "arrays_in", "as_sent", "misnamed", "strange_numbers"]

_TYPES = {
    "BOOL": np.dtype(np.bool_),
    "I8": np.dtype("<i1"), "I16": np.dtype("<i2"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
    "U8": np.dtype("<u1"), "U16": np.dtype("<u2"), "U32": np.dtype("<u4"), "U64": np.dtype("<u8"),
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "C64": np.dtype("<c8"),
}  # fmt: skip
"""The types that both numpy and safetensors have, as safetensors calls them."""

_NUMPY_TYPES = frozenset(_TYPES.values())

_LONGEST_HEADER = 10_000_000
"""Bytes of a model's names and shapes, enough for a hundred thousand arrays; the library takes
ten times as many, and needs some twenty times their room to read them."""

RESERVED = "__metadata__"
"""What safetensors calls something else than an array."""


def arrays_in(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a model in safetensors bytes.

    Raises
    ------
    ValueError
        When the bytes are something else, or hold types that numpy does not have.
    """
    length = int.from_bytes(data[:8], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header announces {length} bytes, and {_LONGEST_HEADER} are read")
    try:
        found = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as problem:
        raise ValueError(str(problem)) from problem
    return {str(name): _tensor(str(name), tensor) for name, tensor in found}


def _tensor(name: str, tensor: Mapping[str, Any]) -> NDArray[Any]:
    kind = _TYPES.get(tensor["dtype"])
    if kind is None:
        raise ValueError(
            f"array {name[:60]!r} is of type {tensor['dtype']}; read are {', '.join(_TYPES)}"
        )
    try:
        return np.frombuffer(tensor["data"], kind).reshape(tensor["shape"])
    except (ValueError, OverflowError) as problem:  # no numbers, in a shape that numpy refuses
        raise ValueError(f"array {name[:60]!r} has no possible shape: {problem}") from problem


def array_of(packed: Array) -> NDArray[Any]:
    """What Flower's array holds, in this machine's byte order.

    Returns
    -------
    ndarray
        A view of the array's bytes where it can be one; it is not to be written to.

    Raises
    ------
    ValueError
        When the bytes are no numpy file of exactly the numbers that it announces, or those are
        of a type that no model can be kept in.
    """
    if packed.stype != "numpy.ndarray":
        raise ValueError(f"it is packed as {packed.stype[:60]!r}, which would be code to run")
    file = io.BytesIO(packed.data)
    shape, by_columns, kind = _announced(file)
    native = kind.newbyteorder("=")
    if kind.hasobject or native not in _NUMPY_TYPES:
        raise ValueError(f"it is of type {str(kind)[:60]}; read are {_numpy_names()}")
    count, start = math.prod(shape), file.tell()
    if count < 0 or min(shape, default=0) < 0 or len(packed.data) - start != count * kind.itemsize:
        raise ValueError(
            f"its header announces {count} numbers of {kind.itemsize} bytes, and "
            f"{len(packed.data) - start} bytes are there"
        )
    try:
        flat = np.frombuffer(packed.data, kind, count, start)
        array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    except (ValueError, OverflowError) as problem:
        raise ValueError(f"its shape is not possible: {problem}") from problem
    return array.astype(native, copy=False)


def as_sent(array: NDArray[Any]) -> Array:
    """An array as Flower sends it: without a copy where it came out of a numpy file."""
    return Array(
        dtype=str(array.dtype), shape=array.shape, stype="numpy.ndarray", data=file_of(array)
    )


def _announced(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, by the header of a numpy file."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"it is a numpy file of version {version}")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        with warnings.catch_warnings():  # of Python, about what others wrote as if it were code
            warnings.simplefilter("ignore")
            shape, by_columns, kind = read(file)
    except Exception as problem:  # numpy has Python read the header, which can fail in many ways
        raise ValueError(f"it is no numpy file: {str(problem)[:200]}") from problem
    return shape, by_columns, kind


def _numpy_names() -> str:
    return ", ".join(sorted(str(kind) for kind in _NUMPY_TYPES))


def misnamed(name: str) -> str | None:
    """Why an array cannot be called that, or None.

    Safetensors reserves a name. A name without letters, or with characters that steer a
    terminal, would be a riddle or worse in every message about the array.
    """
    if name == RESERVED:
        return "is reserved by safetensors, in which models are kept"
    if not name:
        return "is empty"
    return None if name.isprintable() else "holds characters that cannot be printed"


def strange_numbers(array: NDArray[Any], base: NDArray[Any] | None) -> bool:
    """Whether an array holds NaN, or an infinity that its base has not in the same place.

    Parameters
    ----------
    array : array
        Of any shape and type.
    base : array or None
        What the array was made from; None where that is not known, and every infinity is one
        that was meant, as in a mask.
    """
    if array.dtype.kind not in "fc":
        return False
    strange = ~np.isfinite(array)
    if not strange.any():
        return False
    if base is None:
        return bool(np.isnan(array).any())
    if base.shape != array.shape:
        return True
    return bool((strange & (array != base)).any())
