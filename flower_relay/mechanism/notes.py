"""What a round's blocks leave in mind: scores, audits, ways, silences, turns that brought nothing.

Each reads a block that is being folded and writes the state; `apply` says when.
"""

from __future__ import annotations

from itertools import chain

import numpy as np

from ..rules.audits import AUDITED_PART, middle_size
from ..rules.candidates import MOVES_KEPT
from ..rules.evidence import RECENT
from ..rules.outcomes import JUDGED, Outcome
from ..rules.standing import resting_until, sat_out
from .blocks import Settlement, Testing
from .silence import asked_in, silent_in, stalls_after
from .state import State

__all__ = [
    "note_audits", "note_scores", "note_silences", "note_stalls", "note_untested", "note_ways",
]  # fmt: skip


def note_audits(state: State, block: Testing) -> None:
    """Note what examiners said of audits, beside what they said of the hops."""
    committee = list(block.committee)
    for claims in state.commitment.lanes if state.commitment else ():
        own = np.array([index in {claim.trainer for claim in claims} for index in committee])
        votes = {
            claim.model: np.where(own, np.nan, state.difference(claim.base, claim.model)[committee])
            for claim in claims
            if claim.model is not None and claim.fault is None
        }
        usual = middle_size(votes.values())
        audited = zip(block.audited, block.references, block.probes, strict=True)
        for model, reference, probe in audited:
            if model in votes:
                seen = state.difference(reference, probe)[committee]
                state.who.see_step(committee, seen, AUDITED_PART * votes[model], usual)


def note_scores(state: State, block: Settlement) -> None:
    """Note the scores that later hops are ranked among."""
    hops = [hop for result in block.lanes for hop in result.hops if hop.outcome in JUDGED]
    scores = [hop.score for hop in hops if hop.score is not None]
    audits = [hop.audit_score for hop in hops if hop.audit_score is not None]
    state.scores = [*state.scores, *scores][-RECENT:]
    state.audit_scores = [*state.audit_scores, *audits][-RECENT:]


def note_untested(state: State, block: Settlement) -> None:
    """Keep in mind whose models nobody tested; what was tested is not among them any more."""
    claims = () if state.commitment is None else chain.from_iterable(state.commitment.lanes)
    names_of = {claim.model: claim.names for claim in claims if claim.fault is None}
    hops = [hop for result in block.lanes for hop in result.hops]
    state.unheard = any(hop.outcome == Outcome.UNTESTED for hop in hops)
    for hop in hops:
        for name in names_of.get(hop.model, ()):
            if hop.outcome == Outcome.UNTESTED:
                state.untested[name] = hop.trainer
            else:
                state.untested.pop(name, None)


def note_ways(state: State) -> None:
    """Keep in mind how far the round's hops moved, whatever became of them."""
    claims = () if state.commitment is None else chain.from_iterable(state.commitment.lanes)
    ways = (claim.way for claim in claims)
    state.ways = [*state.ways, *(way for way in ways if way is not None)][-MOVES_KEPT:]


def note_silences(state: State) -> None:
    """Have who was asked and said nothing rest, and who took long."""
    who, silent = state.who, silent_in(state)
    for index in asked_in(state):
        who.silences[index] = who.silences[index] + 1 if index in silent else 0
        if index in silent:
            who.rests_until[index] = resting_until(state.cycle, int(who.silences[index]))
    if state.testing is not None:
        for index, turns in zip(state.testing.committee, state.testing.turns, strict=False):
            who.rests_until[index] = max(int(who.rests_until[index]), state.cycle + turns)


def note_stalls(state: State) -> None:
    """Count the turns in a row that took long and brought nothing, and what is sat out for them."""
    claims = () if state.commitment is None else chain.from_iterable(state.commitment.lanes)
    present = () if state.deposit is None else state.deposit.present
    usual = int(state.who.trains[list(present)].sum())  # hops of a cycle in which everybody trains
    for claim in claims:
        stalls = state.who.stalls[claim.trainer] = stalls_after(state, claim)
        if cycles := sat_out(claim.turns, int(stalls)):
            state.who.sits_until[claim.trainer] = state.hops + cycles * usual
