"""A round of several lanes waits as long again: once two thirds are back, the rest are late."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.comparison.devices import Device
from flower_relay.comparison.fleet import FleetGrid
from flower_relay.federation.votes import are_heard
from flower_relay.mechanism import blocks as written
from flower_relay.mechanism.blocks import Block, Commitment, Deposit, Settlement
from flower_relay.rules.lanes import leaves_late, most_late
from flower_relay.rules.outcomes import JUDGED
from flower_relay.rules.settlement import is_forgiven
from flower_relay.transport.courier import Arrival, Courier
from flower_relay.transport.pace import Patience
from tests.clocks import Clock
from tests.interrupted import Disk
from tests.signers import found_in, same_run, verify
from tests.test_golden import HOSTILE, unlike_app
from tests.test_patience import Slow
from tests.test_waves import kinds

NODES = 12
PLAIN = Device(speed=1e12, down=1e18, up=1e18, latency=10.0)
"""A device that takes ten seconds to be reached, ten to answer, and no time to work."""

SLOW = replace(PLAIN, latency=100.0)
GONE_AT = 400.0
GONE = replace(PLAIN, period=1e9, on=GONE_AT)
"""There for 400 seconds, then away for good."""


# The rule.


def patience(*, back: Sequence[float], of: int) -> float:
    """When the rest of a batch are late, of which so many are back at these seconds."""
    came: list[float] = []
    found = Patience(lambda: 3 * len(came) >= 2 * of)
    found.begin(0.0)
    for moment in back:
        came.append(moment)
        found.look(moment)
    return found.until


def test_when_two_thirds_are_back_the_rest_have_as_long_again() -> None:
    assert patience(back=[10.0, 20.0, 25.0, 30.0], of=6) == 60.0
    assert patience(back=[10.0, 20.0, 25.0, 30.0, 50.0], of=6) == 60.0


def test_before_two_thirds_are_back_nobody_is_late() -> None:
    assert patience(back=[10.0, 20.0, 25.0], of=6) == float("inf")
    assert patience(back=[10.0], of=2) == float("inf")


def test_everybody_has_ten_seconds_however_quick_the_others_are() -> None:
    assert patience(back=[1.0, 1.0, 4.0, 4.9], of=6) == 10.0
    assert patience(back=[1.0, 1.0, 4.0, 5.5], of=6) == 11.0


def test_a_round_of_two_is_waited_for_by_what_the_latest_larger_one_took() -> None:
    found = Patience(lambda: True, usual=30.0)
    found.begin(100.0)
    assert found.until == 160.0
    assert found.look(110.0) is None and found.until == 160.0


# Messages.


def answering(message: Message, context: Context) -> Message:
    return Message(RecordDict({}), reply_to=message)


def fleet(devices: Sequence[Device], app: Any = answering) -> FleetGrid:
    inner = InMemoryGrid(app, len(devices), node_ids=range(101, 101 + len(devices)))
    return FleetGrid(inner, {"homogeneous": devices})


def asked(courier: Courier, nodes: Iterable[int], enough: int) -> dict[int, str | None]:
    """What becomes of a message to each of these nodes."""
    those = list(nodes)
    messages = [Message(RecordDict({}), node, "train", ttl=3600.0) for node in those]

    def are_enough(arrivals: list[Arrival]) -> bool:
        return len(arrivals) >= enough

    found = courier.exchange(messages, those, 3600, "hop", hurries=False, enough=are_enough)
    return {int(str(arrival.tag)): arrival.fault for arrival in found}


def test_who_is_late_owes_an_answer_until_it_is_back() -> None:
    grid = fleet([PLAIN, PLAIN, SLOW])
    courier = Courier(grid)
    assert asked(courier, (101, 102, 103), 2) == {101: None, 102: None, 103: "late"}
    assert grid.seconds == {"homogeneous": 40.0}
    assert courier.owing == {103}
    for _ in range(8):  # until 200 s, when the slow one is back
        assert asked(courier, (101, 102), 2) == {101: None, 102: None}
        courier.collect()
    assert grid.seconds == {"homogeneous": 200.0}
    assert courier.owing == set()


def test_to_look_whether_somebody_is_back_takes_no_time() -> None:
    grid = fleet([PLAIN, PLAIN, SLOW])
    courier = Courier(grid)
    asked(courier, (101, 102, 103), 2)
    courier.collect()
    assert courier.owing == {103} and grid.seconds == {"homogeneous": 40.0}


def test_who_is_twice_as_slow_as_the_others_is_in_time() -> None:
    courier = Courier(fleet([PLAIN, PLAIN, replace(PLAIN, latency=20.0)]))
    assert asked(courier, (101, 102, 103), 2) == {101: None, 102: None, 103: None}


def test_in_memory_nobody_is_later_than_another() -> None:
    courier = Courier(InMemoryGrid(answering, 3, node_ids=(101, 102, 103)))
    assert asked(courier, (101, 102, 103), 1) == {101: None, 102: None, 103: None}


class Polled(Slow):
    """As a SuperLink: it has no clock of its own, and one has to ask again."""

    clock = None  # type: ignore[assignment]


def test_where_a_grid_has_no_clock_the_seconds_here_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("flower_relay.transport.courier.time", clock)
    monkeypatch.setattr("flower_relay.transport.pace.time", clock)
    courier = Courier(Polled(clock, 100.0))
    assert asked(courier, (1001, 1002, 1003), 2) == {1001: None, 1002: None, 1003: "late"}
    assert 20.0 <= clock.now < 22.0  # two were back after ten
    clock.now = 99.0
    courier.collect()
    assert courier.owing == {1003}
    clock.now = 101.0
    courier.collect()
    assert courier.owing == set()


def test_who_never_answers_owes_nothing_once_the_timeout_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("flower_relay.transport.courier.time", clock)
    monkeypatch.setattr("flower_relay.transport.pace.time", clock)
    courier = Courier(Polled(clock, 1e9))
    asked(courier, (1001, 1002, 1003), 2)
    clock.now = 3600.0
    assert courier.owing == {1003}
    clock.now = 3601.0
    assert courier.owing == set()


# Rounds.


def played(
    devices: Sequence[Device] | None,
    *,
    rounds: int = 8,
    hostile: Collection[int] = HOSTILE,
    **options: Any,
) -> tuple[RelayStrategy, list[float]]:
    """A run on such a fleet, or in memory; and what each round took."""
    app = unlike_app(hostile)
    grid: Any = InMemoryGrid(app, NODES, node_ids=range(101, 101 + NODES))
    if devices is not None:
        grid = fleet(devices, app)
    moments = list[float]()

    def note(round: int, champion: ArrayRecord) -> None:
        moments.append(grid.seconds["homogeneous"] if devices is not None else 0.0)

    six = {"lanes": 6, "lanes_meet": "adam"}
    if "lanes" in options:
        six = {"lanes": options["lanes"]}
    fixed: dict[str, Any] = {"seed": 3, "observers": (), "tolerance": 0.9, **six}
    strategy = RelayStrategy(**fixed | same_run() | options)
    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(grid, first, num_rounds=rounds, timeout=3600, evaluate_fn=note)
    return strategy, np.diff(moments).round(6).tolist()


def late_in(blocks: Iterable[Block]) -> list[tuple[int, int]]:
    """Round and trainer of the hops that were late."""
    return [
        (block.round, claim.trainer)
        for block in blocks
        if isinstance(block, Commitment)
        for lane in block.lanes
        for claim in lane
        if claim.fault == "late"
    ]


FIRST = 5
"""Who trains in the first round, with this seed."""


def all_but_one(device: Device, number: int = FIRST) -> list[Device]:
    return [device if each == number else PLAIN for each in range(NODES)]


@cache
def with_a_slow_one() -> tuple[RelayStrategy, list[float]]:
    return played(all_but_one(SLOW))


@cache
def with_one_that_leaves() -> tuple[RelayStrategy, list[float]]:
    return played(all_but_one(GONE), rounds=16)


@pytest.mark.parametrize("lanes", ["auto", "wave"])
def test_devices_that_are_all_alike_lose_nothing(lanes: str) -> None:
    strategy, took = played([PLAIN] * NODES, lanes=lanes, hostile=())
    assert list(strategy.chain) == list(played(None, lanes=lanes, hostile=())[0].chain)
    assert max(took) == 40.0
    assert min(took) == (20.0 if lanes == "wave" else 40.0)  # a round that went ahead


def test_a_round_goes_on_without_who_takes_ten_times_as_long() -> None:
    strategy, took = with_a_slow_one()
    assert late_in(strategy.chain)
    # Twenty seconds to train and twenty to examine; one of them is twice as long where it waits.
    assert set(took) == {40.0, 60.0}


def test_who_is_late_loses_nothing() -> None:
    strategy, _ = with_a_slow_one()
    late = late_in(strategy.chain)
    for block in strategy.chain:
        if not isinstance(block, Settlement):
            continue
        found = {who for number, who in late if number == block.round}
        kinds = {each.rule for each in block.payments if each.participant in found}
        assert "forfeit" not in kinds
        assert not found & {each.participant for each in block.standings}
    assert is_forgiven("late", 0) and is_forgiven("late", 7)  # type: ignore[arg-type]


def test_who_is_late_is_free_again_once_it_is_back() -> None:
    strategy, took = with_a_slow_one()
    [(number, slow), *_] = late_in(strategy.chain)
    present = {b.round: slow in b.present for b in strategy.chain if isinstance(b, Deposit)}
    ends = np.cumsum([took[0], *took[1:]])
    sent = ends[number - 2] if number > 1 else 0.0
    for later in range(number + 1, len(took) + 1):
        assert present[later] == (ends[later - 2] >= sent + 200.0)
        if present[later]:
            break
    assert any(present[later] for later in range(number + 1, len(took) + 1))


def test_a_phone_that_has_left_holds_up_one_round_by_as_long_again() -> None:
    strategy, took = with_one_that_leaves()
    assert took.count(60.0) == 1 and set(took) == {40.0, 60.0}
    assert [FIRST in b.present for b in strategy.chain if isinstance(b, Deposit)][-1] is False


def test_a_wave_goes_on_without_who_is_late_as_well() -> None:
    strategy, took = played(all_but_one(SLOW), lanes="wave", rounds=16)
    order = kinds(list(strategy.chain))
    assert any(f"D{late} T{late - 1} " in order for late, _ in late_in(strategy.chain))
    assert max(took) <= 60.0
    assert verify(strategy.chain).ok


def test_the_late_are_left_out_while_a_tenth_of_the_latest_hops_or_less_is_rejected() -> None:
    assert leaves_late(3, ())
    assert leaves_late(3, [False] * 2)  # of the first twenty two may be
    assert not leaves_late(3, [False] * 3)
    assert leaves_late(3, [False] * 4 + [True] * 36)
    assert not leaves_late(3, [False] * 5 + [True] * 35)
    assert leaves_late(3, [False] * 40 + [True] * 40)
    assert not leaves_late(1, ())  # one lane waits for its hop


def test_where_hops_are_rejected_everybody_is_waited_for() -> None:
    strategy, took = played(all_but_one(SLOW), hostile=(0, 2, 4, 6), tolerance=0.001)
    verdicts, waited = list[bool](), 0
    for block in strategy.chain:
        if isinstance(block, Commitment) and not leaves_late(3, verdicts):
            claims = [claim for lane in block.lanes for claim in lane]
            assert not [claim for claim in claims if claim.fault == "late"]
            waited += FIRST in [claim.trainer for claim in claims]
        elif isinstance(block, Settlement):
            hops = [hop for lane in block.lanes for hop in lane.hops]
            verdicts += [h.outcome == "accepted" for h in hops if h.outcome in JUDGED]
    assert waited
    assert max(took) >= 200.0


def test_a_single_lane_waits_for_its_one_hop() -> None:
    strategy, took = played(all_but_one(SLOW), lanes=1, max_leg=1, rounds=14)
    assert not late_in(strategy.chain)
    assert max(took) >= 220.0


def test_examiners_are_enough_where_two_thirds_of_the_weight_on_each_hop_were_heard() -> None:
    strategy, _ = with_a_slow_one()
    state = strategy.running.state
    deposit = next(block for block in strategy.chain if isinstance(block, Deposit))
    strangers = [n for n in range(NODES) if all(n not in t.trainers for t in deposit.lanes)]
    committee = tuple(strangers[:3])
    state.who.bond[:] = 1.0
    state.deposit = deposit
    try:
        assert are_heard(state, committee, np.array([True, True, False]))
        assert not are_heard(state, committee, np.array([True, False, False]))
        # Of three, one trained in a lane: of the two that count there, one is not enough.
        own = (deposit.lanes[0].trainers[0], *committee[:2])
        assert not are_heard(state, own, np.array([True, True, False]))
        state.who.bond[committee[2]] = 5.0  # as where others lost theirs
        assert not are_heard(state, committee, np.array([True, True, False]))
    finally:
        state.deposit = None
        with_a_slow_one.cache_clear()


# What is on the record.


def test_a_ledger_with_late_hops_verifies() -> None:
    for strategy in (with_a_slow_one()[0], with_one_that_leaves()[0]):
        verdict = verify(strategy.chain)
        assert verdict.ok, verdict.first_problem


def test_a_run_with_late_hops_is_resumed() -> None:
    disk = Disk()
    lasting = {"chain": lambda: disk.chain, "store": lambda: disk.store, "resume": True}
    played(all_but_one(SLOW), rounds=2, **lasting)
    late = late_in(disk.chain)
    strategy, _ = played(all_but_one(SLOW), rounds=4, **lasting)
    assert late == [(1, FIRST)] == late_in(strategy.chain)[:1]
    assert strategy.running.state.round == 4
    assert verify(strategy.chain).ok


def called_late(blocks: Sequence[Block], hops: int) -> list[Block]:
    """The blocks of a run up to the first commitment, with so many hops called late."""
    place = next(n for n, block in enumerate(blocks) if isinstance(block, Commitment))
    block = blocks[place]
    assert isinstance(block, Commitment)
    lanes = tuple(
        (replace(claim, model=None, fault="late", sent=None, way=None, signature=None),)
        if lane < hops
        else (claim,)
        for lane, (claim,) in enumerate(block.lanes)
    )
    return [*blocks[:place], replace(block, lanes=lanes)]


def test_no_more_than_a_third_of_a_round_can_be_called_late() -> None:
    blocks = list(played(None, rounds=1)[0].chain)
    assert len(next(b for b in blocks if isinstance(b, Commitment)).lanes) == 6
    assert verify(called_late(blocks, 2)).ok
    assert found_in(called_late(blocks, 3))[1] == "commitment.lanes[2][0].fault"


def test_of_two_hops_both_may_be_late_as_other_rounds_tell() -> None:
    assert [most_late(hops) for hops in range(8)] == [0, 1, 2, 1, 1, 1, 2, 2]


def test_the_one_hop_of_a_single_lane_cannot_be_called_late() -> None:
    blocks = list(played(None, rounds=1, lanes=1, max_leg=1)[0].chain)
    assert found_in(called_late(blocks, 1))[1] == "commitment.lanes[0][0].fault"


def test_who_examined_too_late_has_no_vote_on_the_record() -> None:
    examiner = 7
    strategy, took = played(all_but_one(SLOW, examiner), rounds=1)
    silent = [
        block.committee[column]
        for block in strategy.chain
        if isinstance(block, written.Testing)
        for column in range(len(block.committee))
        if any(row[column] is None for row in block.utilities)
    ]
    assert (silent, took) == ([examiner], [60.0])
