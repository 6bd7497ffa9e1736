"""What a trainer with the mod hands on: its result as the difference to the base it was given.

Exact, the difference gives every bit back. Rounded, the model that is handed on *is* base
plus rounded change, so that its hash is exact all the same; what was rounded off is kept in
the node's state and added to its next result (error feedback, after Seide et al. 2014). A
change that rounding would leave nothing of is handed on exactly.
"""

from __future__ import annotations

from functools import cache
from logging import INFO
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context
from flwr.common import log
from numpy.typing import NDArray

from ..rules.candidates import fitting
from ..store import Arrays, canonical_bytes, model_name
from ..wire.arrays import arrays_in, strange_numbers
from ..wire.deltas import ENCODINGS, decode, encode
from ..wire.parcels import ONE_PIECE, Step, difference_to, whole
from ..wire.requests import brief
from .model import Model

__all__ = ["exactly", "handed_on", "in_types_of", "rounded"]

_STATE = "relay-rounded-off"


def in_types_of(parent: Model, model: Model) -> Model:
    """A model with the number types of its base, where training could not see what a cast loses.

    Some libraries compute in one precision only. By the same rule the server casts what comes as
    plain arrays, so that what is signed is what it finds.
    """
    cast = {
        name: _cast(name, array, parent.arrays[name])
        for name, array in model.arrays.items()
        if name in parent.arrays and array.dtype != parent.arrays[name].dtype
    }
    if all(array is model.arrays[name] for name, array in cast.items()):
        return model
    arrays = model.arrays | cast
    data = canonical_bytes(arrays)
    return Model(name=model_name(data), arrays=arrays, data=data)


def _cast(name: str, array: NDArray[Any], base: NDArray[Any]) -> NDArray[Any]:
    """An array in its base's type; itself where that does not fit or makes it infinite."""
    cast = fitting(array, base.dtype)
    if cast is None or strange_numbers(cast, base):
        return array
    _say_cast(name, str(base.dtype), str(array.dtype))
    return cast


@cache
def _say_cast(name: str, expected: str, found: str) -> None:
    log(
        INFO,
        "Array %s of the ClientApp's result is of %s, and its base's of %s: it is cast to that.",
        brief(name),
        found,
        expected,
    )


def handed_on(context: Context, model: Model, parent: Model, encoding: object) -> Step | None:
    """The step from a base to a trained model, or None where its arrays are best sent.

    Parameters
    ----------
    encoding : object
        What the server asks for; anything but one of `ENCODINGS` asks for nothing.
    """
    if encoding not in ENCODINGS:
        return None
    try:
        near = None if encoding == "exact" else _rounded(context, model, parent, str(encoding))
        return near or exactly(model, parent)
    except ValueError:
        return None  # other shapes than the base's are the server's to judge


def rounded(model: Model, parent: Model, step: Step) -> Model:
    """What a rounded step leads to in place of the trained model."""
    arrays = decode(step.data, parent.arrays, step.encoding)
    return Model(name=step.model, arrays=arrays, data=canonical_bytes(arrays))


def exactly(model: Model, parent: Model) -> Step | None:
    """The step from a base to a model bit for bit; None where its arrays are best sent."""
    data = encode(model.arrays, parent.arrays, "exact")
    if len(data) < len(model.data):
        return difference_to(parent.name, model.name, "exact", data)
    return whole(model.name, model.data) if len(model.data) <= ONE_PIECE else None


def _rounded(context: Context, model: Model, parent: Model, encoding: str) -> Step | None:
    """A rounded step; None where the change is too large for it, or too small."""
    wanted = _with_leftover(context, model.arrays)
    try:
        data = encode(wanted, parent.arrays, encoding)
        rounded = decode(data, parent.arrays, encoding)
    except ValueError:
        return None
    name = model_name(canonical_bytes(rounded))
    if name == parent.name:
        return None
    _keep_leftover(context, wanted, rounded)
    return difference_to(parent.name, name, encoding, data)


def _with_leftover(context: Context, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """A result with what was rounded off the node's last one added to it."""
    record = context.state.get(_STATE)
    data = record.get("data") if isinstance(record, ConfigRecord) else None
    left = arrays_in(data) if isinstance(data, bytes) else {}
    return {
        name: _sum(array, left[name])
        if name in left and left[name].shape == array.shape and array.dtype.kind == "f"
        else array
        for name, array in arrays.items()
    }


def _sum(array: NDArray[Any], left: NDArray[Any]) -> NDArray[Any]:
    """An array and what is left over; itself where that is too large a number."""
    with np.errstate(over="ignore"):
        total = np.asarray(array + left).astype(array.dtype)
    return np.where(np.isfinite(total), total, array)


def _keep_leftover(context: Context, wanted: Arrays, rounded: Arrays) -> None:
    left = {
        name: _difference(array, rounded[name])
        for name, array in wanted.items()
        if np.issubdtype(array.dtype, np.floating)
    }
    context.state[_STATE] = ConfigRecord({"data": canonical_bytes(left)})


def _difference(array: NDArray[Any], rounded: NDArray[Any]) -> NDArray[Any]:
    """What was rounded off; nothing of numbers that are infinite in both."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.asarray(array - rounded)
    return np.where(np.isfinite(off), off, off.dtype.type(0))
