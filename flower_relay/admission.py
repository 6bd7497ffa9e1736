"""Who is who: nodes become participants when they first answer.

Flower's node ids are random in every simulation run, so a participant is known by the key
its ClientApp signs with if that has our mod, else by what it reports under `identity_key`
(our own reports its partition-id), and by its node id only where it does neither. The first
answer is to an evaluate message with the genesis model, which also tells the utility that
everything else is measured against.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from logging import WARNING
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from .adapter import metrics_of
from .blocks import Admission, Genesis
from .courier import GRACE, Arrival, Courier
from .errors import ConfigurationError, NotEnoughParticipantsError
from .identities import claimed_twice, identity_told, known_by_node, node_name
from .rules.roles import BOTH
from .rules.testing import bounded_utility
from .running import Running
from .settings import RelaySettings
from .signing import hello_terms, holds_told, name_from_key, new_hello, nonces_told, role_told
from .statements import Hello, key_of

if TYPE_CHECKING:
    from .strategy import RelayStrategy

__all__ = [
    "Answer",
    "admit",
    "answers",
    "check_utility",
    "distinct_names",
    "first_contact",
    "genesis_of",
    "holds_of",
    "nonces_of",
    "recognised",
    "roles_of",
    "wait_for_nodes",
]

_FIRST_CONTACT_SECONDS = 120.0
"""The first message also pays for starting the clients' processes (Ray: some 20 s)."""

_PAUSE = 0.5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a node's first reply says: its name, and its utility metric if it has one.

    `role` is what it is willing to do, `nonce` the hash of the nonce that it told, if it signs;
    `holds` what it said it holds, if it runs the mod. `unfit` says why what it reported as its
    identity is no name.
    """

    node_id: int
    name: str
    role: str
    metric: float | None
    nonce: str | None
    holds: tuple[str, ...] | None
    found: tuple[str, ...]
    unfit: str | None = None


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
    run: str,
) -> list[Answer]:
    """Have each node evaluate a model, and so say who it is."""
    hello = new_hello(run)
    asked = ConfigRecord({**config, **hello_terms(hello)})
    content = RecordDict({settings.arrayrecord_key: arrays, settings.configrecord_key: asked})
    patience = max(timeout, _FIRST_CONTACT_SECONDS)
    messages = [
        Message(content, node, MessageType.EVALUATE, ttl=patience + GRACE) for node in nodes
    ]
    return answers(nodes, courier.exchange(messages, nodes, patience), settings, hello)


def admit(strategy: RelayStrategy, run: Running) -> None:
    """Let in who connected since, and recognise who came back under a new node id."""
    connected = set(run.grid.get_node_ids())
    strangers = sorted(connected - set(run.node_of.values()))
    if not strangers:
        return
    hello = new_hello(run.genesis_hash)
    run.addressees, run.extra_config = tuple(strangers), hello_terms(hello)
    messages = strategy.configure_evaluate(
        run.state.round, run.model(run.state.champion), run.evaluate_config, run.grid
    )
    arrivals = run.courier.exchange(messages, strangers, run.timeout)
    found = answers(strangers, arrivals, strategy.settings, hello)
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
    run.forwarding.note(holds_of(found))


def answers(
    nodes: Sequence[int], arrivals: Sequence[Arrival], settings: RelaySettings, hello: Hello
) -> list[Answer]:
    """What each node answered, in the order of the participants' names."""
    replies = {arrival.tag: arrival.message for arrival in arrivals}
    found = [_answer(node, replies.get(node), settings, hello) for node in nodes]
    return sorted(found, key=lambda answer: (len(answer.name), answer.name, answer.node_id))


def _answer(node: int, message: Message | None, settings: RelaySettings, hello: Hello) -> Answer:
    metrics = metrics_of(message) if message is not None else MetricRecord()
    said = None if message is None else identity_told(message, settings.identity_key)
    signs = None if message is None else name_from_key(hello, message)
    nonce = None if message is None or signs is None else nonces_told({node: message}).get(node)
    value = metrics.get(settings.utility_key)
    metric = float(value) if isinstance(value, int | float) else None
    return Answer(
        node_id=node,
        name=signs or (None if said is None else said.name) or node_name(node),
        role=BOTH if message is None else role_told(message),
        metric=metric,
        nonce=nonce,
        holds=None if message is None else holds_told(message),
        found=tuple(metrics),
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


def holds_of(found: Sequence[Answer]) -> dict[int, tuple[str, ...] | None]:
    """What those who answered hold, by node id."""
    return {answer.node_id: answer.holds for answer in found}


def genesis_of(settings: RelaySettings, model: str, found: Sequence[Answer]) -> Genesis:
    """The genesis block: every setting, the first model, and who answered what about it.

    The utility's bound is as set, else twice the first model's median loss. Who signs could
    not yet sign a utility, which depends on that bound, and is asked again when it matters.
    """
    finite = [a.metric for a in found if a.metric is not None and math.isfinite(a.metric)]
    bound = settings.utility_bound
    if bound is None:
        bound = 1.0 if settings.utility_rises or not finite else 2 * float(np.median(finite)) or 1.0
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
    )


def check_utility(found: Sequence[Answer], settings: RelaySettings) -> None:
    """Refuse to begin when nobody reports the metric that is to vote.

    Raises
    ------
    ConfigurationError
        Naming the metrics that the replies do hold.
    NotEnoughParticipantsError
        When nobody answered at all.
    """
    if any(answer.metric is not None for answer in found):
        return
    keys = sorted({key for answer in found for key in answer.found})
    if keys:
        raise ConfigurationError(
            f"no node reports '{settings.utility_key}' when it evaluates; the replies hold: "
            f"{', '.join(keys)}. Set utility_key (and utility_rises) to one of them."
        )
    raise NotEnoughParticipantsError(
        "no node answered the first evaluate message with metrics: the ClientApp needs an "
        "@app.evaluate() function that replies with a MetricRecord."
    )
