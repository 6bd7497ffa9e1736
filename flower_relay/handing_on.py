"""What a trainer with the mod hands on: its result as the difference to the base it was given.

Exact, the difference gives every bit back. Rounded, the model that is handed on *is* base
plus rounded change, so that its hash is exact all the same; what was rounded off is kept in
the node's state and added to its next result (error feedback, after Seide et al. 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context
from numpy.typing import NDArray
from safetensors.numpy import load

from .encoding import ENCODINGS, decode, encode
from .parcels import ONE_PIECE, Step, difference_to, whole
from .store import Arrays, canonical_bytes, model_name
from .unpacking import Model

__all__ = ["handed_on"]

_STATE = "relay-rounded-off"


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
        if encoding == "exact":
            data = encode(model.arrays, parent.arrays, "exact")
            if len(data) < len(model.data):
                return difference_to(parent.name, model.name, "exact", data)
            return whole(model.name, model.data) if len(model.data) <= ONE_PIECE else None
        wanted = _with_leftover(context, model.arrays)
        data = encode(wanted, parent.arrays, str(encoding))
        rounded = decode(data, parent.arrays, str(encoding))
    except ValueError:
        return None  # other shapes than the base's are the server's to judge
    _keep_leftover(context, wanted, rounded)
    name = model_name(canonical_bytes(rounded))
    return difference_to(parent.name, name, str(encoding), data)


def _with_leftover(context: Context, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """A result with what was rounded off the node's last one added to it."""
    record = context.state.get(_STATE)
    data = record["data"] if isinstance(record, ConfigRecord) else None
    left = load(data) if isinstance(data, bytes) else {}
    return {
        name: (array + left[name]).astype(array.dtype)
        if name in left and left[name].shape == array.shape
        else array
        for name, array in arrays.items()
    }


def _keep_leftover(context: Context, wanted: Arrays, rounded: Arrays) -> None:
    left = {
        name: array - rounded[name]
        for name, array in wanted.items()
        if np.issubdtype(array.dtype, np.floating)
    }
    context.state[_STATE] = ConfigRecord({"data": canonical_bytes(left)})
