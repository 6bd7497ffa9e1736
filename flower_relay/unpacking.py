"""The one model in a message's content, seen to be of finite numbers and not too large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray

from .errors import RefusedError
from .store import canonical_bytes, model_name

__all__ = ["Model", "model_in"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as a node works with it; `data` are its canonical bytes."""

    name: str
    arrays: dict[str, NDArray[Any]]
    data: bytes


def model_in(content: RecordDict, where: str, max_bytes: int | None) -> Model:
    """The one model in a content.

    Raises
    ------
    RefusedError
        When there is not exactly one, it is too large, or not of finite numbers.
    """
    # Not `content.array_records`: its views keep what they showed alive.
    records = [record for record in content.values() if isinstance(record, ArrayRecord)]
    if len(records) != 1:
        raise RefusedError(
            f"{where} should hold one model, that is one ArrayRecord, and holds {len(records)}. "
            "Nothing was signed; a ClientApp for a relay receives and returns one."
        )
    size = records[0].count_bytes()
    if max_bytes is not None and size > max_bytes:
        raise RefusedError(
            f"{where} holds a model of {size} bytes; this node accepts {max_bytes} at most "
            "(relay-max-bytes). It was not unpacked; raise the limit if the run's model is "
            "meant to be this large."
        )
    arrays = {name: _unpacked(where, name, packed) for name, packed in records[0].items()}
    data = canonical_bytes(arrays)
    return Model(name=model_name(data), arrays=arrays, data=data)


def _unpacked(where: str, name: str, packed: Array) -> NDArray[Any]:
    """An array of finite numbers; other packings would be other people's code to run."""
    if packed.stype != "numpy.ndarray":
        raise RefusedError(_unfit(where, name, f"one packed as {packed.stype!r}"))
    try:
        array: object = packed.numpy()
    except (ValueError, EOFError) as problem:
        raise RefusedError(_unfit(where, name, str(problem))) from problem
    if not isinstance(array, np.ndarray):  # numpy opens archives as well
        raise RefusedError(_unfit(where, name, "an archive"))
    if array.dtype.kind not in "biuf":
        raise RefusedError(_unfit(where, name, f"one of {array.dtype}"))
    if not np.isfinite(array).all():
        raise RefusedError(_unfit(where, name, "NaN or infinity in it"))
    return array


def _unfit(where: str, name: str, found: object) -> str:
    return (
        f"{where}: array '{name}' should be a numpy array of finite numbers; found {found}. "
        "Nothing was signed. Where it is the ClientApp's own result, its training has diverged "
        "or packs its weights differently."
    )
