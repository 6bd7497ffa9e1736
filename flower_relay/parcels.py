"""Models on the wire, for receivers that run the mod: one step after the other.

A parcel is a ConfigRecord. Each of its steps names a model by hash and says how to come to
it: `whole`, as safetensors, or as the difference to a model that the receiver holds or that
an earlier step made. Both sides check that what comes out has the hash that was named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ConfigRecord
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from .encoding import ENCODINGS, decode
from .errors import RefusedError
from .statements import is_hash
from .store import Arrays, canonical_bytes, model_name

__all__ = [
    "ONE_PIECE",
    "PARCEL",
    "WHOLE",
    "Step",
    "difference_to",
    "parcel_of",
    "steps_of",
    "taken",
    "whole",
]

PARCEL = "relay-parcel"
"""Key of the parcel in a message's content."""

WHOLE = "whole"

ONE_PIECE = 5_000_000
"""Bytes up to which a hop's model travels in a parcel even where it is sent whole. Flower fetches
every array of a record by two requests of its own, and a parcel by one; larger arrays it sends
in pieces of this size, which a parcel would not be."""

_MOST_STEPS = 256


@dataclass(frozen=True, kw_only=True)
class Step:
    """How to come to one model; `reference` is empty where it is there as a whole."""

    model: str
    reference: str
    encoding: str
    data: bytes


def whole(model: str, data: bytes) -> Step:
    """A model as it is, from its canonical bytes."""
    return Step(model=model, reference="", encoding=WHOLE, data=data)


def difference_to(reference: str, model: str, encoding: str, data: bytes) -> Step:
    """A model as the difference to another."""
    return Step(model=model, reference=reference, encoding=encoding, data=data)


def parcel_of(steps: Sequence[Step]) -> ConfigRecord:
    """Steps as a message carries them; Flower counts no empty lists."""
    if not steps:
        return ConfigRecord()
    return ConfigRecord(
        {
            "models": [step.model for step in steps],
            "references": [step.reference for step in steps],
            "encodings": [step.encoding for step in steps],
            "data": [step.data for step in steps],
        }
    )


def steps_of(record: ConfigRecord) -> list[Step]:
    """The steps of a parcel.

    Raises
    ------
    RefusedError
        When it is none.
    """
    if not record:
        return []
    columns: list[list[Any]] = []
    for name in ("models", "references", "encodings", "data"):
        column = record.get(name)
        if not isinstance(column, list) or (columns and len(column) != len(columns[0])):
            raise _misread("four lists of the same length", [*record])
        columns.append(column)
    rows = list(zip(*columns, strict=True))
    if len(rows) > _MOST_STEPS:
        raise _misread(f"at most {_MOST_STEPS} steps", len(rows))
    steps: list[Step] = []
    for model, reference, encoding, data in rows:
        if encoding not in (WHOLE, *ENCODINGS):
            raise _misread(f"one of {WHOLE}, {', '.join(ENCODINGS)}", encoding)
        if not is_hash(model) or not (is_hash(reference) or encoding == WHOLE):
            raise _misread("models named by their hashes", (model, reference))
        if not isinstance(data, bytes):
            raise _misread("bytes", type(data).__name__)
        steps.append(Step(model=model, reference=reference, encoding=encoding, data=data))
    return steps


def taken(
    step: Step, held: Callable[[str], Arrays | None], max_bytes: int | None = None
) -> tuple[dict[str, NDArray[Any]], bytes]:
    """The model that a step leads to, and its canonical bytes.

    Parameters
    ----------
    held : callable
        From a name to a model held.
    max_bytes : int, optional
        Largest model that is accepted.

    Raises
    ------
    RefusedError
        When the step leads nowhere, or to another model than it names, or to one too large.
    """
    reference = None if step.encoding == WHOLE else held(step.reference)
    if step.encoding != WHOLE and reference is None:
        raise _unfit(step, f"it is relative to model {step.reference[:12]}, which is not held")
    size = len(step.data)
    if reference is not None:
        size = sum(array.nbytes for array in reference.values())
    if max_bytes is not None and size > max_bytes:
        raise _unfit(step, f"it has {size} bytes and {max_bytes} are accepted (relay-max-bytes)")
    try:
        arrays = load(step.data) if reference is None else decode(
            step.data, reference, step.encoding
        )  # fmt: skip
    except (ValueError, SafetensorError) as problem:
        raise _unfit(step, str(problem)) from problem
    if not all(array.dtype.kind in "biu" or np.isfinite(array).all() for array in arrays.values()):
        raise _unfit(step, "there is NaN or infinity in it")
    data = canonical_bytes(arrays)
    if (found := model_name(data)) != step.model:
        raise _unfit(step, f"what came is model {found[:12]}")
    return arrays, data


def _unfit(step: Step, found: str) -> RefusedError:
    return RefusedError(
        f"model {step.model[:12]}, sent {step.encoding}, was not accepted: {found}. Nothing was "
        "signed or used; the message was changed on its way, or the sender is at fault."
    )


def _misread(expected: str, found: object) -> RefusedError:
    return RefusedError(
        f"{PARCEL}: expected {expected}, found {found!r}. Nothing was signed; server and node "
        "need versions of flower_relay that agree."
    )
