"""Lanes that run at once: what a round of many takes, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.comparison.devices import Device
from flower_relay.comparison.fleet import FleetGrid
from flower_relay.errors import ConfigurationError, LedgerError
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Deposit, Publication, Settlement
from flower_relay.mechanism.state import begin
from flower_relay.rules.averaging import evened
from flower_relay.rules.lanes import lanes_now
from flower_relay.rules.outcomes import JUDGED, Outcome
from tests.signers import descending, same_run, verify
from tests.test_golden import NODES, unlike_app

AT_ONCE = Device(speed=1e12, down=1e18, up=1e18, latency=1.0)
"""A device that takes a second to be reached, a second to answer, and no time to work."""


def seconds_a_round(**options: Any) -> list[float]:
    """What each round takes where only the ways take time."""
    inner = InMemoryGrid(unlike_app(), NODES, node_ids=range(101, 101 + NODES))
    grid, moments = FleetGrid(inner, {"homogeneous": [AT_ONCE] * NODES}), []
    strategy = RelayStrategy(seed=11, examiners=3, observers=(), max_leg=1, **options)

    def note(round: int, champion: ArrayRecord) -> None:
        moments.append(grid.seconds["homogeneous"])

    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(grid, first, num_rounds=4, timeout=20, evaluate_fn=note)
    return np.diff(moments).round(6).tolist()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_a_round_takes_two_ways_there_and_back_however_many_lanes_there_are(lanes: int) -> None:
    assert seconds_a_round(lanes=lanes, lanes_meet="adam") == [4.0] * 4


def test_lanes_that_meet_by_an_optimiser_have_legs_of_one_hop_and_go_on_from_one_model() -> None:
    strategy = RelayStrategy(seed=3, examiners=3, observers=(), lanes=3, lanes_meet="adam")
    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(InMemoryGrid(descending(()), NODES), first, num_rounds=6, timeout=20)
    assert {hop.position for hop in strategy.record.hops} == {0}
    assert {row.legs for row in strategy.record.rounds} == {(1, 1, 1)}
    lanes = strategy.running.state.lanes
    assert len({(lane.baton, lane.trail, lane.accepted) for lane in lanes}) == 1
    merged = strategy.running.state.lineage[lanes[0].baton]
    assert merged.trainer is None and 1 <= len(merged.parents) <= 3


def test_no_lane_steps_further_than_the_median_one() -> None:
    base = {"w": np.ones(2)}
    ends = [np.array([2.0, 1.0]), np.array([1.0, 3.0]), np.array([-9.0, 1.0])]
    even = evened(base, [{"w": end} for end in ends])
    assert [arrays["w"].tolist() for arrays in even] == [[2.0, 1.0], [1.0, 3.0], [-1.0, 1.0]]


def test_one_lane_steps_as_far_as_it_did() -> None:
    alone = {"w": np.array([7.0])}
    assert evened({"w": np.zeros(1)}, [alone]) == [alone]


def test_lanes_of_which_most_stood_still_stand_still() -> None:
    base = {"w": np.zeros(1), "n": np.array(1)}
    still, gone = {"w": np.zeros(1), "n": np.array(1)}, {"w": np.ones(1), "n": np.array(2)}
    even = evened(base, [still, still, gone])
    assert [arrays["w"].item() for arrays in even] == [0.0, 0.0, 0.0]
    assert even[-1]["n"] == 2


def test_as_many_lanes_as_half_of_those_who_decide_and_at_most_five() -> None:
    assert [lanes_now(deciding, ()) for deciding in (0, 1, 3, 8, 20, 50)] == [1, 1, 1, 4, 5, 5]


def test_rejections_take_lanes_away_and_give_them_back() -> None:
    assert lanes_now(20, [True] * 40) == 5
    assert lanes_now(20, [True] * 36 + [False] * 4) == 4  # a tenth rejected: a fifth fewer
    assert lanes_now(20, [True, False] * 20) == 1
    assert lanes_now(20, [False] * 40) == 1
    assert lanes_now(20, [False] * 40 + [True] * 40) == 5


def auto(rounds: int = 16, **options: Any) -> RelayStrategy:
    grid = InMemoryGrid(unlike_app(), NODES, node_ids=range(101, 101 + NODES))
    fixed = {"seed": 11, "examiners": 4, "observers": (), "lanes": "auto"}
    strategy = RelayStrategy(**fixed | same_run() | options)
    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(grid, first, num_rounds=rounds, timeout=20)
    return strategy


def test_lanes_come_and_go_with_what_is_rejected_and_the_ledger_verifies() -> None:
    strategy = auto()
    assert verify(strategy.chain).ok
    blocks = list(strategy.chain)
    lanes = [len(block.lanes) for block in blocks if isinstance(block, Deposit)]
    assert lanes[0] == 4 and min(lanes) < 4
    outcomes: list[bool] = []
    for block in blocks:
        if isinstance(block, Settlement):
            hops = [hop.outcome for result in block.lanes for hop in result.hops]
            outcomes += [each == Outcome.ACCEPTED for each in hops if each in JUDGED]
        if isinstance(block, Publication):
            assert len(block.batons) == lanes_now(NODES, outcomes)


def test_a_run_with_one_lane_left_goes_on_in_legs() -> None:
    strategy = auto(rounds=30, tolerance=0.001)
    legs = [row.legs for row in strategy.record.rounds]
    assert any(len(each) == 1 for each in legs)
    assert verify(strategy.chain).ok


def test_an_untested_run_keeps_its_lanes() -> None:
    strategy = auto(rounds=4, examiners=0)
    blocks = [block for block in strategy.chain if isinstance(block, Deposit)]
    assert {len(block.lanes) for block in blocks} == {4}


def test_averages_of_lanes_whose_number_changes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="leave lanes_meet out"):
        RelayStrategy(lanes="auto", lanes_meet="average")


def test_a_publication_without_lanes_does_not_fold() -> None:
    chain = list(auto(rounds=1).chain)
    assert isinstance(chain[-1], Publication)
    state = begin(chain[0])
    for block in chain[1:-1]:
        apply(state, block)
    with pytest.raises(LedgerError, match="at least one lane"):
        apply(state, replace(chain[-1], batons=(), trails=()))
