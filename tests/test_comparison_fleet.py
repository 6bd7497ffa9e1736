"""Simulated fleets: every second worked out by hand."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flower_relay import MeteredGrid
from flower_relay.comparison.devices import FLEETS, Device, draw_devices
from flower_relay.comparison.fleet import FleetClock, FleetGrid, Traffic
from tests.worlds import digits_grid, first_model

PLAIN = Device(speed=2.0, down=100.0, up=50.0, latency=1.0)


def traffic(node: int, **change: float) -> Traffic:
    """200 bytes down, 100 up, 100 cases to train on for two epochs."""
    given = {"down": 200, "up": 100, "cases": 100.0, "epochs": 2.0} | change
    return Traffic(node=node, kind="train", round=1, **given)  # type: ignore[arg-type]


def test_a_message_travels_is_worked_on_and_travels_back() -> None:
    clock = FleetClock({7: PLAIN})
    # 1 + 200/100 there; 100 cases × 2 epochs × 1 ms at twice the speed; 1 + 100/50 back.
    assert clock.carry(traffic(7)) == pytest.approx(3 + 0.1 + 3)
    assert clock.timeline == [
        {"node": 0, "kind": "train", "start": 3.0, "end": 3.1, "round": 1}
    ]  # fmt: skip


def test_a_busy_device_finishes_first_and_another_does_not_wait() -> None:
    clock = FleetClock({7: PLAIN, 8: PLAIN})
    clock.carry(traffic(7, cases=50_000.0))  # busy from 3 to 53
    assert clock.carry(traffic(7)) == pytest.approx(53 + 0.1 + 3)
    assert clock.carry(traffic(8)) == pytest.approx(6.1)


def test_an_absent_device_makes_a_message_wait() -> None:
    away = Device(speed=2.0, down=100.0, up=50.0, latency=1.0, period=100.0, on=60.0, phase=58.0)
    # The message is there at 3, 61 seconds into the period: 39 more until the next.
    assert FleetClock({7: away}).carry(traffic(7)) == pytest.approx(3 + 39 + 0.1 + 3)
    assert away.there_from(1.0) == 1.0


def test_the_server_acts_on_one_answer_or_after_all_of_them() -> None:
    clock = FleetClock({7: PLAIN})
    clock.deliver(5.0, last=False)
    clock.deliver(3.0, last=False)
    assert clock.now == 3.0  # another lane's answer came earlier on this fleet
    clock.deliver(4.0, last=True)
    assert clock.now == clock.latest == 5.0


def sent(grid: FleetGrid | MeteredGrid, nodes: list[int]) -> list[Message]:
    content = RecordDict(
        {"arrays": first_model(), "config": ConfigRecord({"lr": 0.1, "server-round": 4})}
    )
    return list(grid.send_and_receive([Message(content, node, "train") for node in nodes]))


def test_answers_arrive_in_the_order_of_the_driving_fleet() -> None:
    slow, fast = Device(speed=0.01), Device(speed=100.0)
    fleets = {"a": [slow, fast, fast], "b": [fast, slow, slow]}
    for driving, first in (("a", {1002, 1003}), ("b", {1001})):
        grid = FleetGrid(digits_grid(3), fleets, driving)
        order = [reply.metadata.src_node_id for reply in sent(grid, [1001, 1002, 1003])]
        assert set(order[: len(first)]) == first
        assert grid.clocks["a"].now == grid.seconds["a"]


def test_it_counts_what_a_metered_grid_counts() -> None:
    fleet = FleetGrid(digits_grid(3), {"a": draw_devices("phones", 3, 0)}, "a")
    metered = MeteredGrid(digits_grid(3))
    sent(fleet, [1001, 1003])
    sent(metered, [1001, 1003])
    assert (fleet.messages, fleet.bytes_down, fleet.bytes_up) == (
        metered.messages,
        metered.bytes_sent,
        metered.bytes_received,
    )
    assert (fleet.trains, fleet.bytes_test, fleet.round) == (2, 0, 4)
    assert fleet.last_seen == {1001: (1, 4), 1002: (0, 0), 1003: (2, 4)}


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_fleet_is_the_same_for_every_strategy_of_a_seed(fleet: str) -> None:
    assert draw_devices(fleet, 5, 1) == draw_devices(fleet, 5, 1)
    assert draw_devices(fleet, 5, 1) == draw_devices(fleet, 9, 1)[:5]
    differs = draw_devices(fleet, 5, 1) != draw_devices(fleet, 5, 2)
    assert differs == (fleet != "homogeneous")
