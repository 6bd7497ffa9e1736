"""Who is who: nodes become participants when they first answer.

Flower's node ids are random in every simulation run, so a participant is known by the key
its ClientApp signs with if that has our mod, else by what it reports under `identity_key`
(our own reports its partition-id), and by its node id only where it does neither. The first
answer is to an evaluate message with the genesis model, which also tells the utility that
everything else is measured against.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from logging import WARNING

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from ..errors import NotEnoughParticipantsError
from ..legible import legible
from ..mechanism.blocks import Admission, Genesis
from ..mechanism.identity import key_of
from ..rules.roles import BOTH
from ..rules.votes import bounded_utility
from ..settings import RelaySettings
from ..transport.courier import GRACE, Arrival, Courier
from ..wire.metrics import metrics_of, number_in
from ..wire.replies import (
    holds_told,
    name_from_key,
    nonces_told,
    refusal_told,
    role_told,
    seen_told,
)
from ..wire.requests import Terms, new_challenge
from .greetings import Answer
from .heads import Heads
from .identities import claimed_twice, identity_told, known_by_node, node_name
from .run import Run, addressed

__all__ = [
    "admit",
    "answers",
    "assembled",
    "distinct_names",
    "first_contact",
    "genesis_of",
    "nonces_of",
    "note_answers",
    "recognised",
    "roles_of",
    "wait_for_nodes",
]

_FIRST_CONTACT_SECONDS = 120.0
"""The first message also pays for starting the clients' processes (Ray: some 20 s)."""

_PAUSE = 0.5


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What nodes are greeted with: who knows the key of its name signs it."""

    heads: Heads
    text: str

    def terms(self, round: int, nodes: Sequence[int]) -> Terms:
        """Asks who is there; a ClientApp without the mod takes no notice."""
        return {"relay-hello": self.text} | self.heads.terms(round, nodes, greets=True)


def wait_for_nodes(grid: Grid, least: int, timeout: float) -> list[int]:
    """Wait until at least `least` nodes are connected.

    Raises
    ------
    NotEnoughParticipantsError
        After `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while len(nodes := list(grid.get_node_ids())) < least:
        if time.monotonic() > end:
            raise NotEnoughParticipantsError(
                f"{len(nodes)} of at least {least} nodes were connected after {timeout:.0f} s; "
                "start more nodes, or lower min_available_nodes."
            )
        time.sleep(_PAUSE)
    return nodes


def first_contact(
    courier: Courier,
    nodes: Sequence[int],
    arrays: ArrayRecord,
    config: ConfigRecord,
    settings: RelaySettings,
    timeout: float,
    heads: Heads,
    round: int,
) -> list[Answer]:
    """Have each node evaluate a model, and so say who it is."""
    hello = Challenge(heads=heads, text=new_challenge())
    asked = ConfigRecord({**config, **hello.terms(round, nodes)})
    content = RecordDict({settings.arrayrecord_key: arrays, settings.configrecord_key: asked})
    patience = max(timeout, _FIRST_CONTACT_SECONDS)
    messages = [
        Message(content, node, MessageType.EVALUATE, ttl=patience + GRACE) for node in nodes
    ]
    return answers(nodes, courier.exchange(messages, nodes, patience), settings, hello)


def _greet(run: Run, connected: Collection[int]) -> None:
    """Have those who are connected and unknown evaluate the champion, and go on."""
    greetings = run.greetings
    strangers = greetings.due(set(connected) - set(run.node_of.values()), run.state.round)
    if not strangers:
        return
    hello = Challenge(heads=run.heads, text=new_challenge())
    configure = run.hooks.configure_evaluate
    terms = hello.terms(run.state.asking, strangers)
    messages = addressed(run, configure, run.state.champion, terms, strangers)

    def take(arrival: Arrival) -> None:
        assert isinstance(arrival.tag, int)
        if arrival.message is not None:
            answer = _answer(arrival.tag, arrival, run.state.settings, hello)
            greetings.take(answer)
            return
        greetings.fail(arrival.tag, run.state.round)
        kind = f"{arrival.fault} as a newcomer"
        run.record.notices.tell(node_name(arrival.tag), kind, arrival.reason)

    run.courier.push(messages, strangers, run.timeout, take)


def admit(run: Run) -> None:
    """Greet who is new, and let in those who have answered: newcomers, and who came back."""
    connected = set(run.grid.get_node_ids())
    _greet(run, connected)
    if run.greetings.waiting:
        run.courier.collect()
    found = _in_order(run.greetings.answered())
    if not found:
        return
    names = run.state.who.names
    here = {index for index, node in run.node_of.items() if node in connected}
    back = recognised(found, names, here)
    run.node_of.update(back)
    fresh = [answer for answer in found if answer.node_id not in back.values()]
    if fresh:
        first = len(names)
        joined = distinct_names(fresh, {n: run.node_of.get(i) for i, n in enumerate(names)})
        number, roles = run.state.round + 1, roles_of(fresh)
        run.record_block(Admission(round=number, participants=tuple(joined), roles=roles))
        run.node_of.update({first + i: answer.node_id for i, answer in enumerate(fresh)})
    run.nonces |= nonces_of(found, run.node_of)
    note_answers(run, found)


def assembled(run: Run) -> list[int]:
    """Who is here and free, after letting in who came; where nobody is, who comes back is awaited.

    Nodes leave one by one; all at once they are gone when the SuperLink is in trouble.
    """
    admit(run)
    if not run.present().any():
        log(WARNING, "Nobody is connected; waiting up to %.0f s.", run.timeout)
        _wait_to_be_joined(run)
    return np.flatnonzero(run.free()).tolist()


def _wait_to_be_joined(run: Run) -> None:
    """Wait until a participant is connected, at most the timeout."""
    end = time.monotonic() + run.timeout
    while not run.present().any() and time.monotonic() < end:
        time.sleep(_PAUSE)
        admit(run)


def answers(
    nodes: Sequence[int], arrivals: Sequence[Arrival], settings: RelaySettings, hello: Challenge
) -> list[Answer]:
    """What each node answered, in the order of the participants' names."""
    came = {arrival.tag: arrival for arrival in arrivals}
    return _in_order([_answer(node, came[node], settings, hello) for node in nodes])


def _in_order(found: Sequence[Answer]) -> list[Answer]:
    return sorted(found, key=lambda answer: (len(answer.name), answer.name, answer.node_id))


def _answer(node: int, arrival: Arrival, settings: RelaySettings, hello: Challenge) -> Answer:
    message = arrival.message
    if message is None:
        return Answer(
            node_id=node, name=node_name(node), role=BOTH, metric=None, nonce=None, holds=None,
            seen=None, found=(),
            trouble=f"{arrival.fault}: {legible(arrival.reason) or 'no reason given'}",
        )  # fmt: skip
    metrics = metrics_of(message)
    said = identity_told(message, settings.identity_key)
    signs = name_from_key(hello.heads.key.public, hello.heads.run, hello.text, message)
    return Answer(
        node_id=node,
        name=signs or (None if said is None else said.name) or node_name(node),
        role=role_told(message),
        metric=number_in(metrics, settings.utility_key),
        nonce=None if signs is None else nonces_told({node: message}).get(node),
        holds=holds_told(message),
        seen=seen_told(message),
        found=tuple(metrics),
        trouble=refusal_told(message) or "",
        unfit=None if signs or said is None else said.unfit,
    )


def distinct_names(found: Sequence[Answer], taken: Collection[str]) -> list[str]:
    """Names for newcomers; who claims one that is taken is known by its node id.

    Says in the log whose names will not do, and who claims whose.

    Parameters
    ----------
    taken : collection of str
        Names of those who are in already; a mapping also tells their nodes, for the log.
    """
    holders = dict(taken) if isinstance(taken, Mapping) else dict.fromkeys(taken)
    names: list[str] = []
    for answer in found:
        name = answer.name
        if name in holders:
            name = node_name(answer.node_id)
            log(WARNING, "%s", claimed_twice(answer.name, answer.node_id, holders[answer.name]))
        holders[name] = answer.node_id
        names.append(name)
    if unfit := {node_name(answer.node_id): answer.unfit for answer in found if answer.unfit}:
        log(WARNING, "%s", known_by_node(unfit))
    return names


def recognised(
    found: Sequence[Answer], names: Sequence[str], here: Collection[int]
) -> dict[int, int]:
    """Which participants are among those who answered, each once: by name, else by node id.

    Parameters
    ----------
    names : sequence of str
        Of all participants, in the order of admission.
    here : collection of int
        Participants who are connected already.

    Returns
    -------
    dict of participant to node id
    """
    missing = {name: index for index, name in enumerate(names) if index not in here}
    nodes: dict[int, int] = {}
    for answer in found:
        name = answer.name if answer.name in missing else node_name(answer.node_id)
        if name in missing:
            nodes[missing.pop(name)] = answer.node_id
    return nodes


def nonces_of(found: Sequence[Answer], node_of: Mapping[int, int]) -> dict[int, str]:
    """The hashes of nonces that those who answered told, by participant."""
    told = {answer.node_id: answer.nonce for answer in found if answer.nonce is not None}
    return {index: told[node] for index, node in node_of.items() if node in told}


def roles_of(found: Sequence[Answer]) -> tuple[str, ...]:
    """What each of those who answered is willing to do; none where all do both."""
    roles = tuple(answer.role for answer in found)
    return () if set(roles) == {BOTH} else roles


def note_answers(run: Run, found: Sequence[Answer]) -> None:
    """Note what those who answered hold, and how far they have seen the chain."""
    run.forwarding.note({answer.node_id: answer.holds for answer in found})
    for answer in found:
        run.heads.note(answer.node_id, answer.seen)


def genesis_of(
    settings: RelaySettings, model: str, bound: float, found: Sequence[Answer], heads: Heads
) -> Genesis:
    """The genesis block: every setting, the first model, and who answered what about it.

    Who signs could not yet sign a utility, which depends on the bound, and is asked again when
    it matters.

    Parameters
    ----------
    bound : float
        Of the utility (`flower_relay.federation.scale`).
    """
    names = distinct_names(found, set())
    return Genesis(
        settings=asdict(settings),
        model=model,
        bound=bound,
        participants=tuple(names),
        utilities=tuple(
            None
            if answer.metric is None or key_of(name) is not None
            else bounded_utility(answer.metric, bound, settings.utility_rises)
            for name, answer in zip(names, found, strict=True)
        ),
        roles=roles_of(found),
        operator=heads.key.public,
        run=heads.run,
    )
