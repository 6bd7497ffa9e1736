"""The legs of a round: every lane's baton travels, all lanes at once.

One loop serves all lanes: whichever trainer answers first, its lane's next trainer is
sent the baton at once. A trainer that fails is noted and passed over.
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

__all__ = ["relay"]


@dataclass
class _Leg:
    """A lane's leg while it runs: who is still to go, and what has been claimed."""

    terms: LaneTerms
    baton: str
    seeds: list[int]
    claims: list[HopClaim] = field(default_factory=list)

    @property
    def trainer(self) -> int:
        return self.terms.trainers[len(self.claims)]

    @property
    def done(self) -> bool:
        return len(self.claims) == len(self.terms.trainers)


Claims = tuple[tuple[HopClaim, ...], ...]


def relay(
    strategy: RelayStrategy, run: Running, deposit: Deposit
) -> tuple[Claims, dict[int, float], list[RecordDict]]:
    """Run every lane's leg to its end.

    Returns
    -------
    (claims, seconds, replies)
        One tuple of claims a lane; each trainer's time; the contents of usable replies
        with the weights taken out.
    """
    rng = generator(run.state.settings.seed, deposit.round, "training")
    legs = [
        _Leg(terms, terms.base, rng.integers(2**31, size=len(terms.trainers)).tolist())
        for terms in deposit.lanes
    ]
    seconds: dict[int, float] = {}
    contents: list[RecordDict] = []
    for lane, leg in enumerate(legs):
        _send(strategy, run, lane, leg)
    while run.courier.waiting:
        arrivals = run.courier.next_arrivals()
        while arrivals:  # taken out one by one, so that each reply can be let go of
            arrival = arrivals.pop(0)
            lane = int(str(arrival.tag))
            leg = legs[lane]
            if _again(strategy, run, lane, leg, arrival):
                continue
            seconds[leg.trainer] = arrival.seconds
            leg.claims.append(_claim(strategy, run, legs, leg, arrival))
            if arrival.message is not None:
                run.nonces |= nonces_told({leg.claims[-1].trainer: arrival.message})
                contents.append(arrival.message.content)
            leg.baton = _baton(leg)
            del arrival
            _send(strategy, run, lane, leg)
    return tuple(tuple(leg.claims) for leg in legs), seconds, contents


def _baton(leg: _Leg) -> str:
    last = leg.claims[-1]
    return last.model if last.fault is None and last.model is not None else leg.baton


def _send(strategy: RelayStrategy, run: Running, lane: int, leg: _Leg) -> None:
    """Hand the baton to the leg's next trainer, if there is one."""
    # After a restart, who had its turn in this round may not have come back.
    while not leg.done and leg.trainer not in run.node_of:
        gone = HopClaim(trainer=leg.trainer, base=leg.baton, model=None, fault="left")
        leg.claims.append(gone)
    if leg.done:
        return
    run.addressees = (run.node_of[leg.trainer],)
    run.extra_config = {"hop-seed": leg.seeds[len(leg.claims)], **hop_terms(run, leg.baton)}
    messages = strategy.configure_train(
        run.state.round, run.model(leg.baton), run.train_config, run.grid
    )
    messages = [_packed(run, leg, message) for message in messages]
    run.courier.push(messages, [lane] * len(messages), run.timeout)


def _packed(run: Running, leg: _Leg, message: Message) -> Message:
    """A hop's message with the baton in a parcel, if its trainer takes any and it is not large."""
    node, settings = run.node_of[leg.trainer], run.state.settings
    if not run.forwarding.reaches(node):
        return message
    parcel = run.forwarding.parcel_near(node, leg.baton, run.state.likeness(leg.terms.base))
    if parcel is None:
        return message
    return packed(message, parcel, settings.arrayrecord_key, settings.configrecord_key)


def _again(strategy: RelayStrategy, run: Running, lane: int, leg: _Leg, arrival: Arrival) -> bool:
    """Note what a trainer holds; if it lacks what the baton was sent relative to, send it whole."""
    reply, node = arrival.message, run.node_of[leg.trainer]
    if reply is None:
        return False
    if is_missing(reply) and run.forwarding.forget(node):
        _send(strategy, run, lane, leg)
        return True
    run.forwarding.note({node: holds_told(reply)})
    return False


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


def _claimed(legs: list[_Leg]) -> set[str | None]:
    """Models of this round's hops so far, as handed in and as handed on."""
    claims = [claim for leg in legs for claim in leg.claims]
    return {name for claim in claims for name in (claim.model, claim.sent)}


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
