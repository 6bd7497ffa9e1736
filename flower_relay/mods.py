"""The relay's mod: a ClientApp that signs what it hands on, `ClientApp(mods=[relay_mod])`.

With it the ledger can prove who trained and who voted, and the operator cannot choose who
examines. Put it first among the mods, so that it signs what leaves the node. To a server
that does not speak relay it does nothing.

What a relay's server asks for is in the message's config, and what the mod says is in the
reply's ConfigRecord `relay`:

=====================  =====================================================================
`relay-run`            the hash of the run's genesis block, and before that of its first model;
                       without it nothing is done
`relay-hello`          a challenge; answered by `hello-signature`
`relay-parent`         train: the model's hash, which the received arrays must have
`server-round`         train: the round; answered by `signature` under (round, parent, model)
`relay-utility-key`,   evaluate: the metric that votes, the largest value that counts, and
`relay-bound`,         whether larger is better; answered by `utility` and `signature` under
`relay-rises`          (model, utility)
`relay-reveal`,        evaluate, without a model: open the nonce of this hash for this
`relay-commitment`     commitment block; answered by `nonce` and `signature`
=====================  =====================================================================

Every reply holds `public-key`, and every reply but an opening `nonce-hash`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from .errors import ConfigurationError, RefusedError
from .participant_keys import key_file, participant_key
from .rules.testing import bounded_utility
from .statements import Hello, Hop, Opening, Statement, Vote, nonce_hash, public_hex, sign
from .store import canonical_bytes, model_name

__all__ = ["make_relay_mod", "relay_mod"]

App = Callable[[Message, Context], Message]
Mod = Callable[[Message, Context, App], Message]

_RECORD = "relay"
_NONCES = "relay-nonces"

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
        Do nothing on a node whose key is in no file: it would be somebody else next time.

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
        if lasting_keys_only and key_file(context, own_key) is None:
            return call_next(message, context)
        exchange = _Exchange(
            message=message,
            context=context,
            config=config,
            key=participant_key(context, own_key),
            max_bytes=_limit(context, max_bytes),
        )
        if "relay-reveal" in config:
            return exchange.reveal()
        return exchange.train(call_next) if kind == "train" else exchange.evaluate(call_next)

    return mod


@dataclass(frozen=True, kw_only=True)
class _Exchange:
    """One message of a relay's server, and what is needed to answer it."""

    message: Message
    context: Context
    config: ConfigRecord
    key: Ed25519PrivateKey
    max_bytes: int | None

    @property
    def run(self) -> str:
        return _text(self.config, "relay-run")

    def train(self, call_next: App) -> Message:
        round = _whole(self.config, "server-round")
        parent = _name_of(self.message.content, "the message", self.max_bytes)
        stated = self.config.get("relay-parent", parent)
        if stated != parent:
            raise RefusedError(
                f"relay-parent announces model {str(stated)[:12]}; the arrays of the message are "
                f"model {parent[:12]}. Nothing was trained or signed: the message was changed on "
                "its way, or the server is at fault; have it send the hop again."
            )
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        model = _name_of(reply.content, "the ClientApp's reply", None)
        return self._say(reply, Hop(run=self.run, round=round, parent=parent, model=model))

    def evaluate(self, call_next: App) -> Message:
        measure = _measure(self.config)
        model = _name_of(self.message.content, "the message", self.max_bytes)
        reply = call_next(self.message, self.context)
        if reply.has_error():
            return reply
        utility = None if measure is None else measure.of(reply.content)
        if utility is None:
            return self._say(reply, None)
        vote = Vote(run=self.run, model=model, utility=utility)
        return self._say(reply, vote, utility=utility)

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
        said = {
            "public-key": public_hex(self.key),
            "nonce": opening.nonce,
            "signature": sign(self.key, opening),
        }
        _keep_nonces(self.context, [other for other in waiting if other != nonce])
        return Message(RecordDict({_RECORD: ConfigRecord({**said})}), reply_to=self.message)

    def _say(
        self, reply: Message, statement: Statement | None, utility: float | None = None
    ) -> Message:
        """Attach the signature, the answer to a challenge, and a fresh nonce's hash."""
        nonce = secrets.token_bytes(32)
        _keep_nonces(self.context, [*_nonces(self.context), nonce][-_NONCES_KEPT:])
        said = ConfigRecord({"public-key": public_hex(self.key), "nonce-hash": nonce_hash(nonce)})
        if statement is not None:
            said["signature"] = sign(self.key, statement)
        if utility is not None:
            said["utility"] = utility
        if "relay-hello" in self.config:
            hello = Hello(run=self.run, challenge=_text(self.config, "relay-hello"))
            said["hello-signature"] = sign(self.key, hello)
        reply.content[_RECORD] = said
        return reply


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


def _name_of(content: RecordDict, where: str, max_bytes: int | None) -> str:
    """The hash of the one model in a message, once it is seen to be one.

    Raises
    ------
    RefusedError
        When there is not exactly one, it is too large, or not of finite numbers.
    """
    # Not `content.array_records`: its views keep what they showed alive.
    records = [record for record in content.values() if isinstance(record, ArrayRecord)]
    if len(records) != 1:
        raise RefusedError(
            f"{where} should hold one model, that is one ArrayRecord, and holds {len(records)}. "
            "Nothing was signed; a ClientApp for a relay receives and returns one."
        )
    size = records[0].count_bytes()
    if max_bytes is not None and size > max_bytes:
        raise RefusedError(
            f"{where} holds a model of {size} bytes; this node accepts {max_bytes} at most "
            "(relay-max-bytes). It was not unpacked; raise the limit if the run's model is "
            "meant to be this large."
        )
    arrays = {name: _unpacked(where, name, packed) for name, packed in records[0].items()}
    return model_name(canonical_bytes(arrays))


def _unpacked(where: str, name: str, packed: Array) -> NDArray[Any]:
    """An array of finite numbers; other packings would be other people's code to run."""
    if packed.stype != "numpy.ndarray":
        raise RefusedError(_unfit(where, name, f"one packed as {packed.stype!r}"))
    try:
        array: object = packed.numpy()
    except (ValueError, EOFError) as problem:
        raise RefusedError(_unfit(where, name, str(problem))) from problem
    if not isinstance(array, np.ndarray):  # numpy opens archives as well
        raise RefusedError(_unfit(where, name, "an archive"))
    if array.dtype.kind not in "biuf":
        raise RefusedError(_unfit(where, name, f"one of {array.dtype}"))
    if not np.isfinite(array).all():
        raise RefusedError(_unfit(where, name, "NaN or infinity in it"))
    return array


def _unfit(where: str, name: str, found: object) -> str:
    return (
        f"{where}: array '{name}' should be a numpy array of finite numbers; found {found}. "
        "Nothing was signed. Where it is the ClientApp's own result, its training has diverged "
        "or packs its weights differently."
    )


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
