"""What a verification finds: the first place where a ledger departs from the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LedgerError
from ..legible import legible

__all__ = ["Differs", "Problem", "first_difference", "problem_at", "problem_of"]

_MOST_SHOWN = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that does not hold.

    Attributes
    ----------
    block : int or None
        Index of the block; None where no block is at fault (a model file, the ledger's end).
    kind : str
        The block's kind, else `seal`, `model`, `receipt` or `head`.
    field : str
        Path of the field, as in `settlement.payments[3].units`.
    expected, found : str
        What follows from the blocks before, and what is there.
    """

    block: int | None
    kind: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        """In one line that is fit for a terminal, whatever the ledger holds."""
        where = "" if self.block is None else f"block {self.block}: "
        field, expected, found = map(legible, (self.field, self.expected, self.found))
        return f"{where}{field}: expected {expected}, found {found}"


class Differs(LedgerError):
    """A field of a block is not what it must be."""

    def __init__(self, field: str, expected: object, found: object) -> None:
        super().__init__(f"{field}: expected {expected}, found {found}.")
        self.field, self.expected, self.found = field, str(expected), str(found)


def problem_at(
    kind: str, field: str, expected: str, found: str, block: int | None = None
) -> Problem:
    """A problem with a field, of a block where that is given."""
    return Problem(block=block, kind=kind, field=field, expected=expected, found=found)


def problem_of(index: int, kind: str, error: Exception) -> Problem:
    """What checking a block came to, as a problem with that block."""
    if isinstance(error, Differs):
        return problem_at(kind, error.field, error.expected, error.found, index)
    found = str(error) if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
    return problem_at(kind, kind, "a block that can follow those before it", found, index)


def first_difference(expected: Any, found: Any, path: str) -> Differs | None:
    """The first field, in the order in which blocks list them, in which two values differ."""
    pairs: list[tuple[str, Any, Any]]
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        keys = {**dict.fromkeys(expected), **dict.fromkeys(found)}
        pairs = [(f"{path}.{key}", expected.get(key), found.get(key)) for key in keys]
    elif _is_list(expected) and _is_list(found):
        columns = zip(expected, found, strict=False)
        pairs = [(f"{path}[{place}]", e, f) for place, (e, f) in enumerate(columns)]
    else:
        spelled, other = _spelled(expected), _spelled(found)
        return None if spelled == other else Differs(path, _short(spelled), _short(other))
    for where, one, two in pairs:
        if (difference := first_difference(one, two, where)) is not None:
            return difference
    if len(expected) != len(found):
        return Differs(path, f"{len(expected)} entries", f"{len(found)}")
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _spelled(value: Any) -> str:
    """The value as the ledger spells it, so that 0 and 0.0 and −0.0 are three."""
    return json.dumps(value, sort_keys=True)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + " …"
