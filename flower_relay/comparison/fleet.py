"""A Grid on a simulated fleet: the same messages, on a clock of their own.

`FleetGrid` stands between a strategy and a grid that computes at once (`InMemoryGrid`). It
has each message answered when it is pushed, works out when the answer would have arrived on
each fleet, and delivers the answers in the order of one of them, the driving fleet: lanes
and stragglers overlap as they would there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from ..transport.pace import Clock
from ..transport.proxies import PassingGrid, payload
from ..wire.metrics import metrics_of
from .devices import Device

__all__ = ["FleetClock", "FleetGrid", "Traffic"]

_MOST_DRAWN = 400
"""Messages that the timeline keeps: what a picture can show."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What one message took: to whom, for what, how large, how much work."""

    node: int
    kind: str
    round: int
    down: int
    up: int
    cases: float
    epochs: float


@dataclass
class FleetClock:
    """One fleet's clock, moved on by messages.

    A message starts when it is pushed, waits for a device that is busy or away, travels
    (latency, then bytes over bandwidth), is worked on and travels back. Time away is waited
    for once, at the start: a device finishes what it began.

    Attributes
    ----------
    devices : dict of node id to Device
    now : float
        When the server last had to act: it pushes at the moment of the answer that it
        reacts to, or, with nothing on the way, of the latest answer so far.
    latest : float
        The latest answer delivered.
    until : float
        The moment up to which answers are waited for.
    timeline : list of dict
        The first messages: node (its place), kind, start, end, round.
    """

    devices: dict[int, Device]
    now: float = 0.0
    latest: float = 0.0
    until: float = math.inf
    timeline: list[dict[str, int | float | str]] = field(default_factory=list)
    _busy: dict[int, float] = field(default_factory=dict)
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        """Remember how many devices the fleet has."""
        self._size = len(self.devices)

    def _device(self, node: int) -> Device:
        """A node's device; who joins later has one like the first nodes', in their order."""
        if node not in self.devices:
            self.devices[node] = list(self.devices.values())[len(self.devices) % self._size]
        return self.devices[node]

    def carry(self, sent: Traffic) -> float:
        """When the answer to a message that is pushed now arrives."""
        device = self._device(sent.node)
        there = self.now + device.latency + sent.down / device.down
        start = device.there_from(max(there, self._busy.get(sent.node, 0.0)))
        end = start + device.seconds(sent.kind, sent.cases, sent.epochs)
        self._busy[sent.node] = end
        if len(self.timeline) < _MOST_DRAWN:
            place = list(self.devices).index(sent.node)
            self.timeline.append(
                {
                    "node": place,
                    "kind": sent.kind,
                    "start": round(start, 4),
                    "end": round(end, 4),
                    "round": sent.round,
                }
            )
        return end + device.latency + sent.up / device.up

    def deliver(self, moment: float, *, last: bool) -> None:
        """The server takes an answer; `last` when nothing else is on the way."""
        self.latest = max(self.latest, moment)
        self.now = self.latest if last else moment


@dataclass(frozen=True)
class _Answer:
    reply: Message
    arrives: dict[str, float]


class FleetGrid(PassingGrid):
    """Passes messages on, keeps the fleets' clocks, and counts.

    Devices that are away count as connected: they are waited for, but for rounds of several
    lanes, which leave out who is late on the driving fleet.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        Answers what it can as soon as it is asked.
    fleets : dict of name to sequence of Device
        A device for each of the grid's nodes, in the order of their ids.
    driving : str
        The fleet in whose order answers are delivered. On the others the clocks are exact
        for strategies that wait for all answers before they act, and for one lane; with
        several lanes they may run ahead, as lanes are waited for in the driving order.

    Attributes
    ----------
    trains, messages, evaluations, bytes_down, bytes_up, bytes_test : int
        Train messages; all messages; models evaluated, of which a visit may have several; their
        bytes, each way; what both ways evaluating took.
    last_seen : dict of node id to (trains, round)
        When each node was last sent a model.
    """

    def __init__(
        self, grid: Grid, fleets: dict[str, Sequence[Device]], driving: str = "homogeneous"
    ) -> None:
        super().__init__(grid)
        nodes = sorted(grid.get_node_ids())
        self.clocks = {
            name: FleetClock(dict(zip(nodes, devices, strict=True)))
            for name, devices in fleets.items()
        }
        self._driving = driving
        self._waiting: dict[str, _Answer] = {}
        self.trains = self.messages = self.evaluations = 0
        self.bytes_down = self.bytes_up = self.bytes_test = 0
        self.round = 0
        self.last_seen = {node: (0, 0) for node in nodes}

    @property
    def clock(self) -> Clock:
        """The driving fleet's: by that devices are late."""
        return self.clocks[self._driving]

    @property
    def seconds(self) -> dict[str, float]:
        """What each fleet's clock shows."""
        return {name: clock.latest for name, clock in self.clocks.items()}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push; every message is answered at once and its answer kept until it arrives."""
        outgoing = list(messages)
        sizes = [payload(message) for message in outgoing]
        for clock in self.clocks.values():
            clock.deliver(clock.now, last=not self._waiting)
        message_ids = list(self._grid.push_messages(outgoing))
        for message, size, message_id in zip(outgoing, sizes, message_ids, strict=True):
            answer = self._answer(message, size, message_id)
            if answer is not None:  # silence is never waited for: no clock could say how long
                self._waiting[message_id] = answer
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The earliest of these answers on the driving fleet, if it is waited for so long."""
        wanted = {key: self._waiting[key] for key in message_ids if key in self._waiting}
        if not wanted:
            return []
        first = min(wanted, key=lambda key: wanted[key].arrives[self._driving])
        answer, driving = wanted[first], self.clocks[self._driving]
        if answer.arrives[self._driving] > driving.until:
            driving.deliver(driving.until, last=False)
            return []
        del self._waiting[first]
        for name, clock in self.clocks.items():
            clock.deliver(answer.arrives[name], last=not self._waiting)
        self._count_up(answer.reply)
        return [answer.reply]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull all answers; a `timeout` is of real time, and nothing takes any."""
        waiting = set(self.push_messages(messages))
        replies: list[Message] = []
        while pulled := list(self.pull_messages(waiting)):
            replies += pulled
            waiting -= {reply.metadata.reply_to_message_id for reply in pulled}
        return replies

    def _answer(self, message: Message, down: int, message_id: str) -> _Answer | None:
        """Have a message answered; None for one that is met with silence."""
        kind, node = message.metadata.message_type, message.metadata.dst_node_id
        number, epochs = _terms(message)
        trains = kind.startswith(MessageType.TRAIN)
        self.round = max(self.round, number)
        evaluated = 0 if trains else _models_in(message)
        self.trains += trains
        self.evaluations += evaluated
        self.messages += 1
        self.bytes_down += down
        self.bytes_test += 0 if trains else down
        self.last_seen[node] = (self.trains, self.round)
        replies = list(self._grid.pull_messages([message_id]))
        if not replies:
            return None
        sent = Traffic(
            node=node,
            kind="train" if trains else "evaluate",
            round=number,
            down=down,
            up=payload(replies[0]),
            cases=_cases(replies[0]) * max(1, evaluated),
            epochs=epochs,
        )
        arrives = {name: clock.carry(sent) for name, clock in self.clocks.items()}
        return _Answer(replies[0], arrives)

    def _count_up(self, reply: Message) -> None:
        size = payload(reply)
        self.bytes_up += size
        if not reply.metadata.message_type.startswith(MessageType.TRAIN):
            self.bytes_test += size


def _terms(message: Message) -> tuple[int, float]:
    """The round that a message is of, and how many epochs it asks for."""
    found: dict[str, float] = {}
    for record in message.content.config_records.values():
        for key in ("server-round", "local-epochs"):
            value = record.get(key)
            if isinstance(value, int | float):
                found[key] = value
    return int(found.get("server-round", 0)), found.get("local-epochs", 1.0)


def _models_in(message: Message) -> int:
    """How many models a message asks to evaluate: a relay's visit names them."""
    for record in message.content.config_records.values():
        named = record.get("relay-models")
        if isinstance(named, list):
            return len(named)
    return 1


def _cases(reply: Message) -> float:
    """How many cases an answer says it is of; none where it is an error."""
    if not reply.has_content():
        return 0.0
    told = metrics_of(reply).get("num-examples", 0.0)
    return float(told) if isinstance(told, int | float) and math.isfinite(told) else 0.0
