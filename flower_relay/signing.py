"""The server's half of the mod: what participants who sign are asked, and what they said.

A participant is one who signs when it is named by its key, which it has once it answered a
challenge. From then on what comes under its name counts only with its signature.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from .blocks import Commitment, Deposit, NonceHash, OpenedNonce
from .courier import GRACE, Arrival
from .decisions import decide_nonces
from .model_cache import MOST_MODELS, PREFIX
from .rules.roles import BOTH, ROLES
from .rules.testing import bounded_utility
from .running import Running
from .statements import (
    Hello,
    Hop,
    Opening,
    Vote,
    attests,
    is_hash,
    key_of,
    nonce_hash,
    participant_name,
)
from .wire.replies import metrics_of, number_in

__all__ = [
    "failure_told",
    "hello_terms",
    "holds_told",
    "hop_terms",
    "is_missing",
    "name_from_key",
    "new_hello",
    "nonces_to_commit",
    "nonces_told",
    "opened_nonces",
    "role_told",
    "signature_of",
    "vote_of",
    "vote_terms",
]

Terms = dict[str, int | float | str | bool]
"""What the config of a message holds for the mod."""


def new_hello(run: str) -> Hello:
    """A challenge that nobody has seen before."""
    return Hello(run=run, challenge=secrets.token_hex(32))


def hello_terms(hello: Hello) -> Terms:
    """Asks who is there; a ClientApp without the mod takes no notice."""
    return {"relay-run": hello.run, "relay-hello": hello.challenge}


def hop_terms(run: Running, parent: str) -> Terms:
    """Asks who runs the mod to sign a hop and to hand it on as a difference."""
    if not run.anybody_has_mod:
        return {}
    encoding = run.state.settings.hop_encoding
    return {"relay-run": run.genesis_hash, "relay-parent": parent, "relay-up": encoding}


def vote_terms(run: Running) -> Terms:
    """Asks who runs the mod to sign a vote; nothing in a run in which nobody does."""
    settings = run.state.settings
    if not run.anybody_has_mod:
        return {}
    return {
        "relay-run": run.genesis_hash,
        "relay-utility-key": settings.utility_key,
        "relay-bound": run.state.bound,
        "relay-rises": settings.utility_rises,
    }


def name_from_key(hello: Hello, message: Message) -> str | None:
    """What who answered is called if it answered the challenge; None if it did not."""
    said = _said(message)
    name = participant_name(str(said.get("public-key")))
    return name if attests(name, hello, said.get("hello-signature")) else None


def signature_of(run: Running, trainer: int, base: str, model: str, reply: Message) -> str | None:
    """The signature under a hop by a trainer who signs; None where there is no such."""
    hop = Hop(run=run.genesis_hash, round=run.state.round, parent=base, model=model)
    signature = _said(reply).get("signature")
    signed = attests(run.state.who.names[trainer], hop, signature)
    return str(signature) if signed else None


def vote_of(
    run: Running, examiner: int, model: str, shown: str, reply: Message, place: int | None = None
) -> tuple[float, str | None] | None:
    """An examiner's utility of a model and the signature under it, or None if it gave none.

    Of an examiner who signs only what it signed counts.

    Parameters
    ----------
    shown : str
        Hash of what the examiner evaluated.
    place : int, optional
        The model's place in a reply about several.
    """
    name = run.state.who.names[examiner]
    if place is None and key_of(name) is None:
        settings = run.state.settings
        value = number_in(metrics_of(reply), settings.utility_key)
        if value is None:
            run.notice(examiner, "no vote", f"its reply holds no number '{settings.utility_key}'")
            return None
        _check_clipped(run, examiner, value)
        return bounded_utility(value, run.state.bound, settings.utility_rises), None
    utility = _told(reply, "utility", "utilities", place)
    if not isinstance(utility, float) or not 0.0 <= utility <= 1.0:
        return None
    if key_of(name) is None:
        return utility, None
    vote = Vote(run=run.genesis_hash, model=model, shown=shown, utility=utility)
    signature = _told(reply, "signature", "signatures", place)
    return (utility, str(signature)) if attests(name, vote, signature) else None


def _check_clipped(run: Running, examiner: int, value: float) -> None:
    """Say where a metric is better than its bound allows: hops cannot be told apart there."""
    settings, bound = run.state.settings, run.state.bound
    if not (value > bound if settings.utility_rises else value < 0):
        return
    limit = f"more than utility_bound = {bound:g}" if settings.utility_rises else "less than 0"
    reason = f"its '{settings.utility_key}' is {value:g}, {limit}, and counts as that"
    run.notice(examiner, "clipped", reason)


def _told(reply: Message, one: str, several: str, place: int | None) -> object:
    """What a reply about one model says, or one about several in a place."""
    said = _said(reply)
    if place is None:
        return said.get(one)
    values = said.get(several)
    return values[place] if isinstance(values, list) and place < len(values) else None


def holds_told(message: Message) -> tuple[str, ...] | None:
    """Which models a node says it holds, by the beginnings of their hashes; None without mod."""
    held = _said(message).get("holds")
    if not isinstance(held, str):
        return None
    last = held[-MOST_MODELS * (PREFIX + 1) :]
    return tuple(each for each in last.split(",") if len(each) == PREFIX)


def role_told(message: Message) -> str:
    """What a node is willing to do; both where it does not say."""
    role = _said(message).get("role")
    return role if isinstance(role, str) and role in ROLES else BOTH


def is_missing(message: Message) -> bool:
    """Whether a node says that it does not hold what a parcel builds on."""
    return "missing" in _said(message)


def failure_told(message: Message) -> str | None:
    """What a ClientApp raised on one of several models that it was asked about."""
    failed = _said(message).get("failed")
    return failed if isinstance(failed, str) and failed else None


def nonces_told(tagged: Mapping[int, Message]) -> dict[int, str]:
    """The hash of the newest nonce of everybody who told one."""
    hashes = {index: _said(message).get("nonce-hash") for index, message in tagged.items()}
    return {index: str(hash) for index, hash in hashes.items() if is_hash(hash)}


def nonces_to_commit(run: Running, deposit: Deposit) -> tuple[NonceHash, ...]:
    """Whose nonces the coming draw is to depend on; each is used in one commitment only."""
    chosen = decide_nonces(run.state, deposit, run.nonces.keys())
    return tuple(NonceHash(participant=index, hash=run.nonces.pop(index)) for index in chosen)


def opened_nonces(run: Running, commitment: Commitment) -> tuple[OpenedNonce, ...]:
    """Ask for the nonces that the last block, a commitment, holds the hashes of.

    Who does not answer in time, or with something else, is left out.
    """
    head = run.chain.head
    asked = [item for item in commitment.nonce_hashes if item.participant in run.node_of]
    messages = [_reveal_message(run, head, item) for item in asked]
    arrivals = run.courier.exchange(messages, asked, run.timeout, "nonce")
    opened = [_opened(run, head, arrival) for arrival in arrivals]
    return tuple(sorted((o for o in opened if o is not None), key=lambda o: o.participant))


def _reveal_message(run: Running, head: str, item: NonceHash) -> Message:
    config = ConfigRecord(
        {"relay-run": run.genesis_hash, "relay-reveal": item.hash, "relay-commitment": head}
    )
    return Message(
        RecordDict({run.state.settings.configrecord_key: config}),
        run.node_of[item.participant],
        MessageType.EVALUATE,
        ttl=run.timeout + GRACE,
        group_id=str(run.state.round),
    )


def _opened(run: Running, head: str, arrival: Arrival) -> OpenedNonce | None:
    item = arrival.tag
    if arrival.message is None or not isinstance(item, NonceHash):
        return None
    said = _said(arrival.message)
    nonce, signature = said.get("nonce"), said.get("signature")
    if not is_hash(nonce) or nonce_hash(bytes.fromhex(str(nonce))) != item.hash:
        return None
    opening = Opening(run=run.genesis_hash, commitment=head, nonce=str(nonce))
    if not attests(run.state.who.names[item.participant], opening, signature):
        return None
    return OpenedNonce(participant=item.participant, nonce=opening.nonce, signature=str(signature))


def _said(message: Message) -> Mapping[str, object]:
    """What the mod attached to a reply."""
    # Not `content.config_records`: its views keep what they showed alive.
    record = message.content.get("relay")
    return record if isinstance(record, ConfigRecord) else {}
