"""Messages there and back, with deadlines and without Flower's fixed polling pause.

`Grid.send_and_receive` waits for the last reply of a batch; a relay has to act on each
as it comes. The courier pushes, polls quickly and then more slowly, turns whatever comes (or
does not) into an `Arrival` that says what went wrong, and hands it to who sent for it: the
legs and the tests of a run may be on their way at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from flwr.app import Message
from flwr.serverapp import Grid

from ..rules.outcomes import Fault
from .adapter import is_to_blame
from .pace import LEAST_PATIENCE, SLOWER, Clock, Pace, Patience, clock_of

__all__ = ["GRACE", "Arrival", "Courier", "Taker"]

GRACE = 10.0
"""Seconds that a message outlives its deadline: else Flower's expiry of it, which is nobody's
fault, would arrive before the deadline that a silent participant is charged for."""

_QUICKEST, _SLOWEST, _PATIENCE = 0.002, 0.35, 0.1
"""Seconds between polls: the fewest, the most, and as a share of what was waited so far.

Whoever asks Flower 1.41 often finds replies of which parts are still on their way, and waits
another second for those: with a reply open like that for w seconds, asking every t costs
t/2 + w/t on average, least at √(2w), and w on a fleet was 0.06 (docs/fleet.md).
"""

_WAS_LATE = "the others were back, and had waited as long again; nothing is lost by it"

_STRAGGLER = 5.0
"""What the slow half of a batch gets that nobody has to wait for: times what the fast half took."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A reply, or why there is none.

    Attributes
    ----------
    tag : hashable
        What the sender called the message.
    message : flwr.app.Message or None
        A reply with content.
    fault : Fault or None
        `timeout`, `error` (the ClientApp raised), `left` (infrastructure failed, or the node
        was only too slow for the pace of the others, and had more time by the user's timeout)
        or `late` (the others of its batch were back, and were patient).
    reason : str
        What the reply said of the fault.
    seconds : float
        From pushing to pulling.
    turns : int
        Further turns that this used up, by what the others usually take.
    """

    tag: Hashable
    message: Message | None
    fault: Fault | None
    reason: str
    seconds: float
    turns: int = 0


Taker = Callable[[Arrival], None]
"""Takes what came of a message; it may push others."""


@dataclass(frozen=True)
class _Ticket:
    tag: Hashable
    node_id: int
    kind: str
    sent: float
    deadline: float
    taker: Taker
    patience: Patience | None = None

    def is_late(self, clock: Clock) -> bool:
        """Whether its batch waits for it no longer."""
        return self.patience is not None and clock.now >= self.patience.until


@dataclass(frozen=True)
class _Later:
    """A message for a node that has another to answer first."""

    message: Message
    tag: Hashable
    timeout: float
    taker: Taker
    kind: str
    patience: Patience | None


_Taken = tuple[_Ticket, Arrival]


class Courier:
    """Carries messages over a Grid.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        Where to push and pull.
    one_by_one : bool
        Ask for one reply at a time, so that no two large ones are held at once.
    """

    def __init__(self, grid: Grid, *, one_by_one: bool = False) -> None:
        self._grid = grid
        self._one_by_one = one_by_one
        self._tickets: dict[str, _Ticket] = {}
        self._lost: list[_Ticket] = []
        self._later: list[_Later] = []
        self._owed: dict[str, tuple[int, float]] = {}  # node, and until when
        self._clock, self._took = clock_of(grid), dict[str, float]()
        self._pace = Pace()
        self._back = time.monotonic()
        self.own_seconds = 0.0

    def push(
        self,
        messages: Sequence[Message],
        tags: Sequence[Hashable],
        timeout: float,
        taker: Taker,
        kind: str = "",
        patience: Patience | None = None,
    ) -> list[str]:
        """Send messages, each under a tag; each must be answered within `timeout` seconds.

        A node that has yet to answer a message of another kind is sent its own after that.

        Parameters
        ----------
        taker : callable
            Is given an arrival for each of them, as it comes, while somebody waits.
        kind : str
            What is asked. Of what was asked before, the deadline follows the pace of the
            answers; without a kind it is the timeout. Who misses it by the pace alone has
            `left`: it may be an honest device that is slow.
        patience : Patience, optional
            Of the batch that they are of. Who is not back when it ends is late, and owes an
            answer until it is back, or the timeout is over.

        Returns
        -------
        list of str
            Their ids; an empty one for a message that could not be sent, or not yet.
        """
        busy = self._busy_with_others(kind)
        later = [message.metadata.dst_node_id in busy for message in messages]
        if any(later):
            for message, tag, waits in zip(messages, tags, later, strict=True):
                if waits:
                    self._later.append(_Later(message, tag, timeout, taker, kind, patience))
            free = [place for place, waits in enumerate(later) if not waits]
            sent = [messages[p] for p in free], [tags[p] for p in free]
            ids = self.push(*sent, timeout, taker, kind, patience)
            found = dict(zip(free, ids, strict=True))
            return [found.get(place, "") for place in range(len(messages))]
        now = time.monotonic()
        self.own_seconds += now - self._back
        message_ids = list(self._grid.push_messages(messages))
        self._back = now = time.monotonic()
        # Flower answers None for a message it could not take, and nothing at all for a
        # batch that is too large.
        padded = message_ids + [""] * (len(messages) - len(message_ids))
        end = now + timeout
        if patience is not None:
            patience.begin(self._clock.now)
        for message, tag, message_id in zip(messages, tags, padded, strict=True):
            ticket = _Ticket(tag, message.metadata.dst_node_id, kind, now, end, taker, patience)
            if message_id:
                self._tickets[message_id] = ticket
            else:
                self._lost.append(ticket)
        return padded

    def patience(self, kind: str, enough: Callable[[], bool], few: bool = False) -> Patience:
        """How long a batch is waited for; one of too few, by how long the latest other took."""
        return Patience(enough, usual=self._took.get(kind, math.inf) if few else math.inf)

    def _busy_with_others(self, kind: str) -> set[int]:
        """Nodes that have a message of another kind to answer, sent or waiting to be."""
        sent = ((ticket.node_id, ticket.kind) for ticket in self._tickets.values())
        waiting = ((each.message.metadata.dst_node_id, each.kind) for each in self._later)
        return {node for node, of in (*sent, *waiting) if of != kind}

    def _send_later(self) -> None:
        """Send what waited for nodes that have answered."""
        waiting, self._later = self._later, []
        for each in waiting:
            self.push(
                [each.message], [each.tag], each.timeout, each.taker, each.kind, each.patience
            )

    def serve(self) -> None:
        """Wait until something arrives or its deadline passes, and hand it to its taker.

        Returns at once when nothing is waiting.
        """
        self.own_seconds += time.monotonic() - self._back
        began = time.monotonic()
        found = [
            (ticket, _failed(ticket, Fault.LEFT, "could not be sent")) for ticket in self._lost
        ]
        self._lost.clear()
        while self._tickets and not found:
            found = self._come(until=min(map(_patient_until, self._tickets.values())))
            if not found:
                waited = time.monotonic() - began
                time.sleep(min(_SLOWEST, max(_QUICKEST, _PATIENCE * waited)))
        self._hand_over(found)

    def collect(self) -> None:
        """Hand over what has arrived, without waiting for anything."""
        while self._tickets or self._owed:
            if not (found := self._come(until=self._clock.now)):
                return
            self._hand_over(found)

    def _come(self, *, until: float) -> list[_Taken]:
        """What has arrived by then; where nothing has, what is waited for no longer."""
        self._clock.until = until
        found = self._answered() or self._expire()
        self._clock.until = math.inf
        return found

    def _hand_over(self, found: list[_Taken]) -> None:
        self._back = time.monotonic()
        if self._later:
            self._send_later()
        while found:  # taken out one by one, so that each reply can be let go of
            ticket, arrival = found.pop(0)
            ticket.taker(arrival)
            if ticket.patience and (took := ticket.patience.look(self._clock.now)):
                self._took[ticket.kind] = took
            del arrival

    def exchange(
        self,
        messages: Sequence[Message],
        tags: Sequence[Hashable],
        timeout: float,
        kind: str = "",
        *,
        hurries: bool = True,
        enough: Callable[[list[Arrival]], bool] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Arrival]:
        """Send a batch and collect it; the slow half is waited only so long for, if it hurries.

        Once half of the batch has answered in t seconds, the rest may take
        five times t (at least ten seconds, at most the timeout), so that one
        silent node does not hold a round until the deadline. A committee does not hurry: it
        closes at its deadline, and not when those who answer first would like it to; where a
        quorum may end it, the rest have as long again. What
        arrives for others meanwhile is handed to them. `meanwhile` is called once it is sent.

        Parameters
        ----------
        enough : callable, optional
            Whether what has arrived is enough, so that the rest have as long again (`Patience`).
        """
        began = time.monotonic()
        arrivals: list[Arrival] = []
        patience = None if enough is None else self.patience(kind, lambda: enough(arrivals))
        message_ids = self.push(messages, tags, timeout, arrivals.append, kind, patience)
        meanwhile()
        half = not hurries
        while len(arrivals) < len(messages):
            self.serve()
            if not half and (half := 2 * len(arrivals) >= len(messages)):
                took = time.monotonic() - began
                self._hurry(message_ids, began + max(LEAST_PATIENCE, _STRAGGLER * took))
        return arrivals

    def _hurry(self, message_ids: Sequence[str], until: float) -> None:
        """Give what is open of these messages no longer than until then."""
        for message_id in message_ids:
            if (ticket := self._tickets.get(message_id)) is not None:
                hurried = replace(ticket, deadline=min(ticket.deadline, until))
                self._tickets[message_id] = hurried

    def _pull(self) -> list[Message]:
        if not self._one_by_one:
            return list(self._grid.pull_messages([*self._tickets, *self._owed]))
        for message_id in [*self._tickets, *self._owed]:
            if replies := list(self._grid.pull_messages([message_id])):
                return replies
        return []

    def _answered(self) -> list[_Taken]:
        opened = [self._open(reply) for reply in self._pull()]
        return [taken for taken in opened if taken is not None]

    def _open(self, reply: Message) -> _Taken | None:
        ticket = self._tickets.pop(reply.metadata.reply_to_message_id, None)
        if ticket is None:  # answered twice, or after its deadline
            self._owed.pop(reply.metadata.reply_to_message_id, None)
            return None
        if reply.has_error():
            fault = Fault.ERROR if is_to_blame(reply.error.code) else Fault.LEFT
            return ticket, self._timed(
                _failed(ticket, fault, str(reply.error.reason or "")), ticket
            )
        seconds = time.monotonic() - ticket.sent
        arrival = Arrival(tag=ticket.tag, message=reply, fault=None, reason="", seconds=seconds)
        timed = self._timed(arrival, ticket)
        self._pace.note(ticket.kind, ticket.node_id, seconds)
        return ticket, timed

    def _timed(self, arrival: Arrival, ticket: _Ticket) -> Arrival:
        """The same with the turns that its seconds used up."""
        return replace(arrival, turns=self._pace.turns_taken(ticket.kind, arrival.seconds))

    def _until(self, ticket: _Ticket) -> float:
        """A ticket's deadline, by the answers that came since it was sent as well."""
        if not ticket.kind:
            return ticket.deadline
        most = ticket.deadline - ticket.sent
        return ticket.sent + self._pace.deadline(ticket.kind, ticket.node_id, most)

    def _expire(self) -> list[_Taken]:
        now = time.monotonic()
        over = [key for key, ticket in self._tickets.items() if now > self._until(ticket)]
        found = [self._expired(self._tickets.pop(key), now) for key in over]
        late = [key for key, ticket in self._tickets.items() if ticket.is_late(self._clock)]
        for key in late:
            ticket = self._tickets.pop(key)
            self._owed[key] = ticket.node_id, ticket.deadline
            found.append((ticket, _failed(ticket, Fault.LATE, _WAS_LATE)))
        return found

    @property
    def owing(self) -> set[int]:
        """Nodes that were late, and may answer yet: they are busy."""
        now = time.monotonic()
        self._owed = {key: owed for key, owed in self._owed.items() if now <= owed[1]}
        return {node for node, _ in self._owed.values()}

    def _expired(self, ticket: _Ticket, now: float) -> _Taken:
        """What becomes of a message without an answer; by the pace alone it is no fault yet."""
        waited, most = self._until(ticket) - ticket.sent, ticket.deadline - ticket.sent
        failed = _failed(ticket, Fault.TIMEOUT, "no answer before the deadline")
        if now <= ticket.deadline:
            told = (
                f"no answer in {waited:.0f} s, far more than is usual (the timeout is {most:.0f} "
                f"s); from now on it has {SLOWER:g} times as long"
            )
            failed = _failed(ticket, Fault.LEFT, told)
        timed = self._timed(failed, ticket)
        self._pace.miss(ticket.kind, ticket.node_id)
        return ticket, timed


def _patient_until(ticket: _Ticket) -> float:
    return math.inf if ticket.patience is None else ticket.patience.until


def _failed(ticket: _Ticket, fault: Fault, reason: str) -> Arrival:
    seconds = time.monotonic() - ticket.sent
    return Arrival(tag=ticket.tag, message=None, fault=fault, reason=reason, seconds=seconds)
