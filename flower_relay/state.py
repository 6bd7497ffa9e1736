"""The state of a run: what the blocks so far add up to, and nothing else.

`apply(state, block)` is the only writer. The live federation, resume and verify all
fold the same blocks and arrive at the same state. Arrays run over participants.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    LaneResult,
    Payment,
    Publication,
    Settlement,
    Testing,
)
from .errors import LedgerError
from .lineage import Lineage
from .reports import Reports, added, gathered, spread
from .rules.auction import version_in
from .rules.coins import to_units
from .rules.rewards import audit_probability, faded
from .rules.standing import EXPECTED, leeway, patience_with, stride_of, usual_margin
from .rules.testing import weighted_median
from .settings import RelaySettings
from .standings import Standings

__all__ = [
    "Lane",
    "State",
    "apply",
    "audited_with",
    "begin",
    "effect_of",
    "move_units",
    "points_of",
]

_MARGINS_KEPT = 40
"""Hops from which it is known what is usual: about two cycles of twenty."""

_EFFECTS = {
    "deposit": (-1, 1),
    "refund": (1, -1),
    "forfeit": (0, -1),
    "contribution": (0, 1),
    "vesting": (1, -1),
}
"""What a unit under a rule adds to the balance and to what is locked, where it is not (1, 0).

Rules that add up to something mint it, or burn it where that is below zero.
"""


@dataclass
class Lane:
    """A lane between rounds: its baton, how many hops it may go untested, its trail."""

    baton: str
    leg: int
    trail: str
    accepted: int = 0


@dataclass
class State:
    """Everything the rules need to decide the next block.

    `start` is the median utility of the genesis model, from which levels are counted; NaN
    until somebody has judged it. `shown` are the likenesses by which models are judged, as
    long as they may be judged again. `mark` is the highest level of a recognised model so far;
    `points` is what audited hops added to their references, or undid, by trainer, fading from
    cycle to cycle. `paid_in` is the latest cycle at whose end contributions were paid, `fresh`
    what was earned in this cycle and those before it, latest first, and is not to vest yet.
    `margins` are those of the latest whole hops, from which it is known what is usual.
    `untested` are models that nobody tested, with their trainers: they may come again.
    """

    settings: RelaySettings
    bound: float
    who: Standings
    lineage: Lineage
    lanes: list[Lane]
    recognised: list[str]
    unit: int
    utilities: dict[str, Reports]
    start: float
    champion: str
    seen: set[str]
    untested: dict[str, int] = field(default_factory=dict)
    margins: list[float] = field(default_factory=lambda: list(EXPECTED))
    shown: dict[str, str] = field(default_factory=dict)
    mark: float = 0.0
    paid_in: int = -1
    points: dict[int, float] = field(default_factory=dict)
    fresh: list[Counter[int]] = field(default_factory=lambda: [Counter()])
    round: int = 0
    cycle: int = 0
    probation_used: bool = False
    minted: Counter[str] = field(default_factory=Counter)
    burned: Counter[str] = field(default_factory=Counter)
    deposit: Deposit | None = None
    commitment: Commitment | None = None
    testing: Testing | None = None
    settlement: Settlement | None = None

    @property
    def num_participants(self) -> int:
        """Participants ever admitted."""
        return len(self.who.names)

    def likeness(self, model: str) -> str:
        """What examiners are shown of a model: by default the model itself."""
        return self.shown.get(model, model)

    def margin(self, trainer: int, vote: float) -> float:
        """A vote on a trainer's hop in the tolerances that it has."""
        return vote / (self.settings.tolerance * self.stride(trainer))

    @property
    def tolerance(self) -> float:
        """How far a vote may fall now, by what is usual; as a fraction of the utility's bound."""
        return self.settings.tolerance * leeway(usual_margin(self.margins))

    def stride(self, trainer: int) -> float:
        """The part of a trainer's hops that is taken; all of it where nothing is tested."""
        return stride_of(float(self.who.debt[trainer])) if self.settings.books_debts else 1.0

    def patience(self, trainer: int) -> float:
        """The part of the tolerance that a trainer's next hop has."""
        return patience_with(self.stride(trainer), int(self.who.accepted[trainer]))

    def known_utilities(self, model: str) -> NDArray[np.float64]:
        """What each participant has reported about a model; NaN where nothing."""
        return spread(self.utilities.get(model), self.num_participants)

    def is_copy(self, model: str, trainer: int) -> bool:
        """Whether a model was handed in before; one's own that nobody tested may come again."""
        return model in self.seen and self.untested.get(model) != trainer

    def difference(self, reference: str, probe: str) -> NDArray[np.float64]:
        """By how much each participant reported a probe to be better than its reference."""
        return self.known_utilities(probe) - self.known_utilities(reference)


def begin(genesis: Genesis) -> State:
    """The state after the genesis block."""
    settings = RelaySettings(**genesis.settings)
    fan_out = settings.topology == "fan-out"
    owner = 0 if fan_out else None
    num_lanes = 1 if fan_out else settings.lanes
    return State(
        settings=settings,
        bound=genesis.bound,
        who=Standings.of(
            genesis.participants, genesis.roles, founders=True, debt=settings.debt_at_first
        ),
        lineage=Lineage(genesis.model, owner),
        lanes=[Lane(genesis.model, 1, genesis.model) for _ in range(num_lanes)],
        recognised=[genesis.model],
        unit=to_units(settings.deposit_unit),
        utilities={genesis.model: gathered(_row(genesis.utilities))},
        start=_median(_row(genesis.utilities)),
        champion=genesis.model,
        seen={genesis.model},
    )


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
        case Deposit():
            _apply_deposit(state, block)
        case Commitment():
            state.commitment = block
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
        state.probation_used = False
        state.points = faded(state.points, state.settings.points_kept)
        state.fresh = [Counter(), *state.fresh][: 1 + state.settings.vesting_delay]
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
        state.probation_used |= bool(who.newcomer[trainers].any())


def _apply_testing(state: State, block: Testing) -> None:
    state.testing = block
    for model, row in zip(block.models, block.utilities, strict=True):
        state.utilities[model] = added(state.utilities.get(model), block.committee, row)
        if model == state.lineage.genesis and math.isnan(state.start):
            # Who signs its votes gives the first one here.
            state.start = _median(state.known_utilities(model))
    state.shown.update(zip(block.models, block.shown, strict=False))
    committee = list(block.committee)
    for reference, probe in zip(block.references, block.probes, strict=True):
        state.who.see_step(committee, state.difference(reference, probe)[committee])


def _apply_settlement(state: State, block: Settlement) -> None:
    state.settlement = block
    margins = [
        state.margin(hop.trainer, hop.vote)
        for result in block.lanes
        for hop in result.hops
        if hop.outcome in ("accepted", "rejected")
        and hop.vote is not None
        # What a shortened hop costs tells little of what a whole one does.
        and state.stride(hop.trainer) == 1
    ]
    state.margins = [*state.margins, *margins][-_MARGINS_KEPT:]
    _note_untested(state, block)
    for result in block.lanes:
        for hop in result.hops:
            _apply_hop(state, hop.trainer, hop.outcome)
            if hop.outcome == "accepted" and hop.model is not None:
                gain = math.nan if hop.gain is None else hop.gain
                state.lineage.add(hop.model, hop.base, hop.trainer, version=block.round, gain=gain)
                state.mark = max(state.mark, state.lineage[hop.model].mark)
    state.points = points_of(state, block.lanes)
    _pay(state, block)
    for standing in block.standings:
        index = standing.participant
        state.who.bond[index] = standing.bond
        state.who.debt[index] = standing.debt
        state.who.waits_until[index] = standing.waits_until
        state.who.examined[index] += standing.examined
    if block.recognised:
        state.recognised = list(block.recognised)
    fan_out = state.settings.topology == "fan-out"
    for lane, result in zip(state.lanes, block.lanes, strict=False):
        if not fan_out:
            lane.leg = result.leg
            lane.accepted += sum(hop.outcome == "accepted" for hop in result.hops)
    if fan_out:
        state.lanes[0].accepted += bool(block.recognised)


def _note_untested(state: State, block: Settlement) -> None:
    """Keep in mind whose models nobody tested; what was tested is not among them any more."""
    claims = () if state.commitment is None else chain.from_iterable(state.commitment.lanes)
    names_of = {claim.model: claim.names for claim in claims if claim.fault is None}
    for hop in chain.from_iterable(result.hops for result in block.lanes):
        for name in names_of.get(hop.model, ()):
            if hop.outcome == "untested":
                state.untested[name] = hop.trainer
            else:
                state.untested.pop(name, None)


def audited_with(state: State, deposit: Deposit) -> float:
    """The probability of an audit; until the first pay, when most is at stake, every hop's."""
    if not state.minted["contribution"]:
        return 1.0
    return audit_probability(state.settings.audit, len(deposit.present))


def points_of(state: State, lanes: Iterable[LaneResult]) -> dict[int, float]:
    """The points of the cycle with a round's accepted hops added."""
    points = state.points.copy()
    if state.deposit is None:
        return points
    probability = audited_with(state, state.deposit)
    for result in lanes:
        for hop in result.hops:
            if hop.outcome == "accepted" and hop.step is not None:
                points[hop.trainer] = points.get(hop.trainer, 0.0) + hop.step / probability
    return points


def _apply_hop(state: State, trainer: int, outcome: str) -> None:
    who = state.who
    if outcome == "accepted":
        who.accepted[trainer] += 1
        who.version[trainer] = _version_now(state)
        who.newcomer[trainer] = False
    elif outcome == "voided":
        who.had_turn[trainer] = False  # somebody else's fault: it may go again
    elif outcome not in ("untested", "left"):
        who.rejected[trainer] += 1


def _version_now(state: State) -> int:
    """What staleness is counted in: rounds, or in a chain cycles; from 1, 0 being never."""
    return state.round if state.settings.topology == "fan-out" else version_in(state.cycle)


def effect_of(rule: str) -> tuple[int, int]:
    """What a unit under a rule adds to the balance, and to what is locked."""
    return _EFFECTS.get(rule, (1, 0))


def move_units(payments: Iterable[Payment], coins: Any, locked: Any) -> None:
    """Book payments on balances and what is locked (deposits, pay not vested), in place."""
    for payment in payments:
        to_balance, to_locked = effect_of(payment.rule)
        coins[payment.participant] += to_balance * payment.units
        locked[payment.participant] += to_locked * payment.units


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
        if rule in ("contribution", "vesting"):
            state.paid_in = state.cycle
        if rule == "contribution" and state.settings.topology == "chain":
            state.fresh[0][index] += units
        if rule != "refund":  # that was its own
            who.income[index] += to_balance * units
    if (who.locked < 0).any():
        raise LedgerError(f"round {block.round}: more is unlocked than was locked.")


def _apply_publication(state: State, block: Publication) -> None:
    for lane, baton, trail in zip(state.lanes, block.batons, block.trails, strict=True):
        if block.merged_from and baton not in state.lineage:
            state.lineage.merge(baton, block.merged_from, version=block.round)
        lane.baton, lane.trail = baton, trail
    state.champion = block.champion
    if state.settlement is not None and not block.merged_from:
        counts = [lane.accepted for lane in state.lanes]
        for lane, source in zip(state.lanes, state.settlement.restart_from, strict=False):
            lane.accepted = counts[source]
    live = {lane.baton for lane in state.lanes} | set(state.recognised)
    state.utilities = {name: row for name, row in state.utilities.items() if name in live}
    state.shown = {name: shown for name, shown in state.shown.items() if name in live}


def _names(lanes: Iterable[Iterable[HopClaim]]) -> list[str]:
    """The models of the hops of legs."""
    return [name for claims in lanes for claim in claims for name in claim.names]


def _row(values: tuple[float | None, ...]) -> NDArray[np.float64]:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _median(utilities: NDArray[np.float64]) -> float:
    return weighted_median(utilities, np.ones_like(utilities))
