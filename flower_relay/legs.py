"""The legs of a round: every lane's baton travels, all lanes at once.

Whichever trainer answers first, its lane's next trainer is sent the baton at once; a trainer
that fails is noted and passed over. Legs may be sent ahead of their deposit block, on a
supposed state (`flower_relay.speculation`); once the block is there, hops that are the same
under it are taken as they are, and the rest is trained anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flwr.app import ConfigRecord, Message, RecordDict

from .adapter import let_go_of_arrays
from .blocks import Deposit, HopClaim, LaneTerms
from .courier import Arrival
from .decisions import generator
from .errors import RefusedError
from .forwarding import packed
from .parcels import ONE_PIECE, PARCEL, WHOLE, steps_of, taken
from .rules.testing import fault_of, shortened
from .running import Running, to_arrays, to_record
from .signing import holds_told, hop_terms, is_missing, nonces_told, signature_of
from .statements import key_of

if TYPE_CHECKING:
    from .strategy import RelayStrategy

__all__ = ["Claims", "Legs", "relay"]

Claims = tuple[tuple[HopClaim, ...], ...]
"""One tuple of claims a lane."""


@dataclass(frozen=True)
class _Turn:
    """Whose turn it is on what: equal turns have equal hops, whenever they were sent."""

    trainer: int
    base: str
    seed: int
    stride: float


@dataclass(frozen=True)
class _Sent:
    """A turn's message; `ahead` when its trainer had no deposit locked for it yet."""

    lane: int
    turn: _Turn
    ahead: bool


@dataclass(frozen=True)
class _Hop:
    """A turn that is over: the claim it ended in, and what else is told of it."""

    turn: _Turn
    claim: HopClaim
    ahead: bool = False
    seconds: float | None = None
    content: RecordDict | None = None


@dataclass
class _Leg:
    """A lane's leg while it runs: whose turns there are, who has gone, who is awaited."""

    terms: LaneTerms
    seeds: list[int]
    baton: str
    hops: list[_Hop] = field(default_factory=list)
    awaited: _Sent | None = None

    @property
    def trainer(self) -> int:
        return self.terms.trainers[len(self.hops)]

    @property
    def done(self) -> bool:
        return len(self.hops) == len(self.terms.trainers)

    def add(self, hop: _Hop) -> None:
        self.hops.append(hop)
        if hop.claim.fault is None and hop.claim.model is not None:
            self.baton = hop.claim.model


def relay(
    strategy: RelayStrategy, run: Running, deposit: Deposit
) -> tuple[Claims, dict[int, float], list[RecordDict]]:
    """Run every lane's leg to its end, beginning with what was sent ahead of it.

    Returns
    -------
    (claims, seconds, replies)
        One tuple of claims a lane; each trainer's time; the contents of usable replies
        with the weights taken out.
    """
    legs, run.ahead = run.ahead or Legs(strategy), None
    legs.begin(run, deposit)
    while not legs.done:
        run.courier.serve()
    hops = [hop for leg in legs.lanes for hop in leg.hops]
    run.record.hops_ahead += sum(hop.ahead for hop in hops)
    seconds = {hop.turn.trainer: hop.seconds for hop in hops if hop.seconds is not None}
    contents = [hop.content for hop in hops if hop.content is not None]
    return legs.claims, seconds, contents


class Legs:
    """The legs of a round, one a lane, on their way all at once.

    Attributes
    ----------
    lanes : list
        A leg each; none before they begin.
    """

    def __init__(self, strategy: RelayStrategy) -> None:
        self._strategy = strategy
        self._run: Running
        self._ahead = self._halted = False
        self.lanes: list[_Leg] = []

    @property
    def done(self) -> bool:
        """Whether every trainer has had its turn."""
        return all(leg.done for leg in self.lanes)

    @property
    def under_way(self) -> bool:
        """Whether a trainer is still to answer."""
        return any(leg.awaited is not None for leg in self.lanes)

    @property
    def claims(self) -> Claims:
        """What the hops so far amount to."""
        return tuple(tuple(hop.claim for hop in leg.hops) for leg in self.lanes)

    def begin(self, run: Running, deposit: Deposit, *, ahead: bool = False) -> None:
        """Send the batons; of hops that were sent ahead, keep those that are this deposit's.

        Parameters
        ----------
        ahead : bool
            Whether the deposit is only supposed: nobody is charged for a fault yet.
        """
        self._run, self._ahead = run, ahead
        before, self.lanes = self.lanes, _legs_of(run, deposit)
        for leg, earlier in zip(self.lanes, before, strict=False):
            run.record.hops_rolled_back += len(earlier.hops) - _take_over(run, leg, earlier)
        for lane in range(len(self.lanes)):
            self._send(lane)

    def halt(self) -> None:
        """Send no more."""
        self._halted = True

    def _send(self, lane: int) -> None:
        """Hand the baton to the leg's next trainer, if there is one and it has not got it."""
        run, leg = self._run, self.lanes[lane]
        # After a restart, who had its turn in this round may not have come back.
        while not leg.done and leg.trainer not in run.node_of:
            gone = HopClaim(trainer=leg.trainer, base=leg.baton, model=None, fault="left")
            leg.add(_Hop(_turn(run, leg), gone))
        if leg.done or self._halted:
            return
        turn = _turn(run, leg)
        if leg.awaited is not None and leg.awaited.turn == turn:
            return
        leg.awaited = _Sent(lane, turn, self._ahead)
        self._push(leg, leg.awaited)

    def _push(self, leg: _Leg, sent: _Sent) -> None:
        run, asked = self._run, self._strategy.running
        asked.addressees = (run.node_of[sent.turn.trainer],)
        asked.extra_config = {"hop-seed": sent.turn.seed, **hop_terms(run, leg.baton)}
        messages = self._strategy.configure_train(
            run.state.round, run.model(leg.baton), run.train_config, run.grid
        )
        messages = [_packed(run, leg, message) for message in messages]
        run.courier.push(messages, [sent] * len(messages), run.timeout, self._take)

    def _take(self, arrival: Arrival) -> None:
        """Go on from what came of a turn; no more of one that was rolled back meanwhile."""
        run, sent, reply = self._run, arrival.tag, arrival.message
        assert isinstance(sent, _Sent)
        leg, trainer = self.lanes[sent.lane], sent.turn.trainer
        awaited = leg.awaited is sent
        leg.awaited = None if awaited else leg.awaited
        missing = _note(run, trainer, reply)
        if not awaited:
            run.record.hops_rolled_back += 1
        elif missing:  # what the baton was sent relative to: it goes again, as a whole
            self._send(sent.lane)
        elif arrival.fault is not None and sent.ahead:
            if not self._ahead:  # it may have been busy: with its deposit locked it goes again
                self._send(sent.lane)
        else:
            claim = _claim(self._strategy, run, self.lanes, leg, arrival)
            content = None if reply is None else reply.content
            leg.add(_Hop(sent.turn, claim, sent.ahead, arrival.seconds, content))
            self._send(sent.lane)


def _legs_of(run: Running, deposit: Deposit) -> list[_Leg]:
    rng = generator(run.state.settings.seed, deposit.round, "training")
    return [
        _Leg(terms, rng.integers(2**31, size=len(terms.trainers)).tolist(), terms.base)
        for terms in deposit.lanes
    ]


def _turn(run: Running, leg: _Leg) -> _Turn:
    """Whose turn it is."""
    stride = run.state.stride(leg.trainer)
    return _Turn(leg.trainer, leg.baton, leg.seeds[len(leg.hops)], stride)


def _take_over(run: Running, leg: _Leg, earlier: _Leg) -> int:
    """Keep an earlier leg's hops as long as they are this leg's, and their number.

    Whom it awaits is awaited on, if it is this leg's turn.
    """
    for hop in earlier.hops:
        if leg.done or hop.turn != _turn(run, leg):
            break
        leg.add(hop)
    awaited = earlier.awaited
    if awaited is not None and not leg.done and awaited.turn == _turn(run, leg):
        leg.awaited = awaited
    return len(leg.hops)


def _note(run: Running, trainer: int, reply: Message | None) -> bool:
    """Note what a trainer told; whether it lacks what its message was relative to."""
    if reply is None:
        return False
    node = run.node_of[trainer]
    if is_missing(reply):
        return run.forwarding.forget(node)
    run.forwarding.note({node: holds_told(reply)})
    run.nonces |= nonces_told({trainer: reply})
    return False


def _packed(run: Running, leg: _Leg, message: Message) -> Message:
    """A hop's message with the baton in a parcel, if its trainer takes any and it is not large."""
    node, settings = run.node_of[leg.trainer], run.state.settings
    if not run.forwarding.reaches(node):
        return message
    parcel = run.forwarding.parcel_near(node, leg.baton, run.state.likeness(leg.terms.base))
    if parcel is None:
        return message
    return packed(message, parcel, settings.arrayrecord_key, settings.configrecord_key)


def _open(run: Running, leg: _Leg, reply: Message) -> None:
    """Put the arrays that a reply's parcel stands for in its place; none if it is no good."""
    parcel, settings = reply.content.get(PARCEL), run.state.settings
    if not isinstance(parcel, ConfigRecord):
        return
    del reply.content[PARCEL]
    try:
        [step] = steps_of(parcel)
        base = run.store.get(leg.baton) if step.reference == leg.baton else None
        most = ONE_PIECE if step.encoding == WHOLE else run.record_bytes
        arrays, _ = taken(step, {leg.baton: base}.get, most)
    except (RefusedError, ValueError):
        return
    if step.encoding not in ("exact", WHOLE):
        run.forwarding.learn(step)
    reply.content[settings.arrayrecord_key] = to_record(arrays)


def _claim(
    strategy: RelayStrategy, run: Running, legs: list[_Leg], leg: _Leg, arrival: Arrival
) -> HopClaim:
    """What a reply amounts to: a stored candidate, or the reason there is none."""
    reply, name, fault, signature = arrival.message, None, arrival.fault, None
    sent: str | None = None
    if reply is not None:
        _open(run, leg, reply)
        name, fault = _candidate(strategy, run, leg, reply)
    if reply is not None and name is not None:
        signature = signature_of(run, leg.trainer, leg.baton, name, reply)
        if signature is None and key_of(run.state.who.names[leg.trainer]) is not None:
            name, fault = None, "unsigned"
        elif name in run.state.seen | _claimed(legs):
            fault = "copied"
        elif run.state.stride(leg.trainer) < 1:
            sent, name = name, _part(run, legs, leg, name)
            if name is None:
                fault, sent, signature = "unchanged", None, None
    return HopClaim(
        trainer=leg.trainer, base=leg.baton, model=name, fault=fault, sent=sent,
        signature=signature,
    )  # fmt: skip


def _part(run: Running, legs: list[_Leg], leg: _Leg, sent: str) -> str | None:
    """The name of what is handed on of a trainer in debt; None where that is nothing new."""
    base = run.store.get(leg.baton)
    part = shortened(base, run.store.get(sent), run.state.stride(leg.trainer))
    if fault_of(part, base) is not None:
        return None
    name = run.store.put(part)
    return None if name in run.state.seen | _claimed(legs) else name


def _claimed(legs: list[_Leg]) -> set[str]:
    """Models of this round's hops so far, as handed in and as handed on."""
    return {name for leg in legs for hop in leg.hops for name in hop.claim.names}


def _candidate(
    strategy: RelayStrategy, run: Running, leg: _Leg, reply: Message
) -> tuple[str | None, str | None]:
    """The name of a reply's weights, which are stored now, or what is wrong with them."""
    weights, _ = strategy.aggregate_train(run.state.round, [reply])
    if weights is None:
        let_go_of_arrays(reply.content)
        return None, "mis-shaped"
    candidate = to_arrays(weights)
    del weights
    let_go_of_arrays(reply.content)
    fault = fault_of(candidate, run.store.get(leg.baton))
    return (run.store.put(candidate), None) if fault is None else (None, fault)
