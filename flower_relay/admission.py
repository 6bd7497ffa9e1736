"""Who is who: nodes become participants when they first answer.

Flower's node ids are random in every simulation run, so a participant is known by what
its ClientApp reports under `identity_key` (our own reports its partition-id), and by its
node id only where it reports nothing. The first answer is to an evaluate message with
the genesis model, which also tells the utility everything else is measured against.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from flwr.app import Message, MetricRecord
from flwr.serverapp import Grid

from .courier import Arrival
from .errors import ConfigurationError, NotEnoughParticipantsError
from .settings import RelaySettings

__all__ = ["Answer", "answers", "check_utility", "distinct_names", "metrics_of", "wait_for_nodes"]

_PAUSE = 0.5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a node's first reply says: its name, and its utility metric if it has one."""

    node_id: int
    name: str
    metric: float | None
    found: tuple[str, ...]


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


def metrics_of(message: Message) -> MetricRecord:
    """All metrics of a reply in one record."""
    merged = MetricRecord()
    for record in message.content.metric_records.values():
        merged.update(record)
    return merged


def answers(
    nodes: Sequence[int], arrivals: Sequence[Arrival], settings: RelaySettings
) -> list[Answer]:
    """What each node answered, in the order of the participants' names."""
    replies = {arrival.tag: arrival.message for arrival in arrivals}
    found = [_answer(node, replies.get(node), settings) for node in nodes]
    return sorted(found, key=lambda answer: (len(answer.name), answer.name, answer.node_id))


def _answer(node: int, message: Message | None, settings: RelaySettings) -> Answer:
    metrics = metrics_of(message) if message is not None else MetricRecord()
    identity = metrics.get(settings.identity_key)
    known = isinstance(identity, int | float)
    name = f"{settings.identity_key}-{identity:g}" if known else f"node-{node}"
    value = metrics.get(settings.utility_key)
    metric = float(value) if isinstance(value, int | float) else None
    return Answer(node_id=node, name=name, metric=metric, found=tuple(metrics))


def distinct_names(found: Sequence[Answer], taken: set[str]) -> list[str]:
    """Names for newcomers; who claims one that is taken is known by its node id."""
    names: list[str] = []
    for answer in found:
        free = answer.name not in taken and answer.name not in names
        names.append(answer.name if free else f"node-{answer.node_id}")
    return names


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
