"""Who was drawn to say something in a round and said nothing: it is on the record.

Examiners who report no utility of any candidate, and those who do not open their nonce. They
are asked the less often the more often in a row they say nothing; those who had the others wait
for it sit out turns as well (`Testing.turns`). So do trainers (`HopClaim.turns`), and who brings
nothing after a long wait twice as many each time.
"""

from __future__ import annotations

from .blocks import HopClaim
from .state import State

__all__ = ["asked_in", "silent_in", "stalls_after"]


def asked_in(state: State) -> set[int]:
    """Who was drawn to examine, or to open a nonce, in the round that is being settled."""
    testing, commitment = state.testing, state.commitment
    if testing is None or commitment is None:
        return set()
    openers = {item.participant for item in commitment.nonce_hashes}
    return openers | (set(testing.committee) if _candidates(state) else set())


def silent_in(state: State) -> set[int]:
    """Who of these said nothing at all where it was asked."""
    testing, commitment = state.testing, state.commitment
    if testing is None or commitment is None:
        return set()
    opened = {item.participant for item in testing.nonces}
    silent = {item.participant for item in commitment.nonce_hashes} - opened
    asked = _candidates(state)
    rows = [
        row for model, row in zip(testing.models, testing.utilities, strict=True) if model in asked
    ]
    for column, examiner in enumerate(testing.committee):
        if rows and all(row[column] is None for row in rows):
            silent.add(examiner)
    return silent


def _candidates(state: State) -> set[str]:
    """The models that nobody can have judged before this round."""
    claims = () if state.commitment is None else state.commitment.lanes
    return {claim.model for lane in claims for claim in lane if claim.fault is None and claim.model}


def stalls_after(state: State, claim: HopClaim) -> int:
    """A trainer's turns in a row, with this one, that took long and brought no candidate.

    What comes to nothing at once leaves them as they are; a candidate, however slow, ends them.
    """
    if claim.fault is None:
        return 0
    return int(state.who.stalls[claim.trainer]) + (claim.turns > 0)
