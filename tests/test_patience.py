"""A connection in trouble: what is asked again, what counts once, and what is given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from flwr.app import Message

from clients.client_app import app as lineup_app
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.transport.courier import Pace
from flower_relay.transport.proxies import patiently
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
        found.append(pace.deadline("hop", 600.0))
        pace.note("hop", seconds)
    assert found == [600.0, 500.0, 250.0, pytest.approx(166.67, abs=0.01), 125.0, 100.0]
    assert pace.deadline("test", 600.0) == 600.0  # of another kind nothing is known


def test_a_first_answer_that_was_stretched_is_not_the_pace_of_the_third() -> None:
    pace = Pace()
    pace.note("hop", 599.0)
    assert pace.deadline("hop", 600.0) == 600.0
    pace.note("hop", 10.0)
    assert pace.deadline("hop", 600.0) == 250.0  # of 10 and 599 s the lower counts


def test_three_times_what_is_usual_uses_up_a_turn_and_a_few_seconds_never_do() -> None:
    pace, found = Pace(), []
    for _ in range(5):
        found.append(pace.turns_taken("hop", 250.0))
        pace.note("hop", 10.0)
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
        pace.note("hop", 0.1)
    assert pace.turns_taken("hop", 9.0) == 0
