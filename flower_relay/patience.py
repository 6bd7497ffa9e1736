"""A Grid that asks again: a SuperLink that restarts, or is busy, ends no run.

Flower's own client asks again by itself while nobody answers. What it raises all the same
(an answer lost in the middle of an upload, a failing database) may pass a moment later, and
everything a relay asks may be asked twice: a message is known by its hash, a reply is given
once. What lasts longer is raised, and the run can be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from logging import WARNING
from typing import TypeVar

from flwr.app import Message
from flwr.common import log

from .adapter import CONNECTION_TROUBLE
from .passing import PassingGrid

__all__ = ["PatientGrid", "patiently"]

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
