"""The state of a run: what the blocks so far add up to, and nothing else.

`flower_relay.mechanism.apply` is the only writer. The live federation, resume and verify all
fold the same blocks and arrive at the same state. Arrays run over participants.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..rules.candidates import farthest
from ..rules.coins import PaymentRule, to_units
from ..rules.gate import EXPECTED, usual_cost, usual_margin
from ..rules.lanes import is_calm, lanes_now
from ..rules.roles import PROBATION_TRIES
from ..rules.standing import (
    A_HOP,
    earned_weights,
    forgiven,
    is_cautious,
    stride_of,
    vote_weights,
)
from ..rules.votes import weighted_median
from ..settings import RelaySettings
from .blocks import (
    Commitment,
    Deposit,
    Genesis,
    Settlement,
    Testing,
)
from .lineage import Lineage
from .reports import Reports, gathered, spread
from .standings import Standings

__all__ = ["Lane", "State", "begin"]


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
    `margins` are those of the latest hops, from which it is known what is usual.
    `scores` and `audit_scores` are of the latest hops: what later ones are ranked among.
    `ways` are how far the latest hops moved, accepted or not.
    `verdicts` are whether the latest hops were accepted.
    `moments` name what the lanes' optimiser remembers; none where there is nothing of it.
    `untested` are models that nobody tested, with their trainers: they may come again. `unheard` is
    whether a hop of the latest round was among them.
    `probation_left` are the tries that newcomers still have for this cycle's probation slot.
    `hops` are all turns there were so far.
    `ahead` is the deposit of the next round, where it trains while this one is judged. It counts
    from the publication of this round on.
    """

    settings: RelaySettings
    run: str
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
    verdicts: list[bool] = field(default_factory=list)
    moments: tuple[str, ...] = ()
    untested: dict[str, int] = field(default_factory=dict)
    unheard: bool = False
    ways: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=lambda: list(EXPECTED))
    scores: list[float] = field(default_factory=list)
    audit_scores: list[float] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    mark: float = 0.0
    paid_in: int = -1
    points: dict[int, float] = field(default_factory=dict)
    fresh: list[Counter[int]] = field(default_factory=lambda: [Counter()])
    round: int = 0
    cycle: int = 0
    hops: int = 0
    probation_left: int = PROBATION_TRIES
    minted: Counter[PaymentRule] = field(default_factory=Counter)
    burned: Counter[PaymentRule] = field(default_factory=Counter)
    ahead: Deposit | None = None
    deposit: Deposit | None = None
    commitment: Commitment | None = None
    testing: Testing | None = None
    settlement: Settlement | None = None

    @property
    def steps_lanes(self) -> bool:
        """Whether lanes meet by an optimiser."""
        return self.settings.optimiser is not None and len(self.lanes) > 1

    @property
    def open(self) -> bool:
        """Whether a round is under way and not settled yet."""
        return self.deposit is not None and self.settlement is None

    @property
    def goes_ahead(self) -> bool:
        """Whether the next round may train while this one is judged."""
        judged = self.open and self.commitment is not None and self.testing is None
        several = self.settings.waves and self.steps_lanes and self.lanes_next > 1
        return judged and several and is_calm(self.verdicts)

    @property
    def asking(self) -> int:
        """The round that participants are asked in, which is what they sign by.

        In a wave the votes on a round are asked for in the next one: so that a node is asked
        for one hop, one vote a model and one opening in each, whether a round went ahead or not.
        """
        return self.round + (self.settings.waves and self.commitment is not None)

    @property
    def lanes_next(self) -> int:
        """How many lanes the next round has."""
        if not self.settings.lanes_vary or self.settings.optimiser is None:
            return len(self.lanes)
        present = [] if self.deposit is None else list(self.deposit.present)
        return lanes_now(int((self.earned[present] > 0).sum()), self.verdicts)

    @property
    def max_leg(self) -> int:
        """Most hops of a leg: lanes that meet by an optimiser have legs of one hop."""
        return 1 if self.steps_lanes else self.settings.max_leg

    @property
    def num_participants(self) -> int:
        """Participants ever admitted."""
        return len(self.who.names)

    def likeness(self, model: str) -> str:
        """What examiners are shown of a model: by default the model itself."""
        return self.shown.get(model, model)

    def margin(self, trainer: int, vote: float) -> float:
        """A vote on a trainer's hop, in tolerances times its stride."""
        return vote / (self.settings.tolerance * self.stride(trainer))

    @property
    def usual_cost(self) -> float:
        """What a whole hop usually costs now, in tolerances."""
        return usual_cost(usual_margin(self.margins))

    def stride(self, trainer: int) -> float:
        """The part of a trainer's hops that is taken; all of it where nothing is tested."""
        return stride_of(self.debt(trainer)) if self.settings.books_debts else 1.0

    def debt(self, trainer: int) -> float:
        """What a trainer owes now."""
        return sum(self.debts(trainer))

    def debts(self, trainer: int) -> tuple[float, float]:
        """What a trainer owes by votes and by audits; a founder's first debt may be waived."""
        who = self.who
        untried = who.founder[trainer] and not who.accepted[trainer] + who.rejected[trainer]
        if untried and not self.cautious:
            return 0.0, 0.0
        return float(who.vote_debt[trainer]), float(who.audit_debt[trainer])

    @property
    def cautious(self) -> bool:
        """Whether first debts count, all seats are taken, and every hop is audited."""
        return is_cautious(self._bonds, self.mark, self.settings.tolerance, self.cycle)

    @property
    def forgiven(self) -> float:
        """Debt that a hop is forgiven now."""
        return forgiven(self._bonds)

    @property
    def _bonds(self) -> NDArray[np.float64]:
        """Of those who have examined, are here, and have earned full weight."""
        heard: NDArray[np.bool_] = (self.who.examined > 0) & (self.earned >= 1)
        if self.deposit is not None:
            heard &= np.isin(np.arange(self.num_participants), self.deposit.present)
        return self.who.bond[heard]

    @property
    def earned(self) -> NDArray[np.float64]:
        """The most that each participant's vote may weigh."""
        who = self.who
        return earned_weights(who.founder, who.accepted, A_HOP)

    def weights_of(self, committee: Sequence[int]) -> NDArray[np.float64]:
        """What the votes of a committee weigh, in its order."""
        drawn = list(committee)
        return vote_weights(self.who.bond[drawn], self.earned[drawn])

    @property
    def farthest(self) -> float:
        """How far a hop may move now; anywhere where nothing is tested."""
        return farthest(self.ways) if self.settings.examiners else math.inf

    def trainers(self, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Who of those present trains, and does not sit out what its turns took; else all of them.

        Cycles become short where everybody waits. Who had the others wait sits out as many hops
        as well, so that what it wastes is little beside what they train meanwhile.
        """
        here: NDArray[np.bool_] = present & self.who.trains
        free = here & (self.who.sits_until <= self.hops)
        return free if free.any() else here

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
    varying = lanes_now(len(genesis.participants), ())
    num_lanes = 1 if fan_out else varying if settings.lanes_vary else int(settings.lanes)
    return State(
        settings=settings,
        run=genesis.run,
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


def _row(values: tuple[float | None, ...]) -> NDArray[np.float64]:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _median(utilities: NDArray[np.float64]) -> float:
    return weighted_median(utilities, np.ones_like(utilities))
