"""Averages of stored models: trails, lanes that meet, and what audited hops are measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ..rules.averaging import extend_trail, transplant, weighted_average
from .apply import Progress
from .testing import AuditTerms

__all__ = ["StoredAverages", "StoredSteps", "models_needed"]


Arrays = Mapping[str, NDArray[Any]]


class Models(Protocol):
    """Models by name, as a store keeps them."""

    def put(self, arrays: Arrays) -> str:
        """Keep a model; its name."""

    def get(self, name: str) -> dict[str, NDArray[Any]]:
        """A model's arrays."""
        ...


class StoredAverages:
    """Averages of stored models, stored in turn."""

    def __init__(self, store: Models, keep: float) -> None:
        self._store, self._keep = store, keep

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """A lane's trail, `before` batons long, extended by more batons."""
        average = self._store.get(trail)
        for number, baton in enumerate(batons, start=before):
            average = extend_trail(average, self._store.get(baton), self._keep, number)
        return self._store.put(average)

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """The weighted average of batons."""
        return self._store.put(weighted_average([self._store.get(b) for b in batons], weights))


class StoredSteps:
    """What audited hops are measured by, stored in turn."""

    def __init__(self, store: Models, keep: float) -> None:
        self._store, self._weight = store, 1 - keep

    def audit(self, terms: AuditTerms) -> tuple[str, str]:
        """The reference of a hop, and its probe: a step weighs what a fresh baton does."""
        trail, base, model = map(self._store.get, (terms.trail, terms.base, terms.model))
        return terms.trail, self._store.put(transplant(trail, base, model, self._weight))


def models_needed(progress: Progress) -> dict[str, str]:
    """Models that the run cannot go on without, and what each of them is.

    Between rounds: what the next legs start from, and the trails that people may use. In an
    open round also its candidates, for tests, rollback and the averages to come.
    """
    state = progress.state
    needed = {name: "a recognised model" for name in state.recognised}
    for number, lane in enumerate(state.lanes):
        needed |= {lane.trail: f"lane {number}'s trail", lane.baton: f"lane {number}'s baton"}
    bases = state.recognised if state.settings.topology == "fan-out" else []
    for base in (*bases, *(lane.baton for lane in state.lanes)):
        needed.setdefault(state.likeness(base), "the likeness by which a base is judged")
    if not progress.between_rounds and state.commitment is not None:
        claims = [claim for lane in state.commitment.lanes for claim in lane]
        candidate = f"a candidate of round {state.round}"
        needed |= {claim.model: candidate for claim in claims if claim.model is not None}
    return needed
