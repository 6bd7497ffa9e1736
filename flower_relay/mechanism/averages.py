"""Averages of stored models: trails, lanes that meet, and what audited hops are measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ..rules.audits import AUDITED_PART
from ..rules.averaging import evened, extend_trail, transplant, weighted_average
from ..rules.optimisers import step
from ..settings import RelaySettings
from .apply import Progress
from .publication import Meeting
from .testing import AuditTerms

__all__ = ["StoredAverages", "audited", "models_needed"]


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

    def __init__(self, store: Models, settings: RelaySettings) -> None:
        self._store, self._settings = store, settings

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """A lane's trail, `before` batons long, extended by more batons."""
        average, share = self._store.get(trail), self._settings.trail
        for number, baton in enumerate(batons, start=before):
            average = extend_trail(average, self._store.get(baton), share, number)
        return self._store.put(average)

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """The weighted average of batons."""
        return self._store.put(weighted_average(map(self._store.get, batons), weights))

    def meet(self, meeting: Meeting) -> tuple[str, tuple[str, ...]]:
        """The model that the lanes' optimiser steps to, and what it remembers of that."""
        model, moments = self._stepped(meeting)
        return self._store.put(model), tuple(self._store.put(each) for each in moments)

    def expect(self, meeting: Meeting) -> str:
        """The same model alone, as long as it is not known what will be accepted."""
        return self._store.put(self._stepped(meeting)[0])

    def _stepped(self, meeting: Meeting) -> tuple[Arrays, Sequence[Arrays]]:
        """Hops that were trained on another model than the one stepped from count with steps."""
        start, known = self._store.get(meeting.start), map(self._store.get, meeting.moments)
        hops: list[Arrays] = [self._store.get(hop) for hop in meeting.hops]
        if meeting.trained_on != meeting.start:
            base = self._store.get(meeting.trained_on)
            hops = [transplant(start, base, hop, 1.0) for hop in hops]
        lanes = evened(start, hops)
        average = weighted_average(lanes, [1 / len(lanes)] * len(lanes))
        optimiser = self._settings.optimiser or "adam"
        return step(optimiser, start, average, list(known), meeting.number)


def audited(store: Models, terms: AuditTerms) -> tuple[str, str]:
    """The reference of an audited hop, and its probe: to that a part of its step is added."""
    trail, base, model = map(store.get, (terms.trail, terms.base, terms.model))
    return terms.trail, store.put(transplant(trail, base, model, AUDITED_PART))


def models_needed(progress: Progress) -> dict[str, str]:
    """Models that the run cannot go on without, and what each of them is.

    Between rounds: what the next legs start from, and the trails that people may use. In an
    open round also its candidates, for tests, rollback and the averages to come.
    """
    state = progress.state
    needed = {name: "a recognised model" for name in state.recognised}
    for number, lane in enumerate(state.lanes):
        needed |= {lane.trail: f"lane {number}'s trail", lane.baton: f"lane {number}'s baton"}
    if state.settings.examiners and state.settings.planted:
        needed.setdefault(state.lineage.genesis, "what planted models are made from")
    needed |= dict.fromkeys(state.moments, "what the lanes' optimiser remembers")
    bases = state.recognised if state.settings.topology == "fan-out" else []
    for base in (*bases, *(lane.baton for lane in state.lanes)):
        needed.setdefault(state.likeness(base), "the likeness by which a base is judged")
    for deposit in (state.deposit if state.open else None, state.ahead):
        if deposit is not None:
            for base in {terms.base for terms in deposit.lanes}:
                needed.setdefault(base, f"what round {deposit.round} trains on")
                needed.setdefault(state.likeness(base), "the likeness by which a base is judged")
    if not progress.between_rounds and state.commitment is not None:
        claims = [claim for lane in state.commitment.lanes for claim in lane]
        candidate = f"a candidate of round {state.round}"
        needed |= {claim.model: candidate for claim in claims if claim.model is not None}
    return needed
