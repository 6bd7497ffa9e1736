"""Models on the wire, for receivers that run the mod: one step after the other.

A parcel is a ConfigRecord. Each of its steps names a model by hash and says how to come to
it: `whole`, as safetensors, or as the difference to a model that the receiver holds or that
an earlier step made. Both sides check that what comes out has the hash that was named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import ConfigRecord
from numpy.typing import NDArray

from ..errors import RefusedError
from ..mechanism.identity import is_hash
from ..store import Arrays, name_of
from .arrays import arrays_in, strange_numbers
from .deltas import ENCODINGS, decode
from .requests import brief

__all__ = [
    "LONGEST_WAY",
    "MOST_MODELS",
    "ONE_PIECE",
    "PARCEL",
    "PREFIX",
    "WHOLE",
    "Step",
    "difference_to",
    "only_step",
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

LONGEST_WAY = 32
"""Steps from a model that a node holds to another; where it is farther, whole is no worse."""

PREFIX = 16
"""Digits of a hash by which a node says what it holds."""

MOST_MODELS = 16
"""Models that a node keeps: a test of a leg of four is of up to eleven, and the next leg starts
from any of them."""

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


def steps_of(record: object) -> list[Step]:
    """The steps of a parcel.

    Parameters
    ----------
    record : object
        What came as the parcel, a ConfigRecord if all is well.

    Raises
    ------
    RefusedError
        When it is none.
    """
    if not isinstance(record, ConfigRecord):
        raise _misread("a ConfigRecord", type(record).__name__)
    if not record:
        return []
    columns: list[list[Any]] = []
    for name in ("models", "references", "encodings", "data"):
        column = record.get(name)
        if not isinstance(column, list) or (columns and len(column) != len(columns[0])):
            raise _misread("four lists of the same length", [*record][:4])
        columns.append(column)
    if len(columns[0]) > _MOST_STEPS:
        raise _misread(f"at most {_MOST_STEPS} steps", len(columns[0]))
    return [_step(*row) for row in zip(*columns, strict=True)]


def _step(model: Any, reference: Any, encoding: Any, data: Any) -> Step:
    """One row of a parcel."""
    if encoding not in (WHOLE, *ENCODINGS):
        raise _misread(f"one of {WHOLE}, {', '.join(ENCODINGS)}", encoding)
    if not is_hash(model) or not (reference == "" if encoding == WHOLE else is_hash(reference)):
        raise _misread("models named by their hashes", (model, reference))
    if not isinstance(data, bytes):
        raise _misread("bytes", type(data).__name__)
    return Step(model=model, reference=reference, encoding=encoding, data=data)


def only_step(parcel: object) -> Step:
    """The one step of a trainer's reply, whatever came as it.

    Raises
    ------
    RefusedError
        When it is no parcel, or has another number of steps.
    """
    steps = steps_of(parcel)
    if len(steps) != 1:
        raise _misread("one step", len(steps))
    return steps[0]


def taken(
    step: Step, held: Callable[[str], Arrays | None], max_bytes: int | None = None
) -> dict[str, NDArray[Any]]:
    """The model that a step leads to.

    Parameters
    ----------
    held : callable
        From a name to a model held.
    max_bytes : int, optional
        Largest model that is accepted.

    Returns
    -------
    dict of name to array
        An infinity in a model that came whole counts as meant; one in a difference only where
        the model that it is relative to has it in the same place.

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
        arrays = (
            arrays_in(step.data)
            if reference is None
            else decode(step.data, reference, step.encoding)
        )
    except ValueError as problem:
        raise _unfit(step, str(problem)) from problem
    if fault := _fault(arrays, reference):
        raise _unfit(step, fault)
    if (found := name_of(arrays)) != step.model:
        raise _unfit(step, f"what came is model {found[:12]}")
    return arrays


def _fault(arrays: Arrays, reference: Arrays | None) -> str | None:
    """What is wrong with the arrays of a model, or None."""
    for name, array in arrays.items():
        if strange_numbers(array, None if reference is None else reference[name]):
            what = "NaN" if reference is None else "NaN, or a new infinity,"
            return f"there is {what} in array {brief(name)}"
    return None


def _unfit(step: Step, found: str) -> RefusedError:
    return RefusedError(
        f"model {step.model[:12]}, sent {step.encoding}, was not accepted: {found}. Nothing was "
        "signed or used; the message was changed on its way, or the sender is at fault."
    )


def _misread(expected: str, found: object) -> RefusedError:
    return RefusedError(
        f"{PARCEL}: expected {expected}, found {brief(found)}. Nothing was signed; server and node "
        "need versions of flower_relay that agree."
    )
