"""Grids that stand before another: one that counts what passes, one that asks again.

`PatientGrid`: a SuperLink that restarts, or is busy, ends no run. Flower's own client asks
again by itself while nobody answers. What it raises all the same (an answer lost in the middle
of an upload, a failing database) may pass a moment later, and everything a relay asks may be
asked twice: a message is known by its hash, a reply is given once. What lasts longer is
raised, and the run can be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from logging import WARNING
from typing import TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from .adapter import CONNECTION_TROUBLE, Run
from .pace import Clock, clock_of

__all__ = ["PatientGrid", "patiently", "MeteredGrid", "payload", "PassingGrid"]


class PassingGrid(Grid):
    """Passes everything on to `grid`; subclasses override what they add to."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def set_run(self, run: Run) -> None:
        """Set the run of the grid behind."""
        self._grid.set_run(run)

    @property
    def clock(self) -> Clock:
        """The clock of the grid behind."""
        return clock_of(self._grid)

    @property
    def run(self) -> Run:
        """The run of the grid behind."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Have the grid behind make a message (`Message(...)` is the usual way)."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Ids of the connected nodes."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push by the grid behind."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull by the grid behind."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send and receive by the grid behind."""
        return self._grid.send_and_receive(messages, timeout=timeout)


class MeteredGrid(PassingGrid):
    """Passes everything on to `grid` and keeps count.

    Attributes
    ----------
    messages : int
        Messages pushed.
    bytes_sent, bytes_received : int
        Payload of the messages pushed and of the replies pulled.
    bytes_hops, bytes_tests : int
        Both ways, of train and of evaluate messages; what a relay asks with the latter
        (tests, first contact, nonces) is counted as tests.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.messages = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.bytes_hops = 0
        self.bytes_tests = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push, and count what was pushed."""
        outgoing = list(messages)
        self.messages += len(outgoing)
        self.bytes_sent += self._counted(outgoing)
        return self._grid.push_messages(outgoing)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull, and count what arrived."""
        replies = list(self._grid.pull_messages(message_ids))
        self.bytes_received += self._counted(replies)
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send and receive by the grid behind, and count both ways."""
        outgoing = list(messages)
        self.messages += len(outgoing)
        self.bytes_sent += self._counted(outgoing)
        replies = list(self._grid.send_and_receive(outgoing, timeout=timeout))
        self.bytes_received += self._counted(replies)
        return replies

    def _counted(self, messages: Iterable[Message]) -> int:
        """Payload of messages, added to what it was for."""
        total = 0
        for message in messages:
            size = payload(message)
            total += size
            kind = message.metadata.message_type.partition(".")[0]
            self.bytes_hops += size if kind == "train" else 0
            self.bytes_tests += size if kind == "evaluate" else 0
        return total


def payload(message: Message) -> int:
    """Bytes of a message's records; nothing for an error."""
    if not message.has_content():
        return 0
    return sum(_size(record) for record in message.content.values())


def _size(record: ArrayRecord | MetricRecord | ConfigRecord) -> int:
    """As Flower counts; it cannot count empty texts and lists, which anybody may send."""
    if not isinstance(record, ConfigRecord):
        return record.count_bytes()
    values = [each for v in record.values() for each in (v if isinstance(v, list) else [v])]
    return sum(map(len, record)) + sum(map(_value_size, values))


def _value_size(value: bool | int | float | str | bytes) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return 1 if isinstance(value, bool) else 8


_PAUSES = tuple(0.05 * 2**number for number in range(11))
"""Seconds between tries, 102 in all: after 60 without a sign a SuperLink gives a run up."""


Answer = TypeVar("Answer")


def patiently(call: Callable[[], Answer], pauses: Iterable[float] = _PAUSES) -> Answer:
    """What a call returns, made again after each pause while the connection is in trouble."""
    for pause in pauses:
        try:
            return call()
        except CONNECTION_TROUBLE as problem:
            log(WARNING, "The SuperLink did not answer (%r); again in %.2f s.", problem, pause)
        time.sleep(pause)
    return call()


class PatientGrid(PassingGrid):
    """Passes everything on to `grid`, again and again while the connection is in trouble.

    Except `send_and_receive`, which has a deadline of its own.
    """

    def get_node_ids(self) -> Iterable[int]:
        """Ids of the connected nodes."""
        return patiently(lambda: list(self._grid.get_node_ids()))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push; a message that arrived the first time is not there twice."""
        outgoing = list(messages)
        return patiently(lambda: list(self._grid.push_messages(outgoing)))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull; a reply that was lost on its way comes as an error that blames nobody."""
        wanted = list(message_ids)
        return patiently(lambda: list(self._grid.pull_messages(wanted)))
