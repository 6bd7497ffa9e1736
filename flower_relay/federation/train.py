"""The legs of a round: every lane's baton travels, all lanes at once.

Whichever trainer answers first, its lane's next trainer is sent the baton at once; a trainer
that fails is noted and passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flwr.app import Message, RecordDict

from ..mechanism.blocks import Deposit, HopClaim, LaneTerms
from ..mechanism.randomness import generator
from ..rules.lanes import TELLING, leaves_late
from ..rules.outcomes import Fault
from ..transport.courier import Arrival
from ..wire.replies import is_missing
from .candidate import Claimed, claim
from .holdings import packed
from .run import Run, addressed

__all__ = ["NOWHERE", "Claims", "Legs", "Travelled"]

Claims = tuple[tuple[HopClaim, ...], ...]
"""One tuple of claims a lane."""


@dataclass(frozen=True, kw_only=True)
class Travelled:
    """What came of the legs of a round: one tuple of claims a lane, and what is told of them.

    Attributes
    ----------
    seconds, reasons : dict of trainer to float, to str
        How long each trainer took, and why its hop is at fault where it is.
    contents : list of flwr.app.RecordDict
        What usable replies held, with the weights taken out.
    """

    claims: Claims
    seconds: dict[int, float]
    reasons: dict[int, str]
    contents: list[RecordDict]


NOWHERE = Travelled(claims=(), seconds={}, reasons={}, contents=[])
"""What is known of legs that were over before a run was resumed."""


@dataclass(frozen=True, kw_only=True)
class _Hop:
    """A turn that is over: the claim it ended in, and what else is told of it."""

    made: Claimed
    seconds: float | None = None
    content: RecordDict | None = None


@dataclass
class _Leg:
    """A lane's leg while it runs: whose turns there are, and who has gone."""

    terms: LaneTerms
    seeds: list[int]
    baton: str
    hops: list[_Hop] = field(default_factory=list)

    @property
    def trainer(self) -> int:
        return self.terms.trainers[len(self.hops)]

    @property
    def seed(self) -> int:
        return self.seeds[len(self.hops)]

    @property
    def done(self) -> bool:
        return len(self.hops) == len(self.terms.trainers)

    def add(self, hop: _Hop) -> None:
        self.hops.append(hop)
        made = hop.made.claim
        if made.fault is None and made.model is not None:
            self.baton = made.model


class Legs:
    """The legs of a round, one a lane, on their way all at once.

    Parameters
    ----------
    early : bool
        Whether the round before it is still judged. What comes back is then looked at afterwards,
        so that nothing depends on which came first.

    Attributes
    ----------
    lanes : list
        A leg each.
    """

    def __init__(self, run: Run, deposit: Deposit, *, early: bool = False) -> None:
        self._run, self._deposit = run, deposit
        self._early: dict[int, Arrival] | None = {} if early else None
        self.lanes = _legs_of(run, deposit)
        self._back = self._failed = 0
        self._waited_for = sum(len(leg.terms.trainers) for leg in self.lanes)
        few = self._waited_for < TELLING
        self._patience = run.courier.patience("hop", self._enough, few) if self._hurries else None
        for leg in self.lanes:
            self._send(leg)

    @property
    def done(self) -> bool:
        """Whether every trainer has had its turn."""
        return all(leg.done for leg in self.lanes)

    @property
    def _hurries(self) -> bool:
        """Whether who is late is left out: of several lanes of one hop, while all goes well."""
        short = all(len(leg.terms.trainers) <= 1 for leg in self.lanes)
        return short and leaves_late(len(self.lanes), self._run.state.verdicts)

    def _enough(self) -> bool:
        """Whether two thirds of those who may still be back are."""
        return 3 * self._back >= 2 * (self._waited_for - self._failed)

    def finished(self) -> Travelled:
        """Run every leg to its end; what came of them."""
        came, self._early = self._early or {}, None
        for lane in sorted(came):
            self._go_on(lane, came.pop(lane))
        while not self.done:
            self._run.courier.serve()
        hops = [hop for leg in self.lanes for hop in leg.hops]
        return Travelled(
            claims=tuple(tuple(hop.made.claim for hop in leg.hops) for leg in self.lanes),
            seconds={h.made.claim.trainer: h.seconds for h in hops if h.seconds is not None},
            reasons={h.made.claim.trainer: h.made.reason for h in hops if h.made.reason},
            contents=[hop.content for hop in hops if hop.content is not None],
        )

    def _send(self, leg: _Leg) -> None:
        """Hand the baton to the leg's next trainer, if there is one."""
        run = self._run
        # After a restart, who had its turn in this round may not have come back.
        while not leg.done and leg.trainer not in run.node_of:
            gone = HopClaim(trainer=leg.trainer, base=leg.baton, model=None, fault=Fault.LEFT)
            leg.add(_Hop(made=Claimed(claim=gone, reason="it has not come back")))
            self._failed += 1
        if leg.done:
            return
        node = run.node_of[leg.trainer]
        terms = {"hop-seed": leg.seed, **run.hop_terms(node, leg.baton)}
        train, number = run.hooks.configure_train, self._deposit.round
        made = addressed(run, train, leg.baton, terms, [node], number)
        message = _packed(run, leg, made[0])
        lane = next(number for number, each in enumerate(self.lanes) if each is leg)
        run.courier.push([message], [lane], run.timeout, self._take, "hop", self._patience)

    def _take(self, arrival: Arrival) -> None:
        """Note what came of a turn, and go on from it now or later."""
        assert isinstance(arrival.tag, int)
        leg = self.lanes[arrival.tag]
        if _note(self._run, leg.trainer, arrival.message):
            self._send(leg)  # it lacks the baton's reference: it goes again, whole
            return
        self._back += arrival.fault is None
        self._failed += arrival.fault is not None
        if self._early is not None:
            self._early[arrival.tag] = arrival
        else:
            self._go_on(arrival.tag, arrival)

    def _go_on(self, lane: int, arrival: Arrival) -> None:
        run, reply, leg = self._run, arrival.message, self.lanes[lane]
        trainer = leg.trainer
        claimed = {n for each in self.lanes for hop in each.hops for n in hop.made.claim.names}
        made = claim(run, trainer, leg.baton, arrival, claimed)
        made = replace(made, claim=replace(made.claim, turns=arrival.turns))
        if made.claim.fault is not None:
            run.notice(trainer, made.claim.fault, made.reason)
        content = None if reply is None else reply.content
        leg.add(_Hop(made=made, seconds=arrival.seconds, content=content))
        self._send(leg)


def _legs_of(run: Run, deposit: Deposit) -> list[_Leg]:
    rng = generator(run.state.settings.seed, deposit.round, "training")
    return [
        _Leg(terms, rng.integers(2**31, size=len(terms.trainers)).tolist(), terms.base)
        for terms in deposit.lanes
    ]


def _note(run: Run, trainer: int, reply: Message | None) -> bool:
    """Note what a trainer told; whether it lacks what its message was relative to."""
    if reply is None:
        return False
    node = run.node_of[trainer]
    if is_missing(reply):
        return run.forwarding.forget(node)
    run.heard(trainer, node, reply)
    return False


def _packed(run: Run, leg: _Leg, message: Message) -> Message:
    """A hop's message with the baton in a parcel, if its trainer takes any and it is not large."""
    node, settings = run.node_of[leg.trainer], run.state.settings
    if not run.forwarding.reaches(node):
        return message
    parcel = run.forwarding.parcel_near(node, leg.baton, run.state.likeness(leg.terms.base))
    if parcel is None:
        return message
    return packed(message, parcel, settings.arrayrecord_key, settings.configrecord_key)
