"""The one model in a message's content, seen to be of finite numbers and not too large."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray

from .errors import RefusedError
from .store import canonical_bytes, model_name

__all__ = ["Model", "model_in", "recent", "remember"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as a node works with it; `data` are its canonical bytes."""

    name: str
    arrays: dict[str, NDArray[Any]]
    data: bytes

    @cached_property
    def _packed(self) -> dict[str, Array]:
        return {name: Array(array) for name, array in self.arrays.items()}

    def record(self) -> ArrayRecord:
        """A record of its own for a ClientApp; the arrays in it are packed once."""
        return ArrayRecord(self._packed)


_RECENT: OrderedDict[str, Model] = OrderedDict()
_MOST_RECENT, _MOST_BYTES = 64, 200_000


def recent(name: str) -> Model | None:
    """A small model that this process unpacked of late; the nodes of a simulation share it.

    It is what its name says, whichever node it came to first: names are hashes.
    """
    return _RECENT.get(name)


def remember(model: Model) -> Model:
    """Keep a small model for the process's other nodes; the model."""
    if len(model.data) <= _MOST_BYTES:
        _RECENT[model.name] = model
        _RECENT.move_to_end(model.name)
        if len(_RECENT) > _MOST_RECENT:
            _RECENT.popitem(last=False)
    return model


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
