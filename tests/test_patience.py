"""A connection in trouble: what is asked again, what counts once, and what is given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from flwr.app import Message, RecordDict

from clients.client_app import app as lineup_app
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.rules.settlement import is_forgiven
from flower_relay.transport.courier import Courier
from flower_relay.transport.pace import Pace
from flower_relay.transport.proxies import patiently
from tests.clocks import Clock
from tests.signers import same_run
from tests.worlds import CONFIG, CountingGrid, first_model

OWN = {"utility_key": "eval_bounded_loss", "seed": 3, "budget": 8, "max_leg": 2}


class Flaky(InMemoryGrid):
    """Every third call does what it should, and its answer is lost on the way."""

    def __init__(self, *options: Any, **more: Any) -> None:
        super().__init__(*options, **more)
        self.calls = self.lost = 0
        self._pushed: dict[str, str] = {}
        self._answered: list[Message] = []

    def _lose(self) -> None:
        self.calls += 1
        if self.calls % 3 == 0:
            self.lost += 1
            raise httpx.ReadError("EOF occurred in violation of protocol")

    def get_node_ids(self) -> Iterable[int]:
        self._lose()
        return super().get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        # As a SuperLink: who pushes the same message again gets the same id.
        ids = []
        for message in messages:
            if message.metadata.message_id not in self._pushed:
                [pushed] = super().push_messages([message])
                self._pushed[pushed] = pushed
            ids.append(message.metadata.message_id)
        self._lose()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self._answered += super().pull_messages(message_ids)
        self._lose()
        replies, self._answered = self._answered, []
        return replies


class Doubling(InMemoryGrid):
    """Every reply comes twice, and once more with the next."""

    def __init__(self, *options: Any, **more: Any) -> None:
        super().__init__(*options, **more)
        self.doubled = 0
        self._last: list[Message] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        old, self._last = self._last, replies
        self.doubled += len(replies)
        return [*old, *replies, *replies]


def played(grid: InMemoryGrid) -> RelayStrategy:
    strategy = RelayStrategy(**OWN, **same_run())
    strategy.start(grid, first_model(), num_rounds=8, timeout=60)
    return strategy


@pytest.fixture(scope="module")
def undisturbed() -> RelayStrategy:
    return played(InMemoryGrid(lineup_app, 4, run_config=CONFIG))


def test_answers_that_are_lost_are_asked_for_again_and_change_nothing(
    undisturbed: RelayStrategy,
) -> None:
    grid = Flaky(lineup_app, 4, run_config=CONFIG)
    strategy = played(grid)
    assert grid.lost > 10
    assert list(strategy.chain) == list(undisturbed.chain)


def test_replies_that_come_twice_count_once(undisturbed: RelayStrategy) -> None:
    grid = Doubling(lineup_app, 4, run_config=CONFIG)
    strategy = played(grid)
    assert grid.doubled > 10
    assert list(strategy.chain) == list(undisturbed.chain)


def test_trouble_that_lasts_is_raised_and_other_errors_are_at_once() -> None:
    tries: list[int] = []

    def unreachable() -> None:
        tries.append(1)
        raise ConnectionResetError("nobody listens")

    def mistaken() -> None:
        tries.append(1)
        raise ValueError("not the connection's fault")

    with pytest.raises(ConnectionResetError, match="nobody listens"):
        patiently(unreachable, pauses=(0.0, 0.0))
    assert len(tries) == 3
    with pytest.raises(ValueError, match="not the connection's fault"):
        patiently(mistaken)
    assert len(tries) == 4


class Emptied(CountingGrid):
    """After four trainings nobody is connected, as seen by whoever looks the next three times."""

    looked = 0

    def get_node_ids(self) -> Iterable[int]:
        self.looked += self.trained >= 4
        return [] if 1 <= self.looked <= 3 else super().get_node_ids()


def test_where_everybody_is_gone_at_once_their_return_is_waited_for() -> None:
    strategy = RelayStrategy(**OWN, **same_run())
    grid = Emptied(lineup_app, 6, run_config=CONFIG)
    strategy.start(grid, first_model(), num_rounds=20, timeout=30)
    assert len(strategy.record.hops) == OWN["budget"]


def test_who_comes_back_under_another_node_id_is_the_same_participant() -> None:
    class Restarted(Emptied):
        def get_node_ids(self) -> Iterable[int]:
            nodes = list(super().get_node_ids())
            if self.looked == 4:
                for number, node in enumerate(nodes):
                    self.leave(node)
                    self.join(2000 + number, partition_id=number)
                return super().get_node_ids()
            return nodes

    strategy = RelayStrategy(**OWN, **same_run())
    grid = Restarted(lineup_app, 6, run_config=CONFIG)
    strategy.start(grid, first_model(), num_rounds=20, timeout=30)
    assert len(strategy.record.hops) == OWN["budget"]
    assert len(strategy.record.participants) == 6


def test_but_not_for_longer_than_the_timeout() -> None:
    class Deserted(Emptied):
        def get_node_ids(self) -> Iterable[int]:
            return [] if self.trained >= 4 else InMemoryGrid.get_node_ids(self)

    strategy = RelayStrategy(**OWN, **same_run())
    grid = Deserted(lineup_app, 6, run_config=CONFIG)
    strategy.start(grid, first_model(), num_rounds=20, timeout=3)
    assert 4 <= len(strategy.record.hops) < OWN["budget"]


def test_a_deadline_follows_the_first_answers_and_is_ten_medians_from_the_fifth_on() -> None:
    pace, found = Pace(), []
    for seconds in (10.0, 10.0, 10.0, 10.0, 10.0, 40.0):
        found.append(pace.deadline("hop", 1, 600.0))
        pace.note("hop", 2, seconds)
    assert found == [600.0, 500.0, 250.0, pytest.approx(166.67, abs=0.01), 125.0, 100.0]
    assert pace.deadline("test", 1, 600.0) == 600.0  # of another kind nothing is known


def test_who_missed_a_deadline_has_three_times_as_long_until_it_answers_as_others_do() -> None:
    pace = Pace()
    for _ in range(5):
        pace.note("hop", 1, 10.0)
    pace.miss("hop", 2)
    assert pace.deadline("hop", 2, 600.0) == 300.0
    assert pace.deadline("hop", 2, 200.0) == 200.0  # the user's timeout is the most there is
    assert pace.deadline("hop", 1, 600.0) == pace.deadline("test", 1, 100.0) == 100.0
    pace.note("hop", 2, 250.0)  # a slow device stays one
    assert pace.deadline("hop", 2, 600.0) == 300.0
    pace.note("hop", 2, 90.0)
    assert pace.deadline("hop", 2, 600.0) == 100.0
    found = []
    for _ in range(3):  # who misses that as well is no slow device
        pace.miss("hop", 3)
        found.append(pace.deadline("hop", 3, 600.0))
    assert found == [300.0, 100.0, 300.0]


class Slow(InMemoryGrid):
    """One node takes so long for what it is sent, the others ten seconds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__(answering, 3)
        self._clock, self._seconds = clock, seconds
        self._due: dict[str, float] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        ids = list(super().push_messages(sent))
        for message_id, message in zip(ids, sent, strict=True):
            slow = message.metadata.dst_node_id == 1003
            self._due[message_id] = self._clock.now + (self._seconds if slow else 10.0)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return super().pull_messages([i for i in message_ids if self._due[i] <= self._clock.now])


def answering(message: Message, context: Any) -> Message:
    return Message(RecordDict({}), reply_to=message)


def asked_in_turn(clock: Clock, seconds: float, timeout: float) -> list[str | None]:
    """What came of the slow node's four turns, between those of two others."""
    courier = Courier(Slow(clock, seconds))
    found: list[str | None] = []
    for node in [1001, 1002] * 3 + [1003, 1001] * 4:
        message = Message(RecordDict({}), node, "train", ttl=timeout)
        [arrival] = courier.exchange([message], [node], timeout, "hop", hurries=False)
        found += [arrival.fault] if node == 1003 else []
    return found


@pytest.mark.parametrize(
    ("seconds", "timeout", "faults"),
    [
        (95.0, 3600.0, [None, None, None, None]),
        (290.0, 3600.0, ["left", None, None, None]),
        (310.0, 3600.0, ["left", "left", "left", "left"]),
        (95.0, 60.0, ["timeout", "timeout", "timeout", "timeout"]),
    ],
)
def test_a_device_up_to_thirty_times_slower_than_others_never_has_a_fault_that_costs(
    seconds: float, timeout: float, faults: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("flower_relay.transport.courier.time", clock)
    assert asked_in_turn(clock, seconds, timeout) == faults
    # A single "left" is a skip; two in a row cost what a fault costs.
    assert is_forgiven("left", 0) and not is_forgiven("left", 1)


def test_a_first_answer_that_was_stretched_is_not_the_pace_of_the_third() -> None:
    pace = Pace()
    pace.note("hop", 1, 599.0)
    assert pace.deadline("hop", 1, 600.0) == 600.0
    pace.note("hop", 2, 10.0)
    assert pace.deadline("hop", 1, 600.0) == 250.0  # of 10 and 599 s the lower counts


def test_three_times_what_is_usual_uses_up_a_turn_and_a_few_seconds_never_do() -> None:
    pace, found = Pace(), []
    for _ in range(5):
        found.append(pace.turns_taken("hop", 250.0))
        pace.note("hop", 1, 10.0)
    assert found == [0, 1, 3, 3, 3]  # of nothing, 150, 75, 50 and 37.5 s a turn
    assert [pace.turns_taken("hop", s) for s in (10, 29, 30, 59, 60, 95, 599)] == [
        0,
        0,
        1,
        1,
        2,
        3,
        3,
    ]
    for _ in range(40):
        pace.note("hop", 1, 0.1)
    assert pace.turns_taken("hop", 9.0) == 0
