"""Settling a fan-out round: all candidates ranked together, the top share recognised."""

from __future__ import annotations

import math

import numpy as np

from ..rules.coins import PaymentRule
from ..rules.outcomes import Outcome
from ..rules.settlement import num_recognised, rank
from ..rules.votes import is_quorate, weighted_median
from .blocks import Commitment, Deposit, HopClaim, HopResult, LaneResult, LaneTerms
from .leg import fault_result, level_of, number
from .payments import Tally
from .state import State
from .testing import leg_utilities

__all__ = ["settle_fan_out"]


def settle_fan_out(
    state: State, tally: Tally, deposit: Deposit, commitment: Commitment
) -> tuple[list[LaneResult], tuple[str, ...]]:
    """Rank the round's candidates and recognise the top share (at least one).

    Returns
    -------
    (lanes, recognised)
        One result a pair, in matching order; the recognised models, best first.
    """
    claims = [lane[0] for lane in commitment.lanes]
    scores = [_score(state, claim) for claim in claims]
    scored = sum(not math.isnan(score) for score in scores)
    share = num_recognised(scored, state.settings.recognised_share)
    best = [int(index) for index in rank(scores)[:share]]
    lanes = [
        _settle_pair(state, tally, terms, claim, scores[index], index in best)
        for index, (terms, claim) in enumerate(zip(deposit.lanes, claims, strict=True))
    ]
    return lanes, tuple(claims[index].model or "" for index in best)


def _score(state: State, claim: HopClaim) -> float:
    if claim.fault is not None or claim.model is None or state.testing is None:
        return math.nan
    committee = list(state.testing.committee)
    votes, weights = state.known_utilities(claim.model)[committee], state.weights_of(committee)
    return weighted_median(votes, weights) if is_quorate(~np.isnan(votes), weights) else math.nan


def _settle_pair(
    state: State,
    tally: Tally,
    terms: LaneTerms,
    claim: HopClaim,
    score: float,
    recognised: bool,
) -> LaneResult:
    """One owner and one trainer: both are refunded, or both forfeit."""
    stake = terms.deposits[0]
    if claim.fault is not None:
        hop = fault_result(tally, claim, stake)
        _owner(tally, terms, PaymentRule.REFUND)
    else:
        hop = _tested(state, terms, claim, score, recognised)
        rule = PaymentRule.FORFEIT if hop.outcome == Outcome.REJECTED else PaymentRule.REFUND
        tally.pay(claim.trainer, stake, rule)
        _owner(tally, terms, rule)
        if recognised:
            tally.welcome(claim.trainer)
    baton = claim.model if recognised and claim.model else terms.base
    return LaneResult(
        hops=(hop,), baton=baton, leg=1, score=number(score), passed=recognised or None
    )


def _owner(tally: Tally, terms: LaneTerms, rule: PaymentRule) -> None:
    if terms.owner is not None:
        tally.pay(terms.owner, terms.owner_deposit, rule)


def _tested(
    state: State, terms: LaneTerms, claim: HopClaim, score: float, recognised: bool
) -> HopResult:
    committee = state.testing.committee if state.testing else ()
    rows = leg_utilities(state, committee, [claim], terms.trainers)
    weights = state.weights_of(committee)
    vote = weighted_median(rows[1] - rows[0], weights)
    level = level_of(state, rows[1], weights)
    judged = Outcome.ACCEPTED if recognised else Outcome.REJECTED
    outcome = Outcome.UNTESTED if np.isnan(score) else judged
    return HopResult(
        trainer=claim.trainer,
        base=claim.base,
        model=claim.model,
        outcome=outcome,
        vote=number(vote),
        gain=number(level - state.lineage[claim.base].level) if recognised else None,
    )
