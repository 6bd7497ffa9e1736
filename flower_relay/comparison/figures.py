"""What one cell comes to, on whatever axis its budget is measured.

An axis is client-epochs, bytes, or a fleet's seconds; a curve is a value on it for each
record, and the accuracy there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "AXES", "FAIRNESS", "NOTHING", "TARGET_SHARE", "accuracy_within", "along", "has_learned",
    "last_of_forty", "nothing_learned", "share_learned", "share_target", "spent_to", "total",
]  # fmt: skip

_RECORDS, _LAST = 40, 3
TARGET_SHARE = 0.97
"""Of the best averaging strategy's rise: what everybody's costs are measured to."""
NOTHING = 0.02
"""Of what there is to learn: who has no more has learned nothing."""
_FLEETS = ("homogeneous", "phones", "hospitals")

AXES = ("epochs", "bytes", *(f"seconds {fleet}" for fleet in _FLEETS))
"""What a budget may be of; evaluations are counted beside them, as not everybody has any."""


def along(records: Sequence[Mapping[str, Any]], axis: str) -> list[float]:
    """What each record had cost so far, on an axis; NaN where that was not measured."""
    if axis == "epochs":
        return [float(record["epochs"]) for record in records]
    if axis == "evaluations":
        return [_number(record.get("evaluations")) for record in records]
    if axis == "bytes":
        return [_number(record["bytes_down"]) + _number(record["bytes_up"]) for record in records]
    fleet = axis.removeprefix("seconds ")
    return [_number((record["seconds"] or {}).get(fleet)) for record in records]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def total(records: Sequence[Mapping[str, Any]], axis: str) -> float:
    """What the whole run cost."""
    return along(records, axis)[-1]


def spent_to(records: Sequence[Mapping[str, Any]], axis: str, target: float) -> tuple[float, bool]:
    """What it cost to reach an accuracy, and whether it did: "never" costs the whole run."""
    spent = along(records, axis)
    for cost, record in zip(spent, records, strict=True):
        if record["accuracy"] >= target:
            return cost, True
    return spent[-1], False


def nothing_learned(cells: Sequence[Mapping[str, Any]]) -> float:
    """The accuracy that is had without learning: of the commonest class, or 0 of a mean."""
    return float(np.median([found["final"].get("nothing_learned") or 0.0 for found in cells]))


def share_target(base: float, best: float, share: float = TARGET_SHARE) -> float:
    """The accuracy at a share of a rise above what is had without learning; NaN without one."""
    return base + share * (best - base) if has_learned(base, best) else math.nan


def has_learned(base: float, accuracy: float) -> bool:
    """Whether an accuracy is above what is had without learning, by more than next to nothing."""
    return accuracy - base > NOTHING * (1 - base)


def share_learned(base: float, accuracy: float) -> float:
    """Accuracy as a share of what there is to learn: 0 for what is had without, 1 for all."""
    return (accuracy - base) / (1 - base) if base < 1 else math.nan


def last_of_forty(
    spent: Sequence[float], accuracy: Sequence[float], budget: float | None = None
) -> float:
    """Mean accuracy of the last three of forty records, evenly spaced over a budget.

    Parameters
    ----------
    spent, accuracy : sequence of float
        Of each record, in order; the first is before the first message.
    budget : float, optional
        By default all that was spent. At a step, the newest record that it affords counts.
    """
    end = spent[-1] if budget is None else budget
    steps = np.linspace(0.0, end, _RECORDS + 1)[-_LAST:]
    newest = np.searchsorted(np.asarray(spent), steps * (1 + 1e-12), side="right") - 1
    return float(np.mean([accuracy[max(0, index)] for index in newest]))


def accuracy_within(records: Sequence[Mapping[str, Any]], axis: str, budget: float) -> float:
    """Accuracy at the end of a budget on an axis; NaN where the axis was not measured."""
    spent = along(records, axis)
    if not np.isfinite(spent).all():
        return float("nan")
    return last_of_forty(spent, [record["accuracy"] for record in records], budget)


def _at_the_end(key: str, inner: str = "") -> Callable[[Mapping[str, Any]], float]:
    """Reads a figure that a cell has of its end; NaN where it has none."""

    def of(found: Mapping[str, Any]) -> float:
        value = found["final"].get(key)
        value = (value or {}).get(inner) if inner else value
        return math.nan if value is None else float(value)

    return of


FAIRNESS = {
    "own data, worst": _at_the_end("own_worst"),
    "own data, median": _at_the_end("own_median"),
    "rounds stale, median": _at_the_end("staleness", "median"),
    "rounds stale, worst": _at_the_end("staleness", "worst"),
    "client-epochs stale, median": _at_the_end("staleness_epochs", "median"),
    "client-epochs stale, worst": _at_the_end("staleness_epochs", "worst"),
}
"""What participants get: accuracy on their own data, and how stale their newest model is."""
