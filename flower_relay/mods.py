"""The relay's mod: a ClientApp that signs what it hands on, `ClientApp(mods=[relay_mod])`.

With it the ledger can prove who trained and who voted, the operator cannot choose who
examines, and of a model only what is new is sent. Put it first among the mods, so that it
signs what leaves the node. To a server that does not speak relay it does nothing.

What a relay's server asks for is in the message's config, and what the mod says is in the
reply's ConfigRecord `relay`:

=====================  =====================================================================
`relay-run`            the hash of the run's genesis block, and before that of its first model;
                       without it nothing is done
`relay-hello`          a challenge; answered by `hello-signature`
`relay-parent`         train: the model's hash, which the received arrays must have
`relay-up`             train: how the result's difference to that model may be sent back
`server-round`         train: the round; answered by `signature` under (round, parent, model)
`relay-utility-key`,   evaluate: the metric that votes, the largest value that counts, and
`relay-bound`,         whether larger is better; answered by `utility` and `signature` under
`relay-rises`          (model, utility)
`relay-reveal`,        evaluate, without a model: open the nonce of this hash for this
`relay-commitment`     commitment block; answered by `nonce` and `signature`
=====================  =====================================================================

Instead of its arrays a message may hold a parcel (`flower_relay.parcels`); `relay-arrays` is
then the key under which the ClientApp finds them. Every reply but an opening says which
models the node `holds`, by the beginnings of their hashes; one that is relied upon and is not
held is named by `missing`. A node that signs adds `public-key` and `nonce-hash`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.common import log

from .adapter import let_go_of_arrays
from .errors import ConfigurationError, RefusedError
from .handing_on import handed_on
from .model_cache import PREFIX, ModelCache, cache_of
from .parcels import PARCEL, parcel_of, steps_of, taken
from .participant_keys import key_file, participant_key
from .rules.testing import bounded_utility
from .statements import (
    Hello,
    Hop,
    Opening,
    Statement,
    Vote,
    is_hash,
    nonce_hash,
    public_hex,
    sign,
)
from .store import Arrays, canonical_bytes
from .unpacking import Model, model_in

__all__ = ["make_relay_mod", "relay_mod"]

App = Callable[[Message, Context], Message]
Mod = Callable[[Message, Context, App], Message]

_RECORD = "relay"
_NONCES = "relay-nonces"

_NO_UTILITY = -1.0
"""Stands for a utility that could not be measured; all others are from 0 to 1."""

_NONCES_KEPT = 32
"""Nonces that may wait to be opened; the oldest are forgotten first."""


def make_relay_mod(
    *, own_key: Path | None = None, max_bytes: int | None = None, lasting_keys_only: bool = False
) -> Mod:
    """A relay mod with defaults of its own; what a node's config says goes before them.

    Parameters
    ----------
    own_key : pathlib.Path, optional
        The participant's private key, made when it is missing. A node's own is named by
        `relay-key` in its node config. Without either it is `participant-N.key` in the run
        config's `relay-keys-dir` where a node has a partition-id N, and else a key that
        lives as long as the node.
    max_bytes : int, optional
        Largest model that is accepted; `relay-max-bytes` in the node config.
    lasting_keys_only : bool
        Sign nothing on a node whose key is in no file: it would be somebody else next time.

    Returns
    -------
    callable
        A mod as Flower wants them.

    Examples
    --------
    >>> from flwr.clientapp import ClientApp
    >>> app = ClientApp(mods=[make_relay_mod(max_bytes=500_000_000)])
    """

    def mod(message: Message, context: Context, call_next: App) -> Message:
        config = _asked(message)
        kind = message.metadata.message_type.partition(".")[0]
        if config is None or kind not in ("train", "evaluate"):
            return call_next(message, context)
        signs = not lasting_keys_only or key_file(context, own_key) is not None
        exchange = _Exchange(
            message=message,
            context=context,
            config=config,
            key=participant_key(context, own_key) if signs else None,
            max_bytes=_limit(context, max_bytes),
            cache=cache_of(context),
        )
        if "relay-reveal" in config:
            return exchange.reveal()
        try:
            return exchange.train(call_next) if kind == "train" else exchange.evaluate(call_next)
        except _MissingError as missing:
            return exchange.missing(str(missing))

    return mod


@dataclass(frozen=True, kw_only=True)
class _Exchange:
    """One message of a relay's server, and what is needed to answer it."""

    message: Message
    context: Context
    config: ConfigRecord
    key: Ed25519PrivateKey | None
    max_bytes: int | None
    cache: ModelCache

    @property
    def run(self) -> str:
        return _text(self.config, "relay-run")

    def train(self, call_next: App) -> Message:
        """Train on the message's model, and hand on what came of it."""
        round = _whole(self.config, "server-round")
        if PARCEL in self.message.content:
            parent = self._unpack([_text(self.config, "relay-parent")])[0]
            self._give(parent.arrays)
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
        measure = _measure(self.config)
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

    def _examine(self, call_next: App, measure: _Measure) -> Message:
        """Several models in one visit: a utility and a signature for each."""
        names = _hashes(self.config, "relay-models")
        shown = self._unpack(_hashes(self.config, "relay-shown"))
        utilities, signatures = [], []
        content = RecordDict()
        for place, (name, model) in enumerate(zip(names, shown, strict=True)):
            self._give(model.arrays)
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
        asked = _text(self.config, "relay-reveal")
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
        commitment = _text(self.config, "relay-commitment")
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
        _MissingError
            When the parcel builds on models that are not held any more.
        """
        parcel = self.message.content[PARCEL]
        steps = steps_of(parcel) if isinstance(parcel, ConfigRecord) else []
        held = _Held(self.cache)
        for step in steps:
            if step.reference and held.get(step.reference) is None:
                raise _MissingError(step.reference)
            arrays, data = taken(step, held.get, self.max_bytes)
            held.made[step.model] = Model(name=step.model, arrays=arrays, data=data)
        found = [held.model(name) for name in names]
        for model in held.made.values():
            self.cache.put(model.name, model.data)
        return found

    def _give(self, arrays: Arrays) -> None:
        """Put a model where the ClientApp looks for it, in place of parcel or earlier model."""
        kept = {
            key: record
            for key, record in self.message.content.items()
            if key != PARCEL and not isinstance(record, ArrayRecord)
        }
        record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
        key = _text(self.config, "relay-arrays")
        self.message.content = RecordDict({key: record, **kept})

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
        record["holds"] = held or "nothing"  # Flower counts no empty texts
        if self.key is not None:
            nonce = secrets.token_bytes(32)
            _keep_nonces(self.context, [*_nonces(self.context), nonce][-_NONCES_KEPT:])
            record["nonce-hash"] = nonce_hash(nonce)
        if "relay-hello" in self.config and self.key is not None:
            hello = Hello(run=self.run, challenge=_text(self.config, "relay-hello"))
            record["hello-signature"] = sign(self.key, hello)
        reply.content[_RECORD] = record
        return reply


class _MissingError(Exception):
    """A parcel builds on a model that is not held."""


class _Held:
    """Models at hand while a parcel is unpacked: made from it, or kept from before."""

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._kept: dict[str, Arrays | None] = {}
        self.made: dict[str, Model] = {}

    def get(self, name: str) -> Arrays | None:
        if name in self.made:
            return self.made[name].arrays
        if name not in self._kept:
            self._kept[name] = self._cache.get(name)
        return self._kept[name]

    def model(self, name: str) -> Model:
        if name in self.made:
            return self.made[name]
        arrays = self.get(name)
        if arrays is None:
            raise _MissingError(name)
        return Model(name=name, arrays=dict(arrays), data=canonical_bytes(arrays))


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """How a reply's metric becomes the utility that votes."""

    metric: str
    bound: float
    rises: bool

    def of(self, content: RecordDict) -> float | None:
        """The bounded utility; None where the metric is not reported."""
        for record in content.values():
            value = record.get(self.metric) if isinstance(record, MetricRecord) else None
            if isinstance(value, int | float):
                return bounded_utility(float(value), self.bound, self.rises)
        return None


def _metrics_of(content: RecordDict) -> MetricRecord:
    """All metrics of a reply in one record."""
    merged = MetricRecord()
    for record in content.values():
        if isinstance(record, MetricRecord):
            merged.update(record)
    return merged


def _measure(config: ConfigRecord) -> _Measure | None:
    """What the server wants measured; nothing before the run has a bound."""
    if "relay-utility-key" not in config:
        return None
    bound, rises = config.get("relay-bound"), config.get("relay-rises")
    if not isinstance(bound, int | float) or not (math.isfinite(bound) and bound > 0):
        raise _misread("relay-bound", "a positive number", bound)
    if not isinstance(rises, bool):
        raise _misread("relay-rises", "true or false", rises)
    return _Measure(metric=_text(config, "relay-utility-key"), bound=float(bound), rises=rises)


def _asked(message: Message) -> ConfigRecord | None:
    """The config of a server that speaks relay."""
    for record in message.content.values():
        if isinstance(record, ConfigRecord) and "relay-run" in record:
            return record
    return None


def _limit(context: Context, default: int | None) -> int | None:
    value = context.node_config.get("relay-max-bytes", default)
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(
            f"relay-max-bytes = {value!r} in the node config: expected a whole number of bytes, "
            "at least 1. No message is answered until it is one, or left out."
        )
    return value


def _nonces(context: Context) -> list[bytes]:
    """Nonces that wait to be opened, oldest first."""
    record = context.state.get(_NONCES)
    kept = record["kept"] if isinstance(record, ConfigRecord) else []
    return list(kept)  # type: ignore[arg-type]


def _keep_nonces(context: Context, nonces: list[bytes]) -> None:
    context.state[_NONCES] = ConfigRecord({"kept": nonces})


def _text(config: ConfigRecord, name: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value:
        raise _misread(name, "a text that is not empty", value)
    return value


def _hashes(config: ConfigRecord, name: str) -> list[str]:
    value = config.get(name)
    if not isinstance(value, list) or not all(map(is_hash, value)):
        raise _misread(name, "a list of hashes", value)
    return [str(each) for each in value]


def _whole(config: ConfigRecord, name: str) -> int:
    value = config.get(name)
    if type(value) is not int:
        raise _misread(name, "a whole number", value)
    return value


def _misread(name: str, expected: str, found: object) -> RefusedError:
    return RefusedError(
        f"{name} in the server's config: expected {expected}, found {found!r}. Nothing was "
        "signed; server and node need versions of flower_relay that agree."
    )


relay_mod: Mod = make_relay_mod()
"""The relay's mod with its defaults."""
