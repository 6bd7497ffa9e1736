"""Nodes that say who they are: one device, one name, and nobody else's coins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from clients.client_app import app as lineup_app
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.federation.identities import identity_told
from flower_relay.federation.record import RelayObserver, RoundRow, RunRecord
from flower_relay.ledger.chain import MemoryChain
from flower_relay.store import MemoryStore
from tests.worlds import CONFIG, first_model

App = Callable[[Message, Context], Message]


def reporting(identities: Sequence[Any]) -> App:
    """The line-up's ClientApp, each partition reporting an identity of ours."""

    def app(message: Message, context: Context) -> Message:
        reply = lineup_app(message, context)
        mine = identities[int(context.node_config["partition-id"])]
        kind = ConfigRecord if isinstance(mine, str | bytes | bool) else MetricRecord
        if mine is not None:
            reply.content["identity"] = kind({"device": mine})
        return reply

    return app


def grid_of(identities: Sequence[Any], node_ids: Sequence[int]) -> InMemoryGrid:
    config = CONFIG | {"num-partitions": 8}
    return InMemoryGrid(reporting(identities), len(node_ids), run_config=config, node_ids=node_ids)


def names_of(identities: Sequence[Any]) -> list[str]:
    nodes = range(1001, 1001 + len(identities))
    strategy = RelayStrategy(identity_key="device", examiners=2, observers=())
    strategy.start(grid_of(identities, nodes), first_model(), num_rounds=1)
    return [row.name for row in strategy.record.participants]


def told(value: Any) -> tuple[str | None, str | None]:
    kind = ConfigRecord if isinstance(value, str | bytes | bool) else MetricRecord
    message = Message(RecordDict({"r": kind({"device": value})}), 7, "evaluate")
    found = identity_told(message, "device")
    assert found is not None
    return found.name, found.unfit


@given(st.integers(-(2**63), 2**64 - 1), st.integers(-(2**63), 2**64 - 1))
def test_two_whole_numbers_never_get_one_name(one: int, other: int) -> None:
    assert (told(one) == told(other)) == (one == other)
    assert told(one)[0] == f"device-{one}"


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_floats_are_the_whole_numbers_that_they_are_exactly_or_nothing(
    one: float, other: float
) -> None:
    name, unfit = told(one)
    assert (name is None) == (unfit is not None)
    assert (name is not None) == (one.is_integer() and abs(one) < 2**53)
    if name is not None and name == told(other)[0]:
        assert one == other


def test_a_float_is_called_as_the_integer_that_it_is() -> None:
    assert told(20240001.0) == ("device-20240001", None)
    assert told(-0.0) == told(0) == ("device-0", None)
    assert told(2.0**53)[0] is None


@pytest.mark.parametrize(
    "value",
    [True, 0.5, float("nan"), float("inf"), [1, 2], [1.5], b"abc", "", " a", "a\n", "a\x1b[2J",
     "a\u202eb", "x" * 101],
)  # fmt: skip
def test_what_is_no_whole_number_and_no_short_text_is_no_name(value: Any) -> None:
    _is_no_name(*told(value))


def _is_no_name(name: str | None, unfit: str | None) -> None:
    assert name is None and unfit is not None and len(unfit) < 100 and unfit.isprintable()


def test_numbers_of_more_than_64_bits_are_no_names() -> None:
    for value in (2**64, -(2**63) - 1, 10**5000):
        _is_no_name(*told(value))


def test_a_text_is_a_name_also_with_letters_of_any_script() -> None:
    assert told("Klinikum Süd 3") == ("device-Klinikum Süd 3", None)


def test_nobody_is_called_like_a_node() -> None:
    message = Message(RecordDict({"r": ConfigRecord({"node": 5})}), 7, "evaluate")
    found = identity_told(message, "node")
    assert found is not None and found.name is None


def test_serial_numbers_are_told_apart_to_the_last_digit() -> None:
    assert names_of([20240001, 20240002, 20240003]) == [
        "device-20240001", "device-20240002", "device-20240003",
    ]  # fmt: skip


def test_who_reports_no_name_is_known_by_its_node_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("WARNING", logger="flwr"):
        names = names_of([7, 0.5, "north", [3, 4], None])
    assert names == ["device-7", "node-1002", "node-1004", "node-1005", "device-north"]
    said = [e.getMessage() for e in caplog.records if "identity that is none" in e.getMessage()]
    assert len(said) == 1
    assert "node-1002 reports 0.5; node-1004 reports [3, 4]" in said[0]
    assert "2 nodes" in said[0]


def test_two_nodes_that_claim_one_name_are_both_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("WARNING", logger="flwr"):
        names = names_of([7, 8, 7])
    assert names == ["device-7", "node-1003", "device-8"]
    assert "Node 1003 reports the name device-7, which node 1001 has already" in caplog.text


class Joins(RelayObserver):
    """Connects a node after the first round."""

    def __init__(self, grid: InMemoryGrid, node: int, partition: int) -> None:
        self.change = lambda: grid.join(node, partition_id=partition)

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        if row.round == 1:
            self.change()


def test_a_newcomer_with_the_name_of_who_is_here_gets_none_of_its_coins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    grid = grid_of([7, 8, 9], [1001, 1002])
    strategy = RelayStrategy(
        identity_key="device", examiners=2, observers=[Joins(grid, 1009, 1)]
    )  # fmt: skip
    with caplog.at_level("WARNING", logger="flwr"):
        strategy.start(grid, first_model(), num_rounds=3)
    assert [row.name for row in strategy.record.participants][-1] == "node-1009"
    assert strategy.running.node_of == {0: 1001, 1: 1002, 2: 1009}
    assert "Node 1009 reports the name device-8, which node 1002 has already" in caplog.text


def test_after_a_restart_every_serial_number_finds_its_own_coins() -> None:
    chain, store = MemoryChain(), MemoryStore()
    serials = [20240001, 20240002, 20240003]

    def names_after(rounds: int, node_ids: Sequence[int]) -> dict[str, int]:
        strategy = RelayStrategy(
            identity_key="device", examiners=2, observers=(), resume=True,
            chain=lambda: chain, store=lambda: store,
        )  # fmt: skip
        strategy.start(grid_of(serials, node_ids), first_model(), num_rounds=rounds)
        names = strategy.running.state.who.names
        return {names[index]: node for index, node in strategy.running.node_of.items()}

    assert names_after(1, [1001, 1002, 1003]) == dict(
        zip([f"device-{s}" for s in serials], [1001, 1002, 1003], strict=True)
    )
    assert names_after(2, [2003, 2002, 2001]) == dict(
        zip([f"device-{s}" for s in serials], [2003, 2002, 2001], strict=True)
    )
