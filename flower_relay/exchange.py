"""One message of a relay's server, answered: what the mod does with it.

Models are taken from arrays or parcels and looked at before anything else; the ClientApp is
called; what it did is signed. `flower_relay.mods` says what is asked and what is answered.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import WARNING
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.common import log

from .adapter import let_go_of_arrays
from .asked import Measure, hashes, text, whole_number
from .asked import measure as measured_by
from .errors import RefusedError
from .handing_on import handed_on
from .model_cache import PREFIX, ModelCache
from .parcels import PARCEL, parcel_of, steps_of, taken
from .rules.roles import BOTH
from .statements import Hello, Hop, Opening, Statement, Vote, nonce_hash, public_hex, sign
from .store import Arrays, canonical_bytes
from .unpacking import Model, model_in, recent, remember

__all__ = ["App", "Exchange", "MissingError"]

App = Callable[[Message, Context], Message]

_RECORD = "relay"
_NONCES = "relay-nonces"

_NO_UTILITY = -1.0
"""Stands for a utility that could not be measured; all others are from 0 to 1."""

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
            parent = self._unpack([text(self.config, "relay-parent")])[0]
            self._give(parent)
        else:
            parent = self._as_it_came()
        stated = self.config.get("relay-parent", parent.name)
        if stated != parent.name:
            raise RefusedError(
                f"relay-parent announces model {str(stated)[:12]}; the arrays of the message are "
                f"model {parent.name[:12]}. Nothing was trained or signed: the message was changed "
                "on its way, or the server is at fault; have it send the hop again."
            )
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        model = self._hand_on(reply, parent)
        if model is None:
            return self._say(reply, {})
        return self._say(
            reply, self._signed(Hop(run=self.run, round=round, parent=parent.name, model=model))
        )

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
            model = model_in(reply.content, "the ClientApp's reply", None)
        except RefusedError:
            if self.key is not None:
                raise
            return None  # nobody's word is needed: the server sees for itself
        step = handed_on(self.context, model, parent, self.config.get("relay-up"))
        if step is None:
            return model.name
        let_go_of_arrays(reply.content)
        reply.content[PARCEL] = parcel_of([step])
        return step.model

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
        names = hashes(self.config, "relay-models")
        shown = self._unpack(hashes(self.config, "relay-shown"))
        utilities, signatures = [], []
        content = RecordDict()
        for place, (name, model) in enumerate(zip(names, shown, strict=True)):
            self._give(model)
            found = self._tried(call_next)
            utility = measure.of(found)
            vote = Vote(run=self.run, model=name, shown=model.name, utility=utility or 0.0)
            signed = {} if utility is None else self._signed(vote)
            utilities.append(_NO_UTILITY if utility is None else utility)
            signatures.append(signed.get("signature", ""))
            content[f"metrics-{place}"] = _metrics_of(found)
        said: dict[str, Any] = {"utilities": utilities, "signatures": signatures}
        return self._say(Message(content, reply_to=self.message), said)

    def _tried(self, call_next: App) -> RecordDict:
        """What the ClientApp replies about a model; nothing where it fails on this one."""
        try:
            reply = call_next(self.message, self.context)
        except Exception as problem:  # whatever it is, the visit's other models are not at fault
            log(WARNING, "The ClientApp could not evaluate a model: %r", problem)
            return RecordDict()
        return RecordDict() if reply.has_error() else reply.content

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

    def _unpack(self, names: Sequence[str]) -> list[Model]:
        """Models that a parcel leads to, or that are held; they are remembered.

        Raises
        ------
        MissingError
            When the parcel builds on models that are not held any more.
        """
        parcel = self.message.content[PARCEL]
        steps = steps_of(parcel) if isinstance(parcel, ConfigRecord) else []
        held = _Held(self.cache)
        for step in steps:
            if step.reference and not held.has(step.reference):
                raise MissingError(step.reference)
            # A node with a limit of its own looks at the size of whatever it is sent.
            model = recent(step.model) if self.max_bytes is None else None
            if model is None:
                arrays, data = taken(step, held.get, self.max_bytes)
                model = remember(Model(name=step.model, arrays=arrays, data=data))
            held.made[step.model] = model
        found = [held.model(name) for name in names]
        for model in held.made.values():
            self.cache.put(model.name, model.data)
        return found

    def _give(self, model: Model) -> None:
        """Put a model where the ClientApp looks for it, in place of parcel or earlier model."""
        kept = {
            key: record
            for key, record in self.message.content.items()
            if key != PARCEL and not isinstance(record, ArrayRecord)
        }
        key = text(self.config, "relay-arrays")
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


class MissingError(Exception):
    """A parcel builds on a model that is not held."""


class _Held:
    """Models at hand while a parcel is unpacked: made from it, or kept from before."""

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._kept: dict[str, Arrays | None] = {}
        self.made: dict[str, Model] = {}

    def has(self, name: str) -> bool:
        """Whether a model is at hand; one that others of this process have need only be named."""
        if recent(name) is not None:
            return name in self.made or name in self._cache.names()
        return self.get(name) is not None

    def get(self, name: str) -> Arrays | None:
        if name in self.made:
            return self.made[name].arrays
        if name not in self._kept:
            self._kept[name] = self._cache.get(name)
        return self._kept[name]

    def model(self, name: str) -> Model:
        if name in self.made:
            return self.made[name]
        shared = recent(name)
        if shared is not None and self.has(name):
            return shared
        arrays = self.get(name)
        if arrays is None:
            raise MissingError(name)
        return remember(Model(name=name, arrays=dict(arrays), data=canonical_bytes(arrays)))


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
    kept = record["kept"] if isinstance(record, ConfigRecord) else []
    return list(kept)  # type: ignore[arg-type]


def _keep_nonces(context: Context, nonces: list[bytes]) -> None:
    context.state[_NONCES] = ConfigRecord({"kept": nonces})
