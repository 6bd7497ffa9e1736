"""One message of a relay's server, answered: what the mod does with it.

Models are taken from arrays or parcels and looked at before anything else; the ClientApp is
called; what it did is signed. `flower_relay.mods` says what is asked and what is answered.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import WARNING
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.common import log

from ..errors import RefusedError
from ..rules.roles import BOTH
from ..transport.adapter import let_go_of_arrays
from ..wire.parcels import PARCEL, PREFIX, Step, parcel_of
from ..wire.requests import Measure, brief, hash_named, hashes, text, whole_number
from ..wire.requests import measure as measured_by
from ..wire.statements import Hello, Hop, Opening, Statement, Vote, nonce_hash, public_hex, sign
from .cache import ModelCache
from .model import MissingError, Model, model_in, models_in
from .update import handed_on, in_types_of

__all__ = ["App", "Exchange", "MissingError"]

App = Callable[[Message, Context], Message]

_RECORD = "relay"
_NONCES = "relay-nonces"

_NO_UTILITY = -1.0
"""Stands for a utility that could not be measured; all others are from 0 to 1."""

_LONGEST_REASON = 500
"""Characters of what a ClientApp raised, as the server is told."""

_NONCES_KEPT = 32
"""Nonces that may wait to be opened; the oldest are forgotten first."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One message of a relay's server, and what is needed to answer it."""

    message: Message
    context: Context
    config: ConfigRecord
    key: Ed25519PrivateKey | None
    max_bytes: int | None
    cache: ModelCache
    role: str = BOTH

    @property
    def run(self) -> str:
        """The hash that the run is called by."""
        return text(self.config, "relay-run")

    def train(self, call_next: App) -> Message:
        """Train on the message's model, and hand on what came of it."""
        self._willing("train")
        round = whole_number(self.config, "server-round")
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
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        model = self._hand_on(reply, parent)
        if model is None:
            return self._say(reply, {})
        hop = Hop(run=self.run, round=round, parent=parent.name, model=model)
        return self._say(reply, self._signed(hop))

    def _willing(self, what: str) -> None:
        if self.role not in (what, BOTH):
            raise RefusedError(
                f"this node was asked to {what}; by its config it does nothing but {self.role} "
                "(relay-role), as it said when it was admitted. Nothing was done or signed; a "
                "node that changed its mind joins anew, under another key."
            )

    def _hand_on(self, reply: Message, parent: Model) -> str | None:
        """Make the reply's model as small as the server can take it; the model's name."""
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
            return step.model
        if model is not result:
            for key, record in list(reply.content.items()):
                if isinstance(record, ArrayRecord):
                    reply.content[key] = model.record()
        return model.name

    def _step_to(self, model: Model, parent: Model) -> Step | None:
        try:
            return handed_on(self.context, model, parent, self.config.get("relay-up"))
        except Exception as problem:  # a good result is never lost for being packed badly
            log(WARNING, "The result could not be packed, and is sent as it is: %r", problem)
            return None

    def evaluate(self, call_next: App) -> Message:
        """Evaluate the message's model, or each of those that it names."""
        measure = measured_by(self.config)
        if measure is not None:
            self._willing("examine")
        if PARCEL in self.message.content and measure is not None:
            return self._examine(call_next, measure)
        model = self._as_it_came()
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        utility = None if measure is None else measure.of(reply.content)
        if utility is None:
            return self._say(reply, {})
        vote = Vote(run=self.run, model=model.name, shown=model.name, utility=utility)
        return self._say(reply, {**self._signed(vote), "utility": utility})

    def _examine(self, call_next: App, measure: Measure) -> Message:
        """Several models in one visit: a utility and a signature for each."""
        names, shown = hashes(self.config, "relay-models"), hashes(self.config, "relay-shown")
        if len(names) != len(shown):
            raise RefusedError(
                f"relay-models names {len(names)} models and relay-shown {len(shown)}; expected "
                "as many. Nothing was signed; server and node need versions of flower_relay that "
                "agree."
            )
        models = self._unpack(shown)
        found: dict[str, RecordDict] = {}
        failed: list[str] = []
        for name in shown:  # one shown twice is evaluated once
            if name in models:
                self._give(models.pop(name))
                found[name] = self._tried(call_next, failed)
        utilities, signatures = [], []
        content = RecordDict()
        for place, (name, seen) in enumerate(zip(names, shown, strict=True)):
            utility = measure.of(found[seen])
            vote = Vote(run=self.run, model=name, shown=seen, utility=utility or 0.0)
            signed = {} if utility is None else self._signed(vote)
            utilities.append(_NO_UTILITY if utility is None else utility)
            signatures.append(signed.get("signature", ""))
            content[f"metrics-{place}"] = _metrics_of(found[seen])
        said: dict[str, Any] = {"utilities": utilities, "signatures": signatures}
        if failed:
            said["failed"] = failed[0][:_LONGEST_REASON]
        return self._say(Message(content, reply_to=self.message), said)

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
        """Open the nonce that is asked for, once, and forget it; no model is touched."""
        asked = text(self.config, "relay-reveal")
        waiting = _nonces(self.context)
        for nonce in waiting:
            if nonce_hash(nonce) == asked:
                break
        else:
            raise RefusedError(
                f"relay-reveal asks for the nonce of {asked[:12]}, which does not wait to be "
                "opened: it was never committed, is opened already, or is older than the last "
                f"{_NONCES_KEPT}. Nothing was revealed; ask for the last nonce-hash received."
            )
        commitment = text(self.config, "relay-commitment")
        opening = Opening(run=self.run, commitment=commitment, nonce=nonce.hex())
        said: dict[str, Any] = {**self._signed(opening), **self._public_key()}
        said["nonce"] = opening.nonce
        _keep_nonces(self.context, [other for other in waiting if other != nonce])
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
        said = ConfigRecord({"missing": name[:PREFIX]})
        return Message(RecordDict({_RECORD: said}), reply_to=self.message)

    def _signed(self, statement: Statement) -> dict[str, str]:
        return {} if self.key is None else {"signature": sign(self.key, statement)}

    def _public_key(self) -> dict[str, str]:
        return {} if self.key is None else {"public-key": public_hex(self.key)}

    def _say(self, reply: Message, said: Mapping[str, Any]) -> Message:
        """Attach what is said, what is held, the answer to a challenge, and a nonce's hash."""
        record = ConfigRecord({**self._public_key(), **said})
        held = ",".join(name[:PREFIX] for name in self.cache.names())
        if self.role != BOTH:
            record["role"] = self.role
        record["holds"] = held or "nothing"  # Flower counts no empty texts
        if self.key is not None:
            nonce = secrets.token_bytes(32)
            _keep_nonces(self.context, [*_nonces(self.context), nonce][-_NONCES_KEPT:])
            record["nonce-hash"] = nonce_hash(nonce)
        if "relay-hello" in self.config and self.key is not None:
            hello = Hello(run=self.run, challenge=text(self.config, "relay-hello"))
            record["hello-signature"] = sign(self.key, hello)
        reply.content[_RECORD] = record
        return reply


def _metrics_of(content: RecordDict) -> MetricRecord:
    """All metrics of a reply in one record."""
    merged = MetricRecord()
    for record in content.values():
        if isinstance(record, MetricRecord):
            merged.update(record)
    return merged


def _nonces(context: Context) -> list[bytes]:
    """Nonces that wait to be opened, oldest first."""
    record = context.state.get(_NONCES)
    kept = record.get("kept") if isinstance(record, ConfigRecord) else None
    return [each for each in kept if isinstance(each, bytes)] if isinstance(kept, list) else []


def _keep_nonces(context: Context, nonces: list[bytes]) -> None:
    context.state[_NONCES] = ConfigRecord({"kept": nonces})
