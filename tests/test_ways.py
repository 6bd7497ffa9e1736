"""How far hops move, and what moves much further than they usually do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.ledger.chain import MemoryChain
from flower_relay.ledger.differences import Differs
from flower_relay.ledger.replay import Replay
from flower_relay.mechanism.blocks import Block, Commitment, Genesis
from flower_relay.rules.candidates import farthest, oversized, way_moved
from flower_relay.store import MemoryStore
from tests.signers import OPERATOR, descending, found_in, verify, weights


def test_a_way_is_the_length_of_the_step_over_all_floats() -> None:
    base = {"a": np.zeros((2, 1)), "b": np.ones(1, np.float32), "count": np.array(3)}
    far = {"a": np.array([[3.0], [0.0]]), "b": np.full(1, 5, np.float32), "count": np.array(9)}
    assert way_moved(far, base) == 5.0
    assert way_moved(base, base) == 0.0


def test_constants_that_are_not_finite_are_no_way() -> None:
    base = {"mask": np.array([-np.inf, 0.0, np.nan])}
    assert way_moved({"mask": np.array([-np.inf, 2.0, np.nan])}, base) == 2.0


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=9), st.floats(-1e308, 1e308))
def test_a_way_is_a_number_however_large_the_weights(values: list[float], start: float) -> None:
    way = way_moved({"w": np.array(values)}, {"w": np.full(len(values), start)})
    assert math.isfinite(way) and way >= 0


@given(st.lists(st.floats(0.001, 1000), min_size=10, max_size=40), st.floats(0.001, 1000))
def test_the_most_has_no_unit_of_its_own(ways: list[float], unit: float) -> None:
    assert farthest([unit * way for way in ways]) == pytest.approx(unit * farthest(ways))


def test_a_hop_may_move_ten_times_the_median_once_ten_are_known() -> None:
    assert farthest([1.0, 2.0, 3.0] * 3) == math.inf
    assert farthest([1.0, 2.0, 3.0, 4.0, 5.0] * 2) == 30.0
    assert oversized(30.0, 30.0) is None
    flaw = oversized(31.0, 30.0)
    assert flaw is not None
    assert (flaw.fault, "31" in flaw.reason, "30" in flaw.reason) == ("oversized", True, True)


def blowing_up(number: int, after: int) -> ClientApp:
    """All descend; one of them hands on weights blown up a thousandfold from some turn on."""
    turns = {"had": 0}

    def blow_up(message: Message, context: Context, call_next: object) -> Message:
        reply: Message = call_next(message, context)  # type: ignore[operator]
        own = int(context.node_config["partition-id"]) == number
        if own and message.metadata.message_type == "train":
            turns["had"] += 1
            if turns["had"] > after:
                far = Array(weights(message) + 1000 * (1 + turns["had"]))
                reply = Message(RecordDict({"arrays": ArrayRecord({"w": far})}), reply_to=message)
        return reply

    return descending(mods=[blow_up])


def creeping(numbers: set[int]) -> ClientApp:
    """All descend, some of them a hundredth of the way."""

    def creep(message: Message, context: Context, call_next: object) -> Message:
        reply: Message = call_next(message, context)  # type: ignore[operator]
        few = int(context.node_config["partition-id"]) in numbers
        if few and message.metadata.message_type == "train" and reply.has_content():
            base, (made,) = weights(message), reply.content.array_records.values()
            near = Array(base + (made["w"].numpy() - base) / 100)
            reply = Message(RecordDict({"arrays": ArrayRecord({"w": near})}), reply_to=message)
        return reply

    return descending(mods=[creep])


class Archive(MemoryStore):
    """Lets go of nothing."""

    def keep_only(self, names: Iterable[str]) -> None:
        pass


def played(app: ClientApp, rounds: int) -> tuple[RelayStrategy, MemoryStore]:
    store = Archive()
    strategy = RelayStrategy(
        chain=lambda: MemoryChain(OPERATOR),
        seed=3,
        examiners=4,
        max_leg=1,
        first_debt=0.0,
        deposit_unit=0.0,
        store=lambda: store,
    )
    model = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(InMemoryGrid(app, 7), model, num_rounds=rounds, timeout=20)
    return strategy, store


def test_what_moves_a_thousand_times_as_far_never_reaches_the_examiners() -> None:
    strategy, _ = played(blowing_up(2, after=2), 24)
    ends = {hop.outcome for hop in strategy.record.hops if hop.trainer == 2}
    assert ends == {"accepted", "oversized"}
    assert {hop.outcome for hop in strategy.record.hops if hop.trainer != 2} == {"accepted"}
    assert verify(strategy.chain).ok
    assert strategy.running.state.who.debt[2] > 0


def test_tiny_hops_of_fewer_than_half_do_not_make_the_others_oversized() -> None:
    strategy, _ = played(creeping({4, 5, 6}), 40)  # whose turns come first
    assert "oversized" not in {hop.outcome for hop in strategy.record.hops}
    assert len(strategy.running.state.ways) == len(strategy.record.hops)
    assert verify(strategy.chain).ok


def test_a_way_that_is_not_what_the_models_show_is_found() -> None:
    strategy, store = played(descending(mods=[]), 6)
    ledger = list(strategy.chain)
    at = max(i for i, block in enumerate(ledger) if isinstance(block, Commitment))
    said_other = replace_way(ledger[at], 0.001)
    genesis = ledger[0]
    assert isinstance(genesis, Genesis)
    claim = said_other.lanes[0][0]
    replay = Replay(genesis, stored=store, intact=frozenset({claim.base, str(claim.model)}))
    for block in ledger[1:at]:
        replay.follow(block, "")
    assert replay.expected(ledger[at]) == ledger[at]
    with pytest.raises(Differs, match="way"):
        replay.expected(said_other)


def test_a_candidate_without_its_way_is_found() -> None:
    strategy, _ = played(descending(mods=[]), 6)
    ledger = list(strategy.chain)
    at = next(i for i, block in enumerate(ledger) if isinstance(block, Commitment))
    for way in (None, -1.0):
        forged = [*ledger[:at], replace_way(ledger[at], way)]
        assert found_in(forged) == (at, "commitment.lanes[0][0].way")


def replace_way(block: Block, way: float | None) -> Commitment:
    assert isinstance(block, Commitment)
    return replace(block, lanes=((replace(block.lanes[0][0], way=way),),))
