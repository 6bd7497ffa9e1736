"""Contribution in a chain: the rise of a cycle, divided by what its audited hops add.

Whoever trains at the right time, or after strangers, finds it easy to improve the baton. So
hops are not compared on batons, but on a reference that all hops of a cycle have about in
common: their lane's trail. A tenth of an audited hop's step is added to it, and the committee
says what that does. docs/contribution.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rules.audits import mean_step
from ..rules.coins import PaymentRule, to_units
from ..rules.evidence import score_of
from ..rules.outcomes import JUDGED, Outcome
from ..rules.rewards import (
    MINT,
    PAID_EACH_CYCLE,
    VESTING,
    audit_probability,
    divide,
    point_shares,
    vested,
)
from ..rules.roles import turns_left
from .blocks import (
    Deposit,
    LaneResult,
)
from .payments import Tally
from .state import Lane, State

__all__ = ["Audit", "audited_with", "audits_of", "points_of", "pay_cycle"]

_LEAST_TAKEN = 0.5
"""The part of a hop from which on a step counts as if the hop were whole."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a committee found of an audited hop.

    `step` is what it adds to its reference, in the utility's unit: what pay goes by. `score` has
    no unit: what debts go by.
    """

    step: float
    score: float


def audits_of(state: State, lane: Lane, trainers: Collection[int]) -> dict[str, Audit]:
    """What was found of each audited hop, by its model.

    Those who trained in the leg are left out; hops that nobody judged are not in it.
    """
    testing, commitment = state.testing, state.commitment
    if testing is None or commitment is None:
        return {}
    place = next(number for number, other in enumerate(state.lanes) if other is lane)
    of_lane = {claim.model for claim in commitment.lanes[place]}
    committee = list(testing.committee)
    who = state.who
    weights, usual = state.weights_of(committee) * who.word[committee], who.usual_step[committee]
    others = np.array([index not in trainers for index in committee], dtype=np.bool_)
    found: dict[str, Audit] = {}
    audited = zip(testing.audited, testing.references, testing.probes, strict=True)
    for model, reference, probe in audited:
        rise = np.where(others, state.difference(reference, probe)[committee], np.nan)
        if model in of_lane and not np.isnan(step := mean_step(rise, weights, usual)):
            found[model] = Audit(step=step, score=score_of(rise, weights))
    return found


def pay_cycle(state: State, tally: Tally, lanes: Sequence[LaneResult]) -> None:
    """Once nobody here has a turn left, divide a part of what the run rose to and was not paid yet.

    What is minted in all is never more than `MINT` times the highest level reached; what is
    left, or all of it where no audited hop added anything, waits for the next cycle. What was
    minted before vests. All of this comes once a cycle: who connects late reopens one that was
    over, and what its hop adds is in the next cycle's points.
    """
    if state.paid_in >= state.cycle or not _cycle_over(state, lanes):
        return
    _vest(state, tally)
    risen = to_units(_mark(state, lanes) * MINT)
    due = int((risen - state.minted[PaymentRule.CONTRIBUTION]) * PAID_EACH_CYCLE)
    counted, points = state.who.paid_for.tolist(), points_of(state, lanes)
    shares = point_shares({who: each * counted[who] for who, each in points.items()})
    if due <= 0 or not shares:
        return
    most = max(sorted(shares), key=lambda who: shares[who])
    for participant, amount in sorted(divide(due, shares, most).items()):
        tally.pay(participant, amount, PaymentRule.CONTRIBUTION)


def _vest(state: State, tally: Tally) -> None:
    """Unlock a share of what was earned in earlier cycles."""
    for participant, held in enumerate(_unvested(state).tolist()):
        units = vested(held, tally.debt_of(participant), VESTING)
        tally.pay(participant, units, PaymentRule.VESTING)


def _unvested(state: State) -> NDArray[np.int64]:
    """Units that each participant earned long enough ago and was not paid: what is locked, less
    stakes and what is fresh.
    """
    held = state.who.locked.copy()
    for earned in state.fresh:
        np.subtract.at(held, list(earned), list(earned.values()))
    for terms in state.deposit.lanes if state.deposit else ():
        np.subtract.at(held, list(terms.trainers), list(terms.deposits))
        if terms.owner is not None:
            held[terms.owner] -= terms.owner_deposit
    return held


def _mark(state: State, lanes: Sequence[LaneResult]) -> float:
    """The highest level once this round's accepted hops are recognised."""
    lineage, mark = state.lineage.branch(), state.mark
    for result in lanes:
        for hop in result.hops:
            if hop.outcome == Outcome.ACCEPTED and hop.model is not None:
                gain = np.nan if hop.gain is None else hop.gain
                made = lineage.add(hop.model, hop.base, hop.trainer, version=state.round, gain=gain)
                mark = max(mark, made.mark)
    return mark


def _cycle_over(state: State, lanes: Sequence[LaneResult]) -> bool:
    """Whether everybody who is here has had its turn, or is waiting."""
    deposit, who = state.deposit, state.who
    if deposit is None:
        return False
    present = np.zeros(state.num_participants, dtype=np.bool_)
    present[list(deposit.present)] = True
    had_turn = who.had_turn.copy()
    hops = [hop for lane in lanes for hop in lane.hops]
    had_turn[[hop.trainer for hop in hops if hop.outcome == Outcome.VOIDED]] = False
    may = turns_left(state.trainers(present), had_turn, who.waits_until, state.cycle)
    tried = {hop.trainer for hop in hops if hop.outcome in JUDGED}
    if state.probation_left <= 0 or who.newcomer[list(tried)].any():
        may &= ~who.newcomer
    return not may.any()


def audited_with(state: State, deposit: Deposit) -> float:
    """The probability of an audit: all hops are until the first pay, and in a cautious run.

    Before the first pay most is at stake. In a cautious run audits are what finds a slow push.
    """
    if state.cautious or not state.minted[PaymentRule.CONTRIBUTION]:
        return 1.0
    return audit_probability(state.settings.audit, len(deposit.present))


def points_of(state: State, lanes: Iterable[LaneResult]) -> dict[int, float]:
    """The points of the cycle with a round's accepted hops added.

    A short hop counts as if it were whole, and at most twice: who comes first, when the run is
    cautious, would else earn half of what others do.
    """
    points = state.points.copy()
    if state.deposit is None:
        return points
    probability = audited_with(state, state.deposit)
    for result in lanes:
        for hop in result.hops:
            if hop.outcome == Outcome.ACCEPTED and hop.step is not None:
                who, taken = hop.trainer, max(_LEAST_TAKEN, state.stride(hop.trainer))
                points[who] = points.get(who, 0.0) + hop.step / (probability * taken)
    return points
