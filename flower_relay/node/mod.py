"""The relay's mod: a ClientApp that signs what it hands on, `ClientApp(mods=[relay_mod])`.

With it the ledger can prove who trained and who voted, the operator cannot choose who
examines, and of a model only what is new is sent. Put it first among the mods, so that it
signs what leaves the node. To a server that does not speak relay it does nothing.

What a relay's server asks for is in the message's config, and what the mod says is in the
reply's ConfigRecord `relay`:

=======================  ===================================================================
`relay-run`,             the number of the run, without which nothing is done; the operator's key,
`relay-operator`,        the round, how many blocks the chain has and the hash of the last, and
`relay-round`,           the operator's signature under these; everything that is signed names
`relay-height`,          run, operator, round and head
`relay-head`,
`relay-head-signature`
`relay-links`            how the chain grew since the node last saw it (`wire.heads`)
`relay-hello`            a challenge; answered by `hello-signature`
`relay-parent`           train: the model's hash, which the received arrays must have
`relay-up`               train: how the result's difference to that model may be sent back;
                         answered by `signature` under (parent, model)
`relay-metric`           evaluate: the metric that votes; answered by `voted`, `values`, `errors`,
                         `cases` and `signatures`, one a model
`relay-reveal`           evaluate, without a model: open the nonce of this hash for the head;
                         answered by `nonce` and `signature`
`relay-models`,          evaluate, with a parcel: the models that are asked about, and the likeness
`relay-shown`            of each that is evaluated; answered as above, and by `failed`, what the
                         ClientApp raised, where it did
=======================  ===================================================================

A node that signs has a memory (`node.memory`): it signs nothing that contradicts what it signed or
was shown before. Its reply then says why, as `refused`.

Instead of its arrays a message may hold a parcel (`flower_relay.wire.parcels`); `relay-arrays` is
then the key under which the ClientApp finds them. Every reply but an opening says which
models the node `holds`, by the beginnings of their hashes; one that is relied upon and is not
held is named by `missing`. A node whose config has `relay-role` says its `role`, which goes on
the record when it is admitted: `train` or `examine`, and nothing else is done. A node that signs
adds `public-key` and `nonce-hash`.

What cannot be read, or must not be done, is refused: the reply is then an error with the reason,
and nothing was signed.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import WARNING
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message
from flwr.common import log

from ..errors import ConfigurationError, ContradictionError, RefusedError
from ..rules.roles import BOTH, ROLES
from ..wire.requests import shown
from .cache import cache_of
from .keys import key_file, participant_key
from .memory import memory_of
from .responder import App, Exchange, MissingError

__all__ = ["make_relay_mod", "relay_mod"]

Mod = Callable[[Message, Context, App], Message]


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
        path = key_file(context, own_key)
        signs = path is not None or not lasting_keys_only
        try:
            exchange = Exchange(
                message=message,
                context=context,
                config=config,
                shown=shown(config),
                memory=memory_of(context, path) if signs else None,
                key=participant_key(context, own_key) if signs else None,
                max_bytes=_limit(context, max_bytes),
                role=_role(context),
                cache=cache_of(context),
            )
            return _answer(exchange, kind, call_next)
        except RefusedError as refused:  # Flower tells the server; here it is told the node's owner
            log(WARNING, "%s", refused)
            raise

    return mod


def _answer(exchange: Exchange, kind: str, call_next: App) -> Message:
    """What the message asks for, if the node's memory has nothing against it."""
    try:
        if exchange.memory is not None:
            exchange.memory.see(exchange.shown)
        if "relay-reveal" in exchange.config:
            return exchange.reveal()
        return exchange.train(call_next) if kind == "train" else exchange.evaluate(call_next)
    except MissingError as missing:
        return exchange.missing(str(missing))
    except ContradictionError as contradiction:
        log(WARNING, "%s", contradiction)
        return exchange.refuse(contradiction)


def _asked(message: Message) -> ConfigRecord | None:
    """The config of a server that speaks relay."""
    for record in message.content.values():
        if isinstance(record, ConfigRecord) and "relay-run" in record:
            return record
    return None


def _role(context: Context) -> str:
    role = context.node_config.get("relay-role", BOTH)
    if role not in ROLES:
        raise ConfigurationError(
            f"relay-role = {role!r} in the node config: expected one of {', '.join(ROLES)}. No "
            "message is answered until it is one, or left out."
        )
    return str(role)


def _limit(context: Context, default: int | None) -> int | None:
    value = context.node_config.get("relay-max-bytes", default)
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(
            f"relay-max-bytes = {value!r} in the node config: expected a whole number of bytes, "
            "at least 1. No message is answered until it is one, or left out."
        )
    return value


relay_mod: Mod = make_relay_mod()
"""The relay's mod with its defaults."""
