"""Settlement of a round: outcomes, rewards and standings, from what the blocks hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import LedgerError
from ..rules.coins import EXAMINING_FEE, PaymentRule, to_units
from ..rules.outcomes import Outcome
from ..rules.planted import seen_in_noise, votes_on_planted
from ..rules.rewards import (
    LINEAGE_DECAY,
    MINT,
    TRAINER_SHARE,
    contribution_credit,
    divide,
    royalties,
)
from ..rules.settlement import num_recognised, rank
from .blocks import HopResult, LaneResult, Settlement, Testing
from .fan_out import settle_fan_out
from .leg import settle_lane
from .lineage import Lineage
from .merkle import leaves_of, merkle_root
from .payments import Tally, move_units
from .rewards import pay_cycle
from .state import State

__all__ = ["decide_settlement", "seen_in_planted"]


def decide_settlement(state: State) -> Settlement:
    """Decide the settlement of the round whose deposit, commitment and tests are applied.

    Raises
    ------
    LedgerError
        When there is no deposit or no commitment to settle.
    """
    deposit, commitment = state.deposit, state.commitment
    if deposit is None or commitment is None:
        raise LedgerError("nothing to settle: a deposit and a commitment block come first.")
    tally = Tally(state)
    if state.settings.topology == "fan-out":
        lanes, recognised = settle_fan_out(state, tally, deposit, commitment)
        restart_from: tuple[int, ...] = (0,)
    else:
        lanes = [
            settle_lane(state, tally, *lane)
            for lane in zip(state.lanes, deposit.lanes, commitment.lanes, strict=True)
        ]
        ranking = rank([np.nan if lane.score is None else lane.score for lane in lanes])
        recognised = tuple(dict.fromkeys(lanes[index].baton for index in ranking))
        restart_from = _restart_from(state, lanes, ranking.tolist())
    if state.settings.topology == "chain" and state.settings.rewards == "contribution":
        pay_cycle(state, tally, lanes)
    else:
        _reward(state, tally, lanes)
    _pay_examiners(state, tally)
    if state.testing is not None:
        for examiner, turns in zip(state.testing.committee, state.testing.turns, strict=False):
            tally.sit_out(examiner, turns)
    return Settlement(
        round=state.round,
        lanes=tuple(lanes),
        recognised=recognised,
        restart_from=restart_from,
        payments=tuple(tally.payments),
        standings=tally.standings(),
        standings_root=_standings_root(state, tally),
    )


def _standings_root(state: State, tally: Tally) -> str:
    """The root over everybody's standing as it will be once this settlement is applied."""
    who = state.who
    coins, locked, bonds = who.coins.tolist(), who.locked.tolist(), who.bond.tolist()
    move_units(tally.payments, coins, locked)
    for standing in tally.standings():
        bonds[standing.participant] = standing.bond
    return merkle_root(leaves_of(who.names, coins, locked, bonds))


def _restart_from(state: State, lanes: list[LaneResult], ranking: list[int]) -> tuple[int, ...]:
    """For each lane, the lane it goes on from: its own, or the best if it ranks low."""
    best = ranking[0]
    keep = set(ranking[: num_recognised(len(lanes), state.settings.recognised_share)])
    if lanes[best].score is None:  # nobody voted: every lane goes on with what it has
        keep = set(ranking)
    return tuple(lane if lane in keep else best for lane in range(len(lanes)))


def _reward(state: State, tally: Tally, lanes: list[LaneResult]) -> None:
    """Pay every accepted hop at once: royalties, and rises in a fan-out."""
    lineage = state.lineage.branch()
    for result in lanes:
        for hop in result.hops:
            if hop.outcome != Outcome.ACCEPTED or hop.model is None:
                continue
            if state.settings.rewards == "royalty":
                _pay_royalty(lineage, tally, hop)
            elif hop.gain is not None:
                _pay_contribution(state, lineage, tally, hop, hop.gain)
            gain = np.nan if hop.gain is None else hop.gain
            lineage.add(hop.model, hop.base, hop.trainer, version=state.round, gain=gain)


def _pay_contribution(
    state: State,
    lineage: Lineage,
    tally: Tally,
    hop: HopResult,
    gain: float,
) -> None:
    base = lineage[hop.base]
    credit = contribution_credit(base.level + gain, base.mark)
    shares = lineage.shares(hop.base, hop.trainer, TRAINER_SHARE, LINEAGE_DECAY)
    units = to_units(credit * MINT)
    for participant, amount in sorted(divide(units, shares, hop.trainer).items()):
        tally.pay(participant, amount, PaymentRule.CONTRIBUTION)
        tally.pay(participant, amount, PaymentRule.VESTING)  # no debts here: nothing to wait for


def _pay_royalty(lineage: Lineage, tally: Tally, hop: HopResult) -> None:
    owned = lineage.owned_above(hop.base)
    root = lineage[lineage.genesis].trainer
    if root is not None:
        owned[root] += 1
    for participant, units in sorted(royalties(lineage[hop.base].trainer, owned).items()):
        tally.pay(participant, units, PaymentRule.ROYALTY)


def _pay_examiners(state: State, tally: Tally) -> None:
    """Count tests, judge votes on planted models, and pay examiners as their votes weighed.

    A liar agrees with the committee wherever nothing much happens, and that is most of the
    time: it is its bond that tells, and a vote without weight earns nothing. The fee is small
    beside a deposit: otherwise examining refills what cheats forfeit.
    """
    testing, commitment, deposit = state.testing, state.commitment, state.deposit
    if testing is None or commitment is None or deposit is None:
        return
    fresh = {claim.model for claims in commitment.lanes for claim in claims}
    fresh |= {*testing.planted, *testing.references, *testing.probes}
    # A base was paid for when it was the candidate.
    fresh -= {terms.base for terms in deposit.lanes}
    for name, row in zip(testing.models, testing.utilities, strict=True):
        for examiner, utility in zip(testing.committee, row, strict=True):
            tally.examined[examiner] += name in fresh and utility is not None
    if testing.planted:
        _judge_planted(state, testing, tally)
    fee = to_units(EXAMINING_FEE)
    fan_out = state.settings.topology == "fan-out"
    for examiner in sorted(testing.committee):
        if fan_out or tally.agreed[examiner]:
            weight = 1.0 if fan_out else float(state.who.bond[examiner])
            units = int(fee * tally.examined[examiner] * weight)
            tally.pay(examiner, units, PaymentRule.EXAMINING)


def _judge_planted(state: State, testing: Testing, tally: Tally) -> None:
    """Planted models are known to be bad: seeing no harm is being constant, or a lie."""
    votes = seen_in_planted(state, testing)
    tally.judge_votes(testing.committee, votes, -state.settings.tolerance, 0.0)


def seen_in_planted(state: State, testing: Testing) -> NDArray[np.float64]:
    """What a committee's votes on planted models tell of it; all NaN where hardly any sees harm."""
    committee, deposit = list(testing.committee), state.deposit
    genesis, tolerance = state.lineage.genesis, state.settings.tolerance
    before = (genesis, genesis if deposit is None else deposit.lanes[0].base)
    plain, base = (state.known_utilities(name)[committee] for name in before)
    noised = [state.known_utilities(name)[committee] for name in testing.planted]
    votes = seen_in_noise(noised, plain, base, tolerance)
    return votes_on_planted(votes, state.weights_of(committee), tolerance)
