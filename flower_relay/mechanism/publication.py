"""Publication: where each lane goes on from, and which averages people may use.

Which models are averaged is decided here; the averaging itself is the caller's, because
the live federation has the weights and the verifier may not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from ..errors import LedgerError
from ..rules.outcomes import Outcome
from ..rules.settlement import rank
from .blocks import LaneResult, Publication, Settlement
from .state import State

__all__ = ["Averages", "Meeting", "decide_expected", "decide_publication"]


class Averages(Protocol):
    """Makes averages of models, by name."""

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """A lane's trail, `before` batons long, extended by more batons."""
        ...

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """The weighted average of batons."""
        ...

    def meet(self, meeting: Meeting) -> tuple[str, tuple[str, ...]]:
        """What the lanes' optimiser steps to, and what it remembers."""
        ...


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What lanes of one hop step by where they meet.

    `start` is the model that is stepped from, `hops` are models, `trained_on` is the one that
    their steps begin at, `moments` are what the optimiser remembers, and `number` counts from 1.
    """

    start: str
    hops: tuple[str, ...]
    trained_on: str
    moments: tuple[str, ...]
    number: int

    @property
    def parts(self) -> tuple[str, ...]:
        """The models that it takes."""
        return (self.start, self.trained_on, *self.hops, *self.moments)


_Published = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Batons, what they were merged from, trails."""


def decide_publication(state: State, averages: Averages) -> Publication:
    """Decide the publication that the last settlement gives rise to.

    Raises
    ------
    LedgerError
        When there is no settlement.
    """
    settled = state.settlement
    if settled is None:
        raise LedgerError("nothing to publish: a settlement block comes first.")
    moments = state.moments
    if state.settings.topology == "fan-out":
        batons, merged, trails = _fan_out(state, settled, averages)
    elif state.steps_lanes:
        (batons, merged, trails), moments = _stepped(state, settled, averages)
    elif state.settings.lanes_meet == "average" and len(state.lanes) > 1:
        batons, merged, trails = _averaged(state, settled, averages)
    else:
        batons, merged, trails = _selected(state, settled, averages)
    champion = trails[_best(settled, len(trails))]
    if state.settings.optimiser is not None:  # all lanes went on from one
        lanes = state.lanes_next if state.ahead is None else len(state.ahead.lanes)
        batons, trails = batons[:1] * lanes, trails[:1] * lanes
    return Publication(
        round=state.round,
        batons=batons,
        merged_from=merged,
        trails=trails,
        champion=champion,
        moments=moments,
    )


def _best(settled: Settlement, num_lanes: int) -> int:
    if num_lanes == 1:
        return 0
    scores = [float("nan") if lane.score is None else lane.score for lane in settled.lanes]
    return settled.restart_from[int(rank(scores)[0])]


def _fan_out(state: State, settled: Settlement, averages: Averages) -> _Published:
    """The best recognised model of the round; nothing new when nobody was recognised."""
    lane = state.lanes[0]
    if not settled.recognised:
        return (lane.baton,), (), (lane.trail,)
    best = settled.recognised[0]
    return (best,), (), (_trail(state, averages, 0, [best], lane.accepted - 1),)


def _selected(state: State, settled: Settlement, averages: Averages) -> _Published:
    trails: dict[int, str] = {}
    for source in sorted(set(settled.restart_from)):
        kept = _kept(settled.lanes[source])
        before = state.lanes[source].accepted - len(kept)
        trails[source] = _trail(state, averages, source, kept, before)
    batons = tuple(settled.lanes[source].baton for source in settled.restart_from)
    return batons, (), tuple(trails[source] for source in settled.restart_from)


def _stepped(
    state: State, settled: Settlement, averages: Averages
) -> tuple[_Published, tuple[str, ...]]:
    """All lanes go on from where the optimiser steps to; each has one hop, and all weigh alike."""
    moved = [name for lane in settled.lanes for name in _kept(lane)]
    if not moved:
        return _as_before(state), state.moments
    number = max(lane.accepted for lane in state.lanes)
    baton, moments = averages.meet(_meeting(state, moved, number))
    trail, lanes = _trail(state, averages, 0, [baton], number - 1), len(state.lanes)
    return ((baton,) * lanes, tuple(moved), (trail,) * lanes), moments


def _meeting(state: State, hops: Sequence[str], number: int) -> Meeting:
    start, deposit = state.lanes[0].baton, state.deposit
    return Meeting(
        start=start,
        hops=tuple(hops),
        trained_on=start if deposit is None else deposit.lanes[0].base,
        moments=state.moments,
        number=number,
    )


def decide_expected(state: State, expect: Callable[[Meeting], str]) -> str:
    """The model that lanes go on from if every hop of the round under way is accepted.

    Parameters
    ----------
    expect : callable
        Steps, and names the model that this leads to.
    """
    claims = () if state.commitment is None else chain.from_iterable(state.commitment.lanes)
    hops = [claim.model for claim in claims if claim.fault is None and claim.model is not None]
    if not hops:
        return state.lanes[0].baton
    number = 1 + max(lane.accepted for lane in state.lanes)
    return expect(_meeting(state, hops, number))


def _as_before(state: State) -> _Published:
    """Nothing new: no lane moved."""
    batons = tuple(lane.baton for lane in state.lanes)
    return batons, (), tuple(lane.trail for lane in state.lanes)


def _averaged(state: State, settled: Settlement, averages: Averages) -> _Published:
    """All lanes go on from the average of their batons, weighted by their kept hops."""
    kept = [len(_kept(lane)) for lane in settled.lanes]
    moved = [lane.baton for lane, hops in zip(settled.lanes, kept, strict=True) if hops]
    if not moved:
        return _as_before(state)
    baton = averages.merge(moved, [hops / sum(kept) for hops in kept if hops])
    settled_before = zip(state.lanes, kept, strict=True)
    before = max(lane.accepted - hops for lane, hops in settled_before)
    trail = _trail(state, averages, 0, [baton], before)
    lanes = len(settled.lanes)
    return (baton,) * lanes, tuple(moved), (trail,) * lanes


def _kept(lane: LaneResult) -> list[str]:
    return [hop.model for hop in lane.hops if hop.outcome == Outcome.ACCEPTED and hop.model]


def _trail(state: State, averages: Averages, lane: int, batons: list[str], before: int) -> str:
    """A lane's trail after the batons that were accepted in this round, in order."""
    trail = state.lanes[lane].trail
    if not batons:
        return trail
    if state.settings.trail == 0:
        return batons[-1]
    return averages.extend(lane, trail, batons, before)
