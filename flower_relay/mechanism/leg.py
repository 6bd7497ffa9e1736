"""Settling one lane of a chain: the kept prefix, the culprit, and everybody's deposit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..rules.coins import PaymentRule
from ..rules.evidence import score_of
from ..rules.gate import LegVerdict, judge_leg
from ..rules.outcomes import JUDGED, Fault, Outcome
from ..rules.settlement import compensation
from ..rules.standing import sat_out
from ..rules.votes import weighted_median
from .blocks import HopClaim, HopResult, LaneResult, LaneTerms
from .payments import Tally
from .rewards import Audit, audits_of
from .silence import stalls_after
from .state import Lane, State
from .testing import candidates, leg_utilities

__all__ = ["fault_result", "level_of", "number", "settle_lane"]


def settle_lane(
    state: State, tally: Tally, lane: Lane, terms: LaneTerms, claims: tuple[HopClaim, ...]
) -> LaneResult:
    """Settle one leg: outcomes, deposits, debts and bonds; the baton it leaves behind."""
    stakes = dict(zip(terms.trainers, terms.deposits, strict=True))
    leg = candidates(claims)
    committee = state.testing.committee if state.testing else ()
    rows = leg_utilities(state, committee, leg, terms.trainers) if leg else _base_row(state, lane)
    strides = [state.stride(hop.trainer) for hop in leg]
    weights = state.weights_of(committee)
    # Who trained in this leg was not asked about it.
    weights[[index in terms.trainers for index in committee]] = 0.0
    verdict = _verdict(state, rows, weights, strides)
    outcomes = _outcomes(verdict, len(leg))
    misled = _misled(claims, leg, outcomes)
    results = _faults(tally, claims, misled, stakes)
    _move_deposits(tally, [*leg, *misled], [*outcomes, *[Outcome.VOIDED] * len(misled)], stakes)
    audits = audits_of(state, lane, terms.trainers)
    scores = [score_of(votes, weights) for votes in np.diff(rows, axis=0)]
    _judge(state, tally, leg, outcomes, verdict, rows, scores, audits)
    for claim in claims:
        tally.sit_out(claim.trainer, sat_out(claim.turns, stalls_after(state, claim)))
    gains = _gains(state, terms.base, rows, weights)
    results |= _judged(leg, outcomes, verdict, gains, scores, audits)
    baton = leg[verdict.kept - 1].model if verdict.kept else lane.baton
    score = weighted_median(rows[verdict.kept], weights)
    return LaneResult(
        hops=tuple(results[claim.trainer] for claim in claims),
        baton=baton or lane.baton,
        leg=_next_leg(lane.leg, state.max_leg, verdict.passed),
        score=number(score),
        passed=verdict.passed,
    )


def _faults(
    tally: Tally, claims: tuple[HopClaim, ...], misled: list[HopClaim], stakes: dict[int, int]
) -> dict[int, HopResult]:
    """What became of the hops without a candidate, by trainer."""
    return {
        claim.trainer: _without_model(claim, Outcome.VOIDED)
        if claim in misled
        else fault_result(tally, claim, stakes[claim.trainer])
        for claim in claims
        if claim.fault is not None
    }


def _judged(
    leg: list[HopClaim],
    outcomes: list[Outcome],
    verdict: LegVerdict,
    gains: list[float],
    scores: list[float],
    audits: dict[str, Audit],
) -> dict[int, HopResult]:
    """What became of the hops that were tested, by trainer."""
    return {
        hop.trainer: HopResult(
            trainer=hop.trainer,
            base=hop.base,
            model=hop.model,
            outcome=outcome,
            vote=number(vote),
            gain=number(gain) if outcome == Outcome.ACCEPTED else None,
            step=None if audit is None else audit.step,
            score=number(score),
            audit_score=None if audit is None else number(audit.score),
        )
        for hop, outcome, vote, gain, score in zip(
            leg, outcomes, verdict.votes, gains, scores, strict=True
        )
        for audit in [audits.get(hop.model or "")]
    }


def fault_result(tally: Tally, claim: HopClaim, stake: int) -> HopResult:
    """A hop without a candidate: blamed and forfeited, unless its trainer left for once."""
    assert claim.fault is not None
    if tally.forgives(claim.trainer, claim.fault):
        tally.pay(claim.trainer, stake, PaymentRule.REFUND)
    else:
        tally.pay(claim.trainer, stake, PaymentRule.FORFEIT)
        tally.judge_hop(claim.trainer, math.nan, rejected=True)
    return _without_model(claim, claim.fault)


def _without_model(claim: HopClaim, outcome: Outcome | Fault) -> HopResult:
    return HopResult(
        trainer=claim.trainer,
        base=claim.base,
        model=claim.model,
        outcome=outcome,
        vote=None,
        gain=None,
    )


def _misled(
    claims: tuple[HopClaim, ...], leg: list[HopClaim], outcomes: list[Outcome]
) -> list[HopClaim]:
    """Faults of those who trained on a hop that is condemned: the base can be what failed.

    Finite weights on which whoever trains next gets no number are easily made; they cost who
    made them. Who left the federation was not asked for long enough to be misled.
    """
    if Outcome.REJECTED not in outcomes:
        return []
    condemned = claims.index(leg[outcomes.index(Outcome.REJECTED)])
    return [claim for claim in claims[condemned + 1 :] if claim.fault not in (None, Fault.LEFT)]


def number(value: float) -> float | None:
    """A float for a block: None where it is NaN."""
    return None if math.isnan(value) else float(value)


def _base_row(state: State, lane: Lane) -> NDArray[np.float64]:
    committee = state.testing.committee if state.testing else ()
    return state.known_utilities(lane.baton)[list(committee)][None, :]


def _verdict(
    state: State, rows: NDArray[np.float64], weights: NDArray[np.float64], strides: list[float]
) -> LegVerdict:
    num_hops = len(rows) - 1
    if state.settings.examiners == 0:  # a plain ring keeps whatever comes
        unknown = tuple(math.nan for _ in range(num_hops))
        return LegVerdict(
            passed=True, kept=num_hops, culprits=(), rises=unknown, votes=unknown, lines=unknown
        )
    return judge_leg(rows, weights, state.settings.tolerance, strides, state.usual_cost)


def _outcomes(verdict: LegVerdict, num_hops: int) -> list[Outcome]:
    if verdict.passed is None:
        return [Outcome.UNTESTED] * num_hops
    return [
        Outcome.ACCEPTED
        if position < verdict.kept
        else Outcome.REJECTED
        if position in verdict.culprits
        else Outcome.VOIDED
        for position in range(num_hops)
    ]


def _move_deposits(
    tally: Tally, leg: list[HopClaim], outcomes: list[Outcome], stakes: dict[int, int]
) -> None:
    forfeited = 0
    for hop, outcome in zip(leg, outcomes, strict=True):
        rule = PaymentRule.FORFEIT if outcome == Outcome.REJECTED else PaymentRule.REFUND
        forfeited += stakes[hop.trainer] if outcome == Outcome.REJECTED else 0
        tally.pay(hop.trainer, stakes[hop.trainer], rule)
    voided = [hop.trainer for hop, out in zip(leg, outcomes, strict=True) if out == Outcome.VOIDED]
    each, _ = compensation(forfeited, len(voided))
    for trainer in voided:
        tally.pay(trainer, each, PaymentRule.COMPENSATION)


def _judge(
    state: State,
    tally: Tally,
    leg: list[HopClaim],
    outcomes: list[Outcome],
    verdict: LegVerdict,
    rows: NDArray[np.float64],
    scores: list[float],
    audits: dict[str, Audit],
) -> None:
    """Debts of those who hopped, bonds of those who voted."""
    for hop, outcome, vote, score in zip(leg, outcomes, verdict.votes, scores, strict=True):
        if outcome in JUDGED and not math.isnan(vote):
            audit = audits.get(hop.model or "")
            rejected = outcome == Outcome.REJECTED
            audit_score = None if audit is None else audit.score
            tally.judge_hop(hop.trainer, score, audit_score, rejected=rejected)
        if outcome == Outcome.ACCEPTED:
            tally.welcome(hop.trainer)
    committee = state.testing.committee if state.testing else ()
    for place in (*verdict.culprits, *(range(verdict.kept) if committee else ())):
        votes = rows[place + 1] - rows[place]
        tally.judge_votes(committee, votes, verdict.votes[place], verdict.lines[place])


def level_of(state: State, utilities: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """How far a model stands above genesis: the difference of two median utilities.

    Verdicts are about *differences*, which see a harmful hop most sharply; but where
    data differ their sum along a lineage drifts away from what the models can do
    (measured: to −0.10 while accuracy rose to 0.91). Levels of their own do not add up
    errors, so that a lineage is paid for its rise whoever sat on which committee.
    """
    return weighted_median(utilities, weights) - state.start


def _gains(
    state: State, base: str, rows: NDArray[np.float64], weights: NDArray[np.float64]
) -> list[float]:
    """Each measured model's rise over the last measured one before it."""
    gains: list[float] = []
    reached = state.lineage[base].level
    for utilities in rows[1:]:
        level = level_of(state, utilities, weights)
        gains.append(level - reached)
        reached = reached if math.isnan(level) else level
    return gains


def _next_leg(leg: int, most: int, passed: bool | None) -> int:
    """One hop longer after a leg that passed, half as long after one that failed."""
    if passed is None:
        return leg
    return min(most, leg + 1) if passed else max(1, leg // 2)
