"""The one way from a trainer's reply to a hop's claim: open, check, store, claim.

Whatever a reply holds, a claim comes out: with a stored model, or with the kind of fault and
the reason for it. Only the sender is charged for what could not be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message
from numpy.typing import NDArray

from ..errors import ConfigurationError, RefusedError
from ..mechanism.blocks import HopClaim
from ..mechanism.identity import key_of
from ..mechanism.parsing import shown
from ..rules.candidates import Flaw, flaw_of, oversized, shortened, way_moved
from ..rules.outcomes import Fault
from ..transport.adapter import let_go_of_arrays
from ..transport.courier import Arrival
from ..wire.parcels import ONE_PIECE, PARCEL, WHOLE, only_step, taken
from ..wire.replies import refusal_told, signature_of, the_model, unpacked
from ..wire.statements import Hop
from .run import Run, to_record

__all__ = ["Claimed", "claim"]

_Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A hop's claim, and the reason where it holds a fault."""

    claim: HopClaim
    reason: str = ""


def claim(run: Run, trainer: int, base: str, arrival: Arrival, claimed: Collection[str]) -> Claimed:
    """What came of a trainer's turn on a base.

    Parameters
    ----------
    claimed : collection of str
        Models of this round's hops so far, as handed in and as handed on.
    """
    turn = _Turn(run=run, trainer=trainer, base=base, claimed=claimed)
    if arrival.message is None:
        return turn.faulty(Flaw(fault=arrival.fault or Fault.ERROR, reason=arrival.reason))
    if (refused := refusal_told(arrival.message)) is not None:
        return turn.faulty(Flaw(fault=Fault.LEFT, reason=refused))
    arrays = run.store.get(base)
    candidate = _candidate(run, base, arrays, arrival.message)
    let_go_of_arrays(arrival.message.content)
    if isinstance(candidate, Flaw):
        return turn.faulty(candidate)
    way = way_moved(candidate, arrays)
    if (flaw := oversized(way, run.state.farthest)) is not None:
        return turn.faulty(flaw, way)
    return _stored(turn, arrays, candidate, arrival.message, way)


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """Whose turn it was on what, and what this round has seen so far."""

    run: Run
    trainer: int
    base: str
    claimed: Collection[str]

    def is_copy(self, name: str) -> bool:
        """Whether a model was handed in before, by somebody or in this round."""
        return name in self.claimed or self.run.state.is_copy(name, self.trainer)

    def hop(
        self,
        model: str | None,
        *,
        fault: Fault | None = None,
        way: float | None = None,
        **more: str | None,
    ) -> HopClaim:
        return HopClaim(
            trainer=self.trainer, base=self.base, model=model, fault=fault,
            sent=more.get("sent"), signature=more.get("signature"), way=way,
        )  # fmt: skip

    def faulty(self, flaw: Flaw, way: float | None = None) -> Claimed:
        return Claimed(claim=self.hop(None, fault=flaw.fault, way=way), reason=flaw.reason)


def _candidate(
    run: Run, base: str, arrays: _Arrays, reply: Message
) -> dict[str, NDArray[Any]] | Flaw:
    """A reply's model, checked; or what is wrong with it."""
    if (flaw := _open(run, base, arrays, reply)) is not None:
        return flaw
    key, cast = run.state.settings.arrayrecord_key, run.record.notices.tell_cast
    if (flaw := the_model(reply.content, arrays, key, cast)) is not None:
        return flaw
    weights = _weights(run.hooks.aggregate_train(run.state.round, [reply]))
    if weights is None or weights.keys() != arrays.keys():
        return Flaw(
            fault=Fault.MIS_SHAPED, reason="aggregate_train returned no model like the base"
        )
    candidate: dict[str, NDArray[Any]] = {}
    for name, packed in weights.items():
        array = unpacked(name, packed, arrays[name])
        if isinstance(array, Flaw):
            return array
        candidate[name] = array
    return flaw_of(candidate, arrays) or candidate


def _weights(returned: object) -> ArrayRecord | None:
    """The weights among what `aggregate_train` returned, which a subclass may have written.

    Raises
    ------
    ConfigurationError
        When it is no pair of weights and metrics.
    """
    if isinstance(returned, tuple) and len(returned) == 2:
        weights = returned[0]
        if weights is None or isinstance(weights, ArrayRecord):
            return weights
    raise ConfigurationError(
        "aggregate_train should return a pair: an ArrayRecord or None, and a MetricRecord or "
        f"None; it returned {shown(returned)}."
    )


def _open(run: Run, base: str, arrays: _Arrays, reply: Message) -> Flaw | None:
    """Put the arrays that a reply's parcel stands for in its place."""
    parcel, settings = reply.content.get(PARCEL), run.state.settings
    if not isinstance(parcel, ConfigRecord):
        return None
    del reply.content[PARCEL]
    try:
        step = only_step(parcel)
        most = ONE_PIECE if step.encoding == WHOLE else run.record_bytes
        found = taken(step, {base: arrays}.get, most)
    except RefusedError as problem:
        return Flaw(fault=Fault.MIS_SHAPED, reason=str(problem))
    if step.encoding not in ("exact", WHOLE):
        run.forwarding.learn(step)
    reply.content[settings.arrayrecord_key] = to_record(found)
    return None


def _handed_in(turn: _Turn, name: str) -> str:
    """Why a model counts as copied; one's own often comes of training that repeats itself."""
    before = f"model {name[:12]} was handed in before"
    own = any(hop.model == name and hop.trainer == turn.trainer for hop in turn.run.record.hops)
    if not own:
        return before
    return (
        f"{before}, by itself: from the base that it had then, its training gives the same again. "
        "Shuffle by server-round"
    )


def _stored(
    turn: _Turn, arrays: _Arrays, candidate: _Arrays, reply: Message, way: float
) -> Claimed:
    """Keep a candidate and, of a trainer in debt, the part of the way that is handed on."""
    run, trainer = turn.run, turn.trainer
    name = run.store.put(candidate)
    known_as = run.state.who.names[trainer]
    hop = Hop(at=run.moment, parent=turn.base, model=name)
    signature = signature_of(reply, known_as, hop)
    if signature is None and key_of(known_as) is not None:
        return turn.faulty(
            Flaw(fault=Fault.UNSIGNED, reason="no signature of the trainer's under it")
        )
    if turn.is_copy(name):
        copied = turn.hop(name, fault=Fault.COPIED, signature=signature)
        return Claimed(claim=copied, reason=_handed_in(turn, name))
    if (stride := run.state.stride(trainer)) == 1:
        return Claimed(claim=turn.hop(name, signature=signature, way=way))
    part = shortened(arrays, candidate, stride)
    flaw = flaw_of(part, arrays)
    taken_on = run.store.put(part) if flaw is None else ""
    if flaw is not None or turn.is_copy(taken_on):
        reason = f"the part of the hop that is taken ({stride:g} of it) is nothing new"
        return turn.faulty(Flaw(fault=Fault.UNCHANGED, reason=reason))
    return Claimed(claim=turn.hop(taken_on, sent=name, signature=signature, way=way))
