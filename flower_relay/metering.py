"""A Grid that counts what passes through another: messages and bytes, each way."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from .passing import PassingGrid

__all__ = ["MeteredGrid", "payload"]


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
