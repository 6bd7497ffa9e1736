"""One message of a relay's server, answered: what the mod does with it.

Models are taken from arrays or parcels and looked at before anything else; the ClientApp is
called; what it did is signed. `flower_relay.mods` says what is asked and what is answered.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import WARNING
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.common import log

from ..errors import ContradictionError, RefusedError
from ..rules.roles import BOTH
from ..store import model_name
from ..transport.adapter import let_go_of_arrays
from ..wire.arrays import arrays_in
from ..wire.parcels import PARCEL, PREFIX, Step, parcel_of
from ..wire.requests import Shown, brief, hash_named, hashes, measured, metric_named, text
from ..wire.statements import (
    Hello,
    Hop,
    Measured,
    Opening,
    node_hash,
    nonce_hash,
    public_hex,
    sign,
)
from ..wire.votes import vote_on
from .cache import ModelCache
from .memory import Memory
from .model import MissingError, Model, model_in, models_in
from .update import exactly, handed_on, in_types_of, rounded

__all__ = ["App", "Exchange", "MissingError"]

App = Callable[[Message, Context], Message]

_RECORD = "relay"
_LONGEST_REASON = 500
"""Characters of what a ClientApp raised, as the server is told."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One message of a relay's server, and what is needed to answer it."""

    message: Message
    context: Context
    config: ConfigRecord
    shown: Shown
    key: Ed25519PrivateKey | None
    memory: Memory | None
    max_bytes: int | None
    cache: ModelCache
    role: str = BOTH

    def train(self, call_next: App) -> Message:
        """Train on the message's model, and hand on what came of it."""
        self._willing("train")
        if PARCEL in self.message.content:
            name = hash_named(self.config, "relay-parent")
            parent = self._unpack([name])[name]
            self._give(parent)
        else:
            parent = self._as_it_came()
        stated = self.config.get("relay-parent", parent.name)
        if stated != parent.name:
            raise RefusedError(
                f"relay-parent announces model {brief(stated)[:14]}; the arrays of the message are "
                f"model {parent.name[:12]}. Nothing was trained or signed: the message was changed "
                "on its way, or the server is at fault; have it send the hop again."
            )
        if (again := self._handed_on_before(parent)) is not None:
            return again
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        model = self._hand_on(reply, parent)
        if model is None or self.key is None or self.memory is None:
            return self._say(reply, {})
        hop = Hop(at=self.shown.at, parent=parent.name, model=model.name)
        signature = sign(self.key, hop)
        self.memory.sign_hop(self.shown.at, parent.name, model.name, signature)
        return self._say(reply, {"signature": signature}, model.data)

    def _handed_on_before(self, parent: Model) -> Message | None:
        """The answer to the same question once more, where its result is still kept."""
        kept = None if self.memory is None else self.memory.hop(self.shown.at, parent.name)
        if kept is None or self.memory is None:
            return None
        data = self.memory.result()
        if model_name(data) != kept["model"]:
            return None
        model = Model(name=kept["model"], arrays=arrays_in(data), data=data)
        step = exactly(model, parent)
        content: dict[str, Any] = (
            {"model": model.record()} if step is None else {PARCEL: parcel_of([step])}
        )
        reply = Message(RecordDict(content), reply_to=self.message)
        return self._say(reply, {"signature": kept["signature"]})

    def _willing(self, what: str) -> None:
        if self.role not in (what, BOTH):
            raise RefusedError(
                f"this node was asked to {what}; by its config it does nothing but {self.role} "
                "(relay-role), as it said when it was admitted. Nothing was done or signed; a "
                "node that changed its mind joins anew, under another key."
            )

    def _hand_on(self, reply: Message, parent: Model) -> Model | None:
        """Make the reply's model as small as the server can take it; the model."""
        try:
            result = model_in(reply.content, "the ClientApp's reply", None, parent.arrays)
        except RefusedError as problem:
            if self.key is not None:
                raise
            log(WARNING, "%s It is sent as it is; the server sees for itself.", problem)
            return None
        model = in_types_of(parent, result)
        step = self._step_to(model, parent)
        if step is not None:
            let_go_of_arrays(reply.content)
            reply.content[PARCEL] = parcel_of([step])
            return model if step.model == model.name else rounded(model, parent, step)
        if model is not result:
            for key, record in list(reply.content.items()):
                if isinstance(record, ArrayRecord):
                    reply.content[key] = model.record()
        return model

    def _step_to(self, model: Model, parent: Model) -> Step | None:
        try:
            return handed_on(self.context, model, parent, self.config.get("relay-up"))
        except Exception as problem:  # a good result is never lost for being packed badly
            log(WARNING, "The result could not be packed, and is sent as it is: %r", problem)
            return None

    def evaluate(self, call_next: App) -> Message:
        """Evaluate the message's model, or each of those that it names."""
        metric = metric_named(self.config)
        if metric is not None:
            self._willing("examine")
        if PARCEL in self.message.content and metric is not None:
            return self._examine(call_next, metric)
        model = self._as_it_came()
        found = self._said_before(model.name, model.name, metric)
        if found is not None:
            metrics = RecordDict({"metrics": _as_metrics(found, metric)})
            reply = Message(metrics, reply_to=self.message)
        else:
            reply = call_next(self.message, self.context)
            if reply.has_error():
                return reply
            found = None if metric is None else measured(reply.content, metric)
        if metric is None:
            return self._say(reply, {})
        ballots = [self._ballot(model.name, model.name, metric, found)]
        return self._say(reply, _columns(ballots))

    def _examine(self, call_next: App, metric: str) -> Message:
        """Several models in one visit: what is measured of each, and a signature under it."""
        names, shown = hashes(self.config, "relay-models"), hashes(self.config, "relay-shown")
        if len(names) != len(shown):
            raise RefusedError(
                f"relay-models names {len(names)} models and relay-shown {len(shown)}; expected "
                "as many. Nothing was signed; server and node need versions of flower_relay that "
                "agree."
            )
        models = self._unpack(shown)
        pairs = list(zip(names, shown, strict=True))
        before = {seen: self._said_before(n, seen, metric) for n, seen in pairs}
        found: dict[str, RecordDict] = {}
        failed: list[str] = []
        for name in shown:  # one shown twice is evaluated once
            if name in models:
                model, said = models.pop(name), before[name]
                if said is not None:
                    found[name] = RecordDict({"metrics": _as_metrics(said, metric)})
                    continue
                self._give(model)
                found[name] = self._tried(call_next, failed)
        ballots = []
        content = RecordDict()
        for place, (name, seen) in enumerate(pairs):
            said = before[seen] or measured(found[seen], metric)
            ballots.append(self._ballot(name, seen, metric, said))
            content[f"metrics-{place}"] = _metrics_of(found[seen])
        answer: dict[str, Any] = _columns(ballots)
        if failed:
            answer["failed"] = failed[0][:_LONGEST_REASON]
        return self._say(Message(content, reply_to=self.message), answer)

    def _said_before(self, model: str, seen: str, metric: str | None) -> Measured | None:
        """What was measured of these weights before, if nothing forbids to say it again."""
        if self.memory is None or metric is None:
            return None
        self.memory.vote(self.shown.at, model, seen, metric)
        return self.memory.said(seen, metric)

    def _ballot(
        self, model: str, seen: str, metric: str, said: Measured | None
    ) -> tuple[Measured | None, str]:
        """What is said of a model, and the signature under it, if there is any."""
        if said is None or self.key is None or self.memory is None:
            return said, ""
        before = self.memory.vote(self.shown.at, model, seen, metric)
        if before is not None:
            return said, before["signature"]
        signature = sign(self.key, vote_on(self.shown.at, model, seen, metric, said))
        self.memory.sign_vote(self.shown.at, model, seen, metric, said, signature)
        return said, signature

    def _tried(self, call_next: App, failed: list[str]) -> RecordDict:
        """What the ClientApp replies about a model; where it fails on this one, why is added."""
        try:
            reply = call_next(self.message, self.context)
        except Exception as problem:  # whatever it is, the visit's other models are not at fault
            log(WARNING, "The ClientApp could not evaluate a model: %r", problem)
            failed.append(f"{type(problem).__name__}: {problem}")
            return RecordDict()
        if reply.has_error():
            failed.append(str(reply.error.reason))
            return RecordDict()
        return reply.content

    def reveal(self) -> Message:
        """Open the nonce that is asked for, for the head that is shown; no model is touched."""
        asked = hash_named(self.config, "relay-reveal")
        if self.key is None or self.memory is None:
            raise RefusedError(
                "relay-reveal asks for a nonce, and this node does not sign. Nothing was revealed."
            )
        kept = self.memory.opening(self.shown.at, asked)
        if kept is None:
            nonce = self._waiting(self.memory, asked)
            signature = sign(self.key, Opening(at=self.shown.at, nonce=nonce))
            after = self._next_nonce(self.memory)
            kept = self.memory.sign_opening(self.shown.at, asked, nonce, signature, after)
            self.memory.keep()
        said = {"nonce": kept["nonce"], "signature": kept["signature"]} | self._public_key()
        return self._only(said | {"seen": self.memory.seen, "nonce-hash": kept["after"]})

    def _next_nonce(self, memory: Memory) -> str:
        """The hash of a new nonce, which waits to be opened."""
        nonce = secrets.token_bytes(32)
        memory.nonces.append(nonce.hex())
        return nonce_hash(nonce)

    def _waiting(self, memory: Memory, asked: str) -> str:
        for nonce in memory.nonces:
            if nonce_hash(bytes.fromhex(nonce)) == asked:
                return nonce
        raise RefusedError(
            f"relay-reveal asks for the nonce of {asked[:12]}, which does not wait to be "
            "opened: it was never committed, is opened already, or is older than the last "
            "ones. Nothing was revealed; ask for the last nonce-hash received."
        )

    def refuse(self, why: ContradictionError) -> Message:
        """Say why the memory does not let the node do what it is asked."""
        said: dict[str, Any] = {"refused": str(why)[:_LONGEST_REASON], **self._public_key()}
        return self._only(said)

    def _only(self, said: dict[str, Any]) -> Message:
        return Message(RecordDict({_RECORD: ConfigRecord(said)}), reply_to=self.message)

    def _as_it_came(self) -> Model:
        """The model in a message without a parcel; it is remembered."""
        model = model_in(self.message.content, "the message", self.max_bytes)
        self.cache.put(model.name, model.data)
        return model

    def _unpack(self, names: list[str]) -> dict[str, Model]:
        """Models that the message's parcel leads to, or that are held."""
        return models_in(self.message.content[PARCEL], names, self.cache, self.max_bytes)

    def _give(self, model: Model) -> None:
        """Put a model where the ClientApp looks for it, in place of parcel or earlier model."""
        kept = {
            key: record
            for key, record in self.message.content.items()
            if key != PARCEL and not isinstance(record, ArrayRecord)
        }
        key = text(self.config, "relay-arrays")
        if key in kept:
            raise RefusedError(
                f"relay-arrays in the server's config: expected a key for the model, found "
                f"{brief(key)}, under which the message holds something else. Nothing was signed; "
                "the server's arrayrecord_key and configrecord_key have to differ."
            )
        self.message.content = RecordDict({key: model.record(), **kept})

    def missing(self, name: str) -> Message:
        """Say that a model is not held, so that it is sent as a whole."""
        return self._only({"missing": name[:PREFIX]})

    def _public_key(self) -> dict[str, str]:
        return {} if self.key is None else {"public-key": public_hex(self.key)}

    def _say(self, reply: Message, said: Mapping[str, Any], result: bytes | None = None) -> Message:
        """Attach what is said, what is held, the answer to a challenge, and a nonce's hash."""
        record = ConfigRecord({**self._public_key(), **said})
        held = ",".join(name[:PREFIX] for name in self.cache.names())
        if self.role != BOTH:
            record["role"] = self.role
        record["holds"] = held or "nothing"  # Flower counts no empty texts
        if self.key is not None and self.memory is not None:
            record["nonce-hash"] = self._next_nonce(self.memory)
            record["seen"] = self.memory.seen
            if "relay-hello" in self.config:
                record["hello-signature"] = sign(self.key, self._hello())
            self.memory.keep(result)
        reply.content[_RECORD] = record
        return reply

    def _hello(self) -> Hello:
        """The answer to a challenge, under what this node itself knows as its id."""
        at, challenge = self.shown.at, hash_named(self.config, "relay-hello")
        node = node_hash(challenge, self.context.node_id)
        return Hello(operator=at.operator, run=at.run, challenge=challenge, node=node)


def _columns(ballots: Sequence[tuple[Measured | None, str]]) -> dict[str, Any]:
    """What is said of models, in columns; what is not a number there stands for none."""
    said = [each or Measured(value=None) for each, _ in ballots]
    return {
        "voted": [each is not None for each, _ in ballots],
        "values": [math.nan if one.value is None else one.value for one in said],
        "errors": [math.nan if one.error is None else one.error for one in said],
        "cases": [-1 if one.cases is None else one.cases for one in said],
        "signatures": [signature for _, signature in ballots],
    }


def _as_metrics(said: Measured, metric: str | None) -> MetricRecord:
    """What was measured before, as a ClientApp reports it."""
    value = math.nan if said.value is None else said.value
    cases = {} if said.cases is None else {"num-examples": said.cases}
    return MetricRecord({str(metric): value, **cases})


def _metrics_of(content: RecordDict) -> MetricRecord:
    """All metrics of a reply in one record."""
    merged = MetricRecord()
    for record in content.values():
        if isinstance(record, MetricRecord):
            merged.update(record)
    return merged
