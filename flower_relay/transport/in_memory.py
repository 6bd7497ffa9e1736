"""A Grid without a network: a ClientApp's nodes in this process, in seconds.

For tests, experiments and large comparisons: the same strategy and the same ClientApp as
under Flower, without SuperLink, Ray or processes. Nodes can be made to misbehave.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid

from .adapter import (
    CLIENT_APP_RAISED,
    NODE_UNAVAILABLE,
    Run,
    empty_run,
    error,
    identify_process,
    let_go_of_arrays,
    stamp,
)
from .pace import STILL, Clock

__all__ = ["InMemoryGrid"]

App = Callable[[Message, Context], Message]


class InMemoryGrid(Grid):
    """Runs a ClientApp for a number of nodes when their replies are pulled.

    Parameters
    ----------
    client_app : flwr.clientapp.ClientApp
        Called with (message, context), as Flower does.
    num_supernodes : int
        Nodes, with `partition-id` 0 … and `num-partitions` in their node config.
    run_config : mapping, optional
        What `context.run_config` holds.
    node_ids : sequence of int, optional
        By default 1001, 1002, …

    Examples
    --------
    >>> from flower_relay import InMemoryGrid, RelayStrategy
    >>> grid = InMemoryGrid(app, num_supernodes=20)                   # doctest: +SKIP
    >>> result = RelayStrategy().start(grid, arrays, num_rounds=100)  # doctest: +SKIP
    """

    def __init__(
        self,
        client_app: App,
        num_supernodes: int = 20,
        *,
        run_config: Mapping[str, Any] | None = None,
        node_ids: Sequence[int] | None = None,
    ) -> None:
        identify_process(1)
        self._app = client_app
        self._run_config = dict(run_config or {})
        self._run = empty_run(1, self._run_config)
        self._contexts: dict[int, Context] = {}
        self._num_partitions = num_supernodes
        self._partition = itertools.count()
        self._message_ids = itertools.count(1)
        self._waiting: dict[str, Message] = {}
        self._silent: set[int] = set()
        self._leaves_after: dict[int, int] = {}
        for node_id in node_ids or range(1001, 1001 + num_supernodes):
            self.join(node_id)

    def join(self, node_id: int, *, partition_id: int | None = None) -> None:
        """Connect one more node; it gets the next partition, or the one named."""
        self._contexts[node_id] = Context(
            run_id=1,
            node_id=node_id,
            node_config={
                "partition-id": (next(self._partition) if partition_id is None else partition_id),
                "num-partitions": self._num_partitions,
            },
            state=RecordDict(),
            run_config=self._run_config,
        )

    def leave(self, node_id: int, *, after: int = 0) -> None:
        """Disconnect a node once it has answered `after` more messages."""
        self._leaves_after[node_id] = after

    def silence(self, node_id: int) -> None:
        """Keep a node connected that never answers."""
        self._silent.add(node_id)

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def clock(self) -> Clock:
        """One that stands still: nodes here take turns, and none is later than another."""
        return STILL

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message (Flower's Grid asks for this; `Message(...)` is the usual way)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Ids of the connected nodes."""
        if not self._leaves_after:
            return list(self._contexts)
        return [node for node in self._contexts if self._leaves_after.get(node) != 0]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Accept messages; nothing runs until their replies are pulled."""
        message_ids: list[str] = []
        for message in messages:
            message_id = f"message-{next(self._message_ids)}"
            self._waiting[message_id] = stamp(message, message_id)
            message_ids.append(message_id)
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Run the oldest waiting message of those asked for, and return its reply."""
        wanted = set(message_ids)
        for message_id in [known for known in self._waiting if known in wanted]:
            message = self._waiting[message_id]
            if message.metadata.dst_node_id in self._silent:
                continue
            del self._waiting[message_id]
            return [self._answer(message)]
        return []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull until all have answered, `timeout` is over, or only silence is left."""
        waiting = set(self.push_messages(messages))
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        replies: list[Message] = []
        while waiting and time.monotonic() < end:
            pulled = list(self.pull_messages(waiting))
            if not pulled:
                break
            replies += pulled
            waiting -= {reply.metadata.reply_to_message_id for reply in pulled}
        return replies

    def _answer(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        if node_id not in self._contexts or self._leaves_after.get(node_id) == 0:
            gone = error(NODE_UNAVAILABLE, f"node {node_id} is not connected.")
            return Message(gone, reply_to=message)
        if node_id in self._leaves_after:
            self._leaves_after[node_id] -= 1
        received = _received(message)
        try:
            return self._app(received, self._contexts[node_id])
        except Exception as problem:  # as Flower: whatever a ClientApp raises is its error
            raised = error(CLIENT_APP_RAISED, f"{type(problem).__name__}: {problem}")
            return Message(raised, reply_to=message)
        finally:
            let_go_of_arrays(message.content)


def _received(message: Message) -> Message:
    """The message with a content of its own, as after a journey over a network."""
    own = RecordDict(
        {
            key: ConfigRecord(dict(record)) if isinstance(record, ConfigRecord) else record
            for key, record in message.content.items()
        }
    )
    message.content = own
    return message
