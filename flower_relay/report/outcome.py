"""What a report shows about one run of any strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..federation.record import HopRow, RunRecord
from ..rules.outcomes import Fault, Outcome

__all__ = ["RunOutcome", "fate", "fate_of"]

_RECORDS, _LAST = 40, 3


def fate(hop: HopRow) -> Outcome:
    """What became of a hop, as the relay counts it.

    Returns
    -------
    Outcome
        `accepted`; `voided` (undone by somebody else's hop); `untested` (no examiner
        answered, or the node left or was late: nobody's fault); or `rejected` (all that is the
        trainer's own, from a harmful model to a missing one).
    """
    return fate_of(hop.outcome)


def fate_of(outcome: str) -> Outcome:
    """The same, of an outcome as a record's file has it."""
    if outcome in (Fault.LEFT, Fault.LATE):
        return Outcome.UNTESTED
    return Outcome(outcome) if outcome in {*Outcome} else Outcome.REJECTED


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """One finished run.

    Attributes
    ----------
    curve : tuple of (client-epochs, accuracy)
        On the common test set, in order.
    participant_accuracy : mapping of name to accuracy
        On each participant's own held-out cases.
    record : RunRecord or None
        The relay's record; None for strategies that average.
    hostile : frozenset of str
        Participants that were set to misbehave.
    """

    strategy: str
    title: str
    curve: tuple[tuple[int, float], ...]
    participant_accuracy: Mapping[str, float]
    messages: int
    bytes_sent: int
    bytes_received: int
    seconds: float
    record: RunRecord | None = None
    hostile: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def test_accuracy(self) -> float | None:
        """Accuracy at the end."""
        return self.curve[-1][1] if self.curve else None

    @property
    def final_accuracy(self) -> float | None:
        """Mean accuracy of the last three of forty records, evenly spaced over the run."""
        if not self.curve:
            return None
        epochs = np.array([epoch for epoch, _ in self.curve])
        at = np.linspace(0, epochs[-1], _RECORDS + 1)[-_LAST:]
        last = np.searchsorted(epochs, at + 1e-9, side="right") - 1
        return float(np.mean([self.curve[index][1] for index in last]))
