"""What a comparison measures, by hand: costs, targets, intervals, who was found out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.comparison.answer import answer
from flower_relay.comparison.contests import (
    Contest,
    best_rival,
    contests,
    strongest_rival,
    target_of,
)
from flower_relay.comparison.detection import figures_of_hops, reward_share
from flower_relay.comparison.figures import accuracy_within, last_of_forty, spent_to
from flower_relay.comparison.files import Results
from flower_relay.comparison.statistics import Standing, difference, median, ratio, worst
from flower_relay.comparison.tables import tables_of
from tests.players import finished, record

RISING = [record(0, 0.1), record(10, 0.5), record(20, 0.9), record(40, 0.8)]


def test_a_target_costs_what_was_spent_when_it_was_first_reached() -> None:
    assert spent_to(RISING, "epochs", 0.9) == (20, True)
    assert spent_to(RISING, "bytes", 0.5) == (10_000, True)
    assert spent_to(RISING, "seconds phones", 0.5) == (10, True)


def test_never_costs_the_whole_run() -> None:
    assert spent_to(RISING, "epochs", 0.95) == (40, False)
    assert spent_to(RISING, "bytes", 0.95) == (40_000, False)


def test_the_last_three_of_forty_records_are_of_the_budget() -> None:
    # Steps at 38, 39 and 40 of 40: the newest records then are 0.9, 0.9 and 0.8.
    assert last_of_forty([0, 20, 40], [0.1, 0.9, 0.8]) == pytest.approx(2.6 / 3)
    # Within a budget of 20 (steps at 19, 19.5, 20): 0.5, 0.5, 0.9.
    assert accuracy_within(RISING, "epochs", 20) == pytest.approx(1.9 / 3)
    assert accuracy_within(RISING, "bytes", 20_000) == pytest.approx(1.9 / 3)


def test_what_was_not_measured_has_no_accuracy() -> None:
    unknown = [r | {"bytes_down": None} for r in RISING]
    assert math.isnan(accuracy_within(unknown, "bytes", 20_000))


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=12))
def test_an_interval_holds_the_median_and_comes_out_the_same_again(values: list[float]) -> None:
    found = median(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert median(values) == found


def test_two_seeds_have_a_median_and_no_interval() -> None:
    two = median([0.4, 0.6])
    assert (two.median, two.count, two.ranged, two.shown(".2f")) == (0.5, 2, False, "0.50")
    assert [median([0.5] * count).few for count in (0, 1, 4, 5)] == [False, True, True, False]


def test_what_an_interval_cannot_tell_from_even_is_a_tie() -> None:
    assert median([0.9, 1.0, 1.2]).beside(1.0, 0.0) is Standing.TIE
    assert median([1.1, 1.2, 1.3]).beside(1.0, 0.5) is Standing.ABOVE
    assert median([0.7, 0.8, 0.9]).beside(1.0, 0.5) is Standing.BELOW
    # Without an interval, what is close enough is one.
    assert median([0.004]).beside(0.0, 0.005) is Standing.TIE
    assert median([-0.006]).beside(0.0, 0.005) is Standing.BELOW
    assert median([math.nan]).beside(0.0, 0.005) is Standing.TIE


def test_the_worst_seed_is_one_seed() -> None:
    found = worst({0: 0.9, 1: 0.3, 2: math.nan})
    assert (found.median, found.count, found.ranged) == (0.3, 1, False)


def test_one_seed_has_no_interval_and_no_seed_no_median() -> None:
    one, none = median([0.5]), median([math.nan])
    assert (one.median, one.count, math.isnan(one.low)) == (0.5, 1, True)
    assert (none.count, none.known, none.shown(".3f")) == (0, False, "–")
    assert one.shown(".3f") == "0.500"


def test_differences_and_ratios_are_of_the_seeds_that_both_have() -> None:
    mine, theirs = {0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0, 9: 100.0}
    assert difference(mine, theirs).median == 2.0
    half = ratio(theirs, mine)
    assert (half.median, half.low, half.high, half.count) == (0.5, 0.5, 0.5, 3)


def test_precision_recall_and_what_honest_participants_lost() -> None:
    found = figures_of_hops(finished(RISING, attacked=True))
    assert found == {
        "precision": 1.0, "recall": 0.5, "hostile hops": 0.5, "honest hops rejected": 0.0,
        "honest hops voided": 0.5,
    }  # fmt: skip


def test_hostile_rewards_are_relative_to_heads() -> None:
    # One of two heads earned one of four coins: half of what its head would get.
    assert reward_share(finished(RISING, attacked=True)) == 0.5
    assert math.isnan(reward_share(finished(RISING)))


def cell(strategy: str, seed: int, best: float, at: int = 20) -> dict[str, Any]:
    where = {"data": "d", "partition": "p", "attack": "", "share": 0.0}
    records = [record(0, 0.1), record(at, best), record(40, best)]
    return {"cell": {"strategy": strategy, "seed": seed, **where}, **finished(records)}


def contest(*cells: dict[str, Any]) -> Contest:
    (only,) = contests(cells)
    return only


def test_the_target_is_97_per_cent_of_the_best_rivals_rise() -> None:
    """Without learning .1; the best rival ends at .9, so that its rise is .8."""
    found = contest(cell("relay", 0, 0.99), cell("fedavg", 0, 0.9), cell("fedavgm", 0, 0.86))
    assert target_of(found, 0.0) == pytest.approx(0.1 + 0.97 * 0.8)
    assert target_of(found, 0.95) == 0.95
    assert target_of(contest(cell("relay", 0, 0.6)), 0.0) == pytest.approx(0.1 + 0.97 * 0.5)


def test_where_nothing_was_learned_there_is_no_target_and_nobody_wins() -> None:
    """.11 is a ninetieth of what there is to learn above .1: next to nothing."""
    found = contest(cell("relay", 0, 0.1), cell("fedavg", 0, 0.11))
    assert math.isnan(target_of(found, 0.0))
    assert found.learned("fedavg")[0] == pytest.approx(0.01 / 0.9)
    results = Results(plan={"target": 0.0}, cells=[*found_cells(found)], tuning={})
    assert "nothing was learned, by the relay or by fedavg" in answer(results)[1]
    tables = {table.name: table.markdown() for table in tables_of(results)}
    assert "| nothing was learned |" in tables["cost_to_target"]
    assert "nothing was learned (0.01)" in tables["final_accuracy"]
    assert "Few seeds: some of these are of one seed only, and 5" in tables["final_accuracy"]


def test_a_tie_is_called_a_tie_and_evaluations_are_beside_client_epochs() -> None:
    found = contest(*(cell(name, seed, 0.9) for name in ("relay", "fedavg") for seed in range(5)))
    results = Results(plan={"target": 0.0}, cells=[*found_cells(found)], tuning={})
    line = answer(results)[1]
    assert "final accuracy +0.000 (+0.000 to +0.000) (a tie) against fedavg" in line
    assert "and 3.0 evaluations a client-epoch beside" in line
    (costs,) = (table for table in tables_of(results) if table.name == "cost_to_target")
    row = costs.rows[0]
    assert [row[name].median for name in ("client-epochs", "evaluations")] == [20.0, 60.0]  # type: ignore[union-attr]
    assert costs.warning == ""


def found_cells(contest: Contest) -> list[dict[str, Any]]:
    return [dict(found) for by_seed in contest.cells.values() for found in by_seed.values()]


def test_the_best_rival_averages_and_is_the_cheapest() -> None:
    found = contest(
        cell("cyclic", 0, 0.99, 5), cell("fedavg", 0, 0.91, 30), cell("fedadam", 0, 0.91, 20)
    )
    assert best_rival(found, "epochs", 0.9) == "fedadam"
    assert best_rival(contest(cell("cyclic", 0, 0.99)), "epochs", 0.9) is None


def test_the_strongest_rival_ends_highest_however_long_it_takes() -> None:
    found = contest(cell("relay", 0, 0.99), cell("fedavg", 0, 0.93, 39), cell("fedadam", 0, 0.91))
    assert strongest_rival(found) == "fedavg"
    assert strongest_rival(contest(cell("relay", 0, 0.99))) is None


def test_the_common_budget_is_that_of_who_used_least() -> None:
    thrifty = cell("fedavg", 0, 0.9)
    for each in thrifty["records"]:
        each["bytes_down"] = each["epochs"]
    found = contest(cell("relay", 0, 0.9), thrifty)
    assert found.common_budget("bytes") == 40 + 16_000
    assert found.common_budget("epochs") == 40
