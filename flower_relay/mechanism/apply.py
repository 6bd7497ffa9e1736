"""The fold: a state and a block to the state after it. Nothing else writes on a state.

A run's progress is this fold over its blocks, whether they are being made, read again after
a crash, or verified.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from ..errors import LedgerError
from ..rules.auction import version_in
from ..rules.coins import PaymentRule, effect_of
from ..rules.lanes import VERDICTS_KEPT
from ..rules.outcomes import JUDGED, Fault, Outcome
from ..rules.rewards import POINTS_KEPT, VESTING_DELAY, faded
from ..rules.roles import PROBATION_TRIES
from ..rules.settlement import is_forgiven
from .blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    Publication,
    Settlement,
    Testing,
)
from .notes import (
    note_audits,
    note_scores,
    note_silences,
    note_stalls,
    note_untested,
    note_ways,
)
from .payments import move_units
from .reports import added
from .rewards import points_of
from .state import Lane, State, _median

__all__ = ["apply", "Progress"]


_MARGINS_KEPT = 40
"""Hops from which it is known what is usual: about two cycles of twenty."""


def apply(state: State, block: Block) -> State:
    """Fold one block into the state, in place.

    Raises
    ------
    LedgerError
        When the block cannot follow: it overdraws a balance or names what does not exist.
    """
    match block:
        case Admission():
            debt = state.settings.debt_at_first
            state.who.extend(block.participants, block.roles, debt)
        case Deposit() if state.open:
            state.ahead = block
        case Deposit():
            _apply_deposit(state, block)
        case Commitment():
            state.commitment = block
            state.hops += sum(len(claims) for claims in block.lanes)
            state.seen.update(_names(block.lanes))
        case Testing():
            _apply_testing(state, block)
        case Settlement():
            _apply_settlement(state, block)
        case Publication():
            _apply_publication(state, block)
        case Genesis():
            raise LedgerError("a second genesis block: a run has one, and it is the first.")
    return state


def _apply_deposit(state: State, block: Deposit) -> None:
    who = state.who
    if block.cycle > state.cycle:
        who.had_turn[:] = False
        who.income[:] = 0
        state.probation_left = PROBATION_TRIES
        state.points = faded(state.points, POINTS_KEPT)
        state.fresh = [Counter(), *state.fresh][: 1 + VESTING_DELAY]
    state.round, state.cycle, state.unit = block.round, block.cycle, block.unit
    state.deposit = block
    state.commitment = state.testing = state.settlement = None
    for terms in block.lanes:
        stakes = list(zip(terms.trainers, terms.deposits, strict=True))
        if terms.owner is not None:
            stakes.append((terms.owner, terms.owner_deposit))
        for participant, units in stakes:
            who.coins[participant] -= units
            who.locked[participant] += units
            if who.coins[participant] < 0 or units < 0:
                raise LedgerError(
                    f"round {block.round}: the deposit of {who.names[participant]} is "
                    f"{units} units, more than it has."
                )
        trainers = list(terms.trainers)
        who.had_turn[trainers] = True
        who.last_try[trainers] = block.round
        state.probation_left -= int(who.newcomer[trainers].sum())


def _apply_testing(state: State, block: Testing) -> None:
    state.testing = block
    for model, row in zip(block.models, block.utilities, strict=True):
        state.utilities[model] = added(state.utilities.get(model), block.committee, row)
        if model == state.lineage.genesis and math.isnan(state.start):
            # Who signs its votes gives the first one here.
            state.start = _median(state.known_utilities(model))
    state.shown.update(zip(block.models, block.shown, strict=False))
    note_audits(state, block)


def _apply_settlement(state: State, block: Settlement) -> None:
    state.settlement = block
    margins = [
        state.margin(hop.trainer, hop.vote)
        for result in block.lanes
        for hop in result.hops
        if hop.outcome in JUDGED and hop.vote is not None
    ]
    state.margins = [*state.margins, *margins][-_MARGINS_KEPT:]
    state.points = points_of(state, block.lanes)
    note_scores(state, block)
    note_untested(state, block)
    note_ways(state)
    note_silences(state)
    note_stalls(state)
    for result in block.lanes:
        for hop in result.hops:
            _apply_hop(state, hop.trainer, hop.outcome)
            if hop.outcome == Outcome.ACCEPTED and hop.model is not None:
                gain = math.nan if hop.gain is None else hop.gain
                state.lineage.add(hop.model, hop.base, hop.trainer, version=block.round, gain=gain)
                state.mark = max(state.mark, state.lineage[hop.model].mark)
    hops = chain.from_iterable(result.hops for result in block.lanes)
    verdicts = [hop.outcome == Outcome.ACCEPTED for hop in hops if hop.outcome in JUDGED]
    state.verdicts = [*state.verdicts, *verdicts][-VERDICTS_KEPT:]
    _pay(state, block)
    for standing in block.standings:
        index = standing.participant
        state.who.bond[index] = standing.bond
        state.who.vote_debt[index] = standing.vote_debt
        state.who.audit_debt[index] = standing.audit_debt
        state.who.waits_until[index] = standing.waits_until
        state.who.examined[index] += standing.examined
    if block.recognised:
        state.recognised = list(block.recognised)
    fan_out = state.settings.topology == "fan-out"
    for lane, result in zip(state.lanes, block.lanes, strict=False):
        if not fan_out:
            lane.leg = result.leg
            lane.accepted += sum(hop.outcome == Outcome.ACCEPTED for hop in result.hops)
    if fan_out:
        state.lanes[0].accepted += bool(block.recognised)


def _apply_hop(state: State, trainer: int, outcome: Outcome | Fault) -> None:
    who = state.who
    if who.newcomer[trainer] and outcome in JUDGED:
        state.probation_left = 0  # it had the slot; who handed in nothing left it to the next
    if outcome == Outcome.ACCEPTED:
        who.accepted[trainer] += 1
        who.version[trainer] = _version_now(state)
        who.newcomer[trainer] = False
    elif outcome == Outcome.VOIDED:
        who.had_turn[trainer] = False  # somebody else's fault: it may go again
    elif outcome != Outcome.UNTESTED and not is_forgiven(outcome, int(who.lefts[trainer])):
        who.rejected[trainer] += 1
    if outcome != Fault.LATE:  # it may still be away
        who.lefts[trainer] = who.lefts[trainer] + 1 if outcome == Fault.LEFT else 0


def _version_now(state: State) -> int:
    """What staleness is counted in: rounds, or in a chain cycles; from 1, 0 being never."""
    return state.round if state.settings.topology == "fan-out" else version_in(state.cycle)


def _pay(state: State, block: Settlement) -> None:
    who = state.who
    move_units(block.payments, who.coins, who.locked)
    for payment in block.payments:
        index, units, rule = payment.participant, payment.units, payment.rule
        to_balance, to_locked = effect_of(rule)
        if to_balance + to_locked < 0:
            state.burned[rule] += units
        elif to_balance + to_locked > 0:
            state.minted[rule] += units
        if rule in (PaymentRule.CONTRIBUTION, PaymentRule.VESTING):
            state.paid_in = state.cycle
        if rule == PaymentRule.CONTRIBUTION and state.settings.topology == "chain":
            state.fresh[0][index] += units
        if rule != PaymentRule.REFUND:  # that was its own
            who.income[index] += to_balance * units
    if (who.locked < 0).any():
        raise LedgerError(f"round {block.round}: more is unlocked than was locked.")


def _apply_publication(state: State, block: Publication) -> None:
    for baton in dict.fromkeys(block.batons if block.merged_from else ()):
        if baton not in state.lineage:
            state.lineage.merge(baton, block.merged_from, version=block.round)
    state.champion, state.moments = block.champion, block.moments
    if state.settings.optimiser is not None:
        state.lanes = _lanes_that_met(state, block)
    else:
        _move_lanes(state, block)
    live = {*(lane.baton for lane in state.lanes), *state.recognised, state.lineage.genesis}
    state.utilities = {name: row for name, row in state.utilities.items() if name in live}
    state.shown = {name: shown for name, shown in state.shown.items() if name in live}
    if state.ahead is not None:
        _catch_up(state, block, state.ahead)


def _catch_up(state: State, block: Publication, ahead: Deposit) -> None:
    """The round that went ahead is the one that is under way; it descends from this one.

    Where a hop was rejected, it trains on a model that is not the published one. That counts as
    made of the same hops.
    """
    lane = state.lanes[0]
    for base in dict.fromkeys(terms.base for terms in ahead.lanes):
        if base not in state.lineage:
            state.lineage.merge(base, block.merged_from or (lane.baton,), version=block.round)
    state.ahead = None
    _apply_deposit(state, ahead)


def _lanes_that_met(state: State, block: Publication) -> list[Lane]:
    """Lanes that go on from one model with one trail, as many as the block has."""
    if not len(block.batons) == len(block.trails) > 0:
        raise LedgerError(
            f"round {block.round}: expected a trail for each baton and at least one lane, found "
            f"{len(block.batons)} batons and {len(block.trails)} trails."
        )
    batons = max(lane.accepted for lane in state.lanes)
    leg = state.lanes[0].leg if len(state.lanes) == len(block.batons) == 1 else 1
    return [
        Lane(baton, leg, trail, batons)
        for baton, trail in zip(block.batons, block.trails, strict=True)
    ]


def _move_lanes(state: State, block: Publication) -> None:
    for lane, baton, trail in zip(state.lanes, block.batons, block.trails, strict=True):
        lane.baton, lane.trail = baton, trail
    if state.settlement is not None and not block.merged_from:
        counts = [lane.accepted for lane in state.lanes]
        for lane, source in zip(state.lanes, state.settlement.restart_from, strict=False):
            lane.accepted = counts[source]


def _names(lanes: Iterable[Iterable[HopClaim]]) -> list[str]:
    """The models of the hops of legs."""
    return [name for claims in lanes for claim in claims for name in claim.names]


@dataclass(kw_only=True)
class Progress:
    """How far a run is: what its blocks add up to, the last of them, and the hops so far.

    It is a fold over the blocks and nothing else, so that a run that is resumed goes on
    as if it had never stopped.
    """

    state: State
    last: Block
    hops: int = 0
    round_published: int = 0
    """The round whose champion is the one to use now; 0 for the genesis model."""

    @property
    def between_rounds(self) -> bool:
        """Whether no round is open: the next block is an admission or a deposit."""
        return isinstance(self.last, Genesis | Admission | Publication) and not self.state.open

    @property
    def trainers_are_out(self) -> bool:
        """Whether the answers to a deposit are waited for that is not the last block.

        Until they are in, nobody is shown what came after it.
        """
        out = self.state.ahead is not None or (self.state.open and self.state.commitment is None)
        return out and not isinstance(self.last, Deposit)

    @property
    def due(self) -> tuple[type[Block], ...]:
        """The kinds of which the next block may be."""
        state = self.state
        match self.last:
            case Genesis() | Admission() | Publication() if not state.open:
                return Admission, Deposit
            case Admission():
                return Admission, Deposit, Testing
            case Deposit() if state.ahead is not None:
                return (Testing,)
            case Deposit() | Publication():
                return (Commitment,)
            case Commitment() if state.goes_ahead:
                return Testing, Admission, Deposit
            case Commitment():
                return (Testing,) if state.settings.examiners else (Settlement,)
            case Testing():
                return (Settlement,)
            case _:
                return (Publication,)

    def fold(self, block: Block) -> None:
        """Go one block further."""
        apply(self.state, block)
        self.last = block
        if isinstance(block, Publication):
            self.round_published = block.round
        if isinstance(block, Commitment):
            self.hops += sum(len(claims) for claims in block.lanes)
