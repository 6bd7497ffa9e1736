"""Nonces that participants bring to a draw: committed with the round's hops, opened after."""

from __future__ import annotations

from collections.abc import Callable
from logging import WARNING

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.common import log

from ..mechanism.blocks import Commitment, Deposit, NonceHash, OpenedNonce
from ..mechanism.eligible import decide_nonces, nonces_needed
from ..transport.courier import GRACE, Arrival
from ..wire.replies import nonces_told, opening_told, seen_told
from ..wire.statements import nonce_hash
from .run import Run

__all__ = ["nonces_to_commit", "opened_nonces"]


def nonces_to_commit(run: Run, deposit: Deposit) -> tuple[NonceHash, ...]:
    """Whose nonces the coming draw is to depend on; each is used in one commitment only."""
    chosen = decide_nonces(run.state, deposit, run.nonces.keys())
    return tuple(NonceHash(participant=index, hash=run.nonces.pop(index)) for index in chosen)


def opened_nonces(
    run: Run, deposit: Deposit, commitment: Commitment, meanwhile: Callable[[], None]
) -> tuple[OpenedNonce, ...]:
    """Ask for the nonces that a commitment holds the hashes of, now that it is on the record.

    Who does not answer in time, or with something else, is left out.

    Parameters
    ----------
    meanwhile : callable
        What is done once they are asked for.
    """
    asked = [item for item in commitment.nonce_hashes if item.participant in run.node_of]
    messages = [_reveal_message(run, item) for item in asked]
    arrivals = run.courier.exchange(messages, asked, run.timeout, "nonce", meanwhile=meanwhile)
    opened = [found for arrival in arrivals if (found := _opened(run, arrival)) is not None]
    needed = nonces_needed(run.state, deposit)
    if len(opened) < needed:
        log(WARNING, "Round %d: %d of those drawn for it opened a nonce, and a committee needs %d. "
            "The round's hops stay untested; others are drawn for the next round.",
            run.state.round, len(opened), needed)  # fmt: skip
    return tuple(sorted(opened, key=lambda item: item.participant))


def _reveal_message(run: Run, item: NonceHash) -> Message:
    node = run.node_of[item.participant]
    config = ConfigRecord({**run.told([node]), "relay-reveal": item.hash})
    return Message(
        RecordDict({run.state.settings.configrecord_key: config}),
        node,
        MessageType.EVALUATE,
        ttl=run.timeout + GRACE,
        group_id=str(run.state.round),
    )


def _opened(run: Run, arrival: Arrival) -> OpenedNonce | None:
    item = arrival.tag
    if arrival.message is None or not isinstance(item, NonceHash):
        return None
    name = run.state.who.names[item.participant]
    run.heads.note(run.node_of[item.participant], seen_told(arrival.message))
    run.nonces |= nonces_told({item.participant: arrival.message})
    opened = opening_told(arrival.message, name, run.moment)
    if opened is None or nonce_hash(bytes.fromhex(opened[0])) != item.hash:
        return None
    nonce, signature = opened
    return OpenedNonce(participant=item.participant, nonce=nonce, signature=signature)
