"""Votes, medians and verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.audits import mean_step
from flower_relay.rules.candidates import flaw_of, shortened
from flower_relay.rules.gate import LegVerdict, judge_leg, said_by
from flower_relay.rules.planted import plants_with, votes_on_planted
from flower_relay.rules.standing import new_bonds
from flower_relay.rules.votes import (
    bounded_utility,
    draw_committee,
    mean_vote,
    weighted_median,
)

BASE = {"w": np.ones((2, 3), np.float32), "count": np.array(5)}


def test_a_loss_beyond_the_bound_counts_no_more_than_the_bound() -> None:
    assert bounded_utility(0.0, 4.0, rises=False) == 1.0
    assert bounded_utility(1.0, 4.0, rises=False) == 0.75
    assert bounded_utility(1e30, 4.0, rises=False) == 0.0
    assert bounded_utility(-3.0, 4.0, rises=False) == 1.0
    assert bounded_utility(0.25, 1.0, rises=True) == 0.25


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rises", [True, False])
def test_what_is_not_a_number_is_as_bad_as_counts(value: float, rises: bool) -> None:
    assert bounded_utility(value, 4.0, rises) == 0.0


def fault(candidate: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> str | None:
    flaw = flaw_of(candidate, base)
    return None if flaw is None else flaw.fault


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"w": np.full((2, 3), 2, np.float32)}, None),
        ({"count": np.array(6)}, None),
        ({}, "unchanged"),
        ({"w": np.nextafter(BASE["w"], np.float32(2))}, "unchanged"),
        ({"w": BASE["w"] + np.float32(1e-5)}, None),
        ({"w": np.array([[1, np.nan, 1]] * 2, np.float32)}, "non-finite"),
        ({"w": np.array([[1, np.inf, 1]] * 2, np.float32)}, "non-finite"),
        ({"w": np.ones((3, 2), np.float32)}, "mis-shaped"),
        ({"w": np.ones((2, 3), np.float64)}, "mis-shaped"),
        ({"extra": np.zeros(1)}, "mis-shaped"),
    ],
)
def test_unusable_candidates_never_reach_the_examiners(
    change: dict[str, np.ndarray], expected: str | None
) -> None:
    assert fault({**BASE, **change}, BASE) == expected


@given(st.integers(1, 6), st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_copy_with_a_few_low_bits_turned_is_no_candidate(turned: int, kind: type) -> None:
    # A part of 10⁻⁶ of the weights: in half precision even one bit is more.
    base = {"w": np.full(6, 3.0, kind)}
    copy = base["w"].copy()
    copy[:turned] = np.nextafter(copy[:turned], kind(4))
    assert fault({"w": copy}, base) == (None if kind is np.float16 else "unchanged")


def test_whatever_is_not_nothing_is_a_change_from_nothing() -> None:
    nothing = {"w": np.zeros(3, np.float32)}
    assert fault({"w": np.full(3, 1e-30, np.float32)}, nothing) is None
    assert fault(nothing, nothing) == "unchanged"


Whole = st.integers(-(2**20), 2**20)
Pairs = st.lists(st.tuples(Whole, Whole), min_size=1, max_size=5)


def two_models(pairs: list[tuple[int, int]]) -> tuple[dict[str, np.ndarray], ...]:
    models = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    return tuple({"w": w, "count": np.array(int(w[0]))} for w in models)


@given(Pairs)
def test_the_whole_way_to_a_candidate_is_the_candidate(pairs: list[tuple[int, int]]) -> None:
    base, candidate = two_models(pairs)
    found = shortened(base, candidate, 1.0)
    assert found.keys() == candidate.keys()
    for name, array in candidate.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype


@given(Pairs)
def test_of_half_the_way_is_left_the_middle_and_counters_are_kept(
    pairs: list[tuple[int, int]],
) -> None:
    base, candidate = two_models(pairs)
    found = shortened(base, candidate, 0.5)
    assert found["w"].tolist() == [(a + b) / 2 for a, b in pairs]
    assert (found["w"].dtype, found["count"]) == (np.float32, candidate["count"])


def test_a_part_of_the_way_between_finite_models_is_finite_whatever_their_shape() -> None:
    most = np.finfo(np.float32).max
    base, candidate = {"w": np.array(-most)}, {"w": np.array(most)}
    assert shortened(base, candidate, 0.5) == {"w": 0.0}
    assert shortened(base, candidate, 0.25) == {"w": -most / 2}
    assert isinstance(shortened(base, candidate, 0.5)["w"], np.ndarray)


def test_the_weighted_median_follows_the_weight_not_the_heads() -> None:
    votes = np.array([-1.0, -1.0, -1.0, 0.1, 0.2])
    assert weighted_median(votes, np.ones(5)) == -1.0
    assert weighted_median(votes, np.array([0.1, 0.1, 0.1, 1.0, 1.0])) == 0.1


def test_at_an_exact_half_the_neighbours_are_averaged() -> None:
    assert weighted_median(np.array([1.0, 3.0]), np.ones(2)) == 2.0
    assert weighted_median(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0])) == 2.0


def test_abstentions_do_not_count_and_an_empty_vote_is_no_vote() -> None:
    assert weighted_median(np.array([np.nan, 0.5]), np.array([9.0, 1.0])) == 0.5
    assert math.isnan(weighted_median(np.array([np.nan]), np.ones(1)))


def test_a_committee_without_weight_decides_nothing() -> None:
    assert math.isnan(weighted_median(np.array([0.0, 0.4, 0.5]), np.zeros(3)))
    assert math.isnan(mean_step(np.array([0.0, 0.4]), np.zeros(2), np.ones(2)))
    verdict = judge_leg(np.array([[0.5, 0.5], [0.1, 0.9]]), np.zeros(2), 0.1, [1.0], 0.0)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (None, 0, ())


def test_a_mean_is_weighted_and_counts_no_vote_beyond_the_most() -> None:
    votes = np.array([0.1, -9.0, np.nan])
    assert mean_vote(votes, np.ones(3), 0.3) == pytest.approx(-0.1)
    assert mean_vote(votes, np.array([3.0, 1.0, 9.0]), 0.3) == pytest.approx(0.0)
    assert math.isnan(mean_vote(votes, np.array([0.0, 0.0, 1.0]), 0.3))


def test_a_hop_that_takes_all_from_fewer_than_half_is_seen_by_the_mean() -> None:
    forgets_a_class = np.array([0.1] * 6 + [-0.8] * 5)  # of a tolerance of 0.1
    assert weighted_median(forgets_a_class, np.ones(11)) == 0.1
    assert said_by(forgets_a_class, np.ones(11), 0.1) == pytest.approx((0.6 - 5 * 0.3) / 11)


def test_harm_that_the_median_sees_cannot_be_talked_away() -> None:
    praised = np.array([-0.2] * 6 + [1.0] * 5)
    assert mean_vote(praised, np.ones(11), 0.3) > 0
    assert said_by(praised, np.ones(11), 0.1) == -0.2


def test_every_test_of_the_first_cycle_has_planted_models_unless_there_are_none() -> None:
    assert [plants_with(0.2, cycle) for cycle in (0, 1, 7)] == [1.0, 0.2, 0.2]
    assert [plants_with(0.0, cycle) for cycle in (0, 1, 7)] == [0.0, 0.0, 0.0]


def test_who_sees_no_harm_in_planted_models_loses_four_times_what_others_gain() -> None:
    mean = np.array([-0.5, -0.11, -0.2, 0.0, 0.3, np.nan])  # of a tolerance of 0.1
    told = votes_on_planted(mean, np.ones(6), 0.1)
    assert told == pytest.approx([-0.025, -0.025, -0.025, 0.1, 0.1, np.nan], nan_ok=True)
    bonds = new_bonds(np.full(6, 0.5), told, -0.1, tolerance=0.1, gain=0.2)
    assert bonds == pytest.approx([0.55, 0.55, 0.55, 0.3, 0.3, 0.5])


def test_planted_models_that_hardly_anybody_sees_harm_in_judge_nobody() -> None:
    mean = np.array([-0.5, 0.0, 0.0, 0.0])
    assert np.isnan(votes_on_planted(mean, np.ones(4), 0.1)).all()
    assert not np.isnan(votes_on_planted(mean, np.array([1.0, 1.0, 0.0, 1.0]), 0.1)).any()


@given(st.integers(0, 30), st.integers(0, 60), st.integers(1, 20), st.integers(0, 5))
def test_novices_have_a_quarter_of_the_seats_and_those_that_nobody_else_fills(
    num_others: int, num_novices: int, size: int, seed: int
) -> None:
    eligible, novice = np.arange(num_others + num_novices), np.arange(num_others + num_novices)
    drawn = draw_committee(eligible, size, np.random.default_rng(seed), novice >= num_others)
    seated = int((drawn >= num_others).sum())
    assert len(set(drawn.tolist())) == len(drawn) == min(size, num_others + num_novices)
    assert seated == min(num_novices, max(size // 4, size - num_others))


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=15),
    st.lists(st.floats(-1, 1), min_size=0, max_size=14),
)
def test_liars_below_half_of_the_weight_stay_inside_the_honest_range(
    honest: list[float], lies: list[float]
) -> None:
    lies = lies[: len(honest) - 1]
    votes = np.array(honest + lies)
    assert min(honest) <= weighted_median(votes, np.ones(len(votes))) <= max(honest)
    assert said_by(votes, np.ones(len(votes)), 0.1) <= max(honest)


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=15),
    st.floats(0.01, 1),
    st.floats(0.01, 0.3),
)
def test_liars_below_a_third_of_the_weight_reject_no_hop_that_costs_the_others_nothing(
    honest: list[float], stride: float, tolerance: float
) -> None:
    votes = np.array(honest + [-1.0] * ((len(honest) - 1) // 2))  # however short the hop is
    rows = np.array([np.zeros(len(votes)), votes])
    verdict = judge_leg(rows, np.ones(len(votes)), tolerance, [stride], 0.0)
    assert verdict.passed


def test_what_is_usual_widens_the_line_and_not_what_a_vote_counts() -> None:
    rows = np.array([[0.5] * 5, [0.5, 0.5, 0.5, 0.1, 0.1]])  # of a tolerance of 0.1: mean −0.12
    narrow, wide = (judge_leg(rows, np.ones(5), 0.1, [1.0], usual) for usual in (0.0, 1.0))
    assert narrow.votes == wide.votes == pytest.approx((-0.12,))
    assert (narrow.passed, wide.passed) == (False, True)


@given(st.integers(0, 30), st.integers(0, 20), st.integers(0, 5))
def test_a_committee_is_drawn_without_repeats_from_the_eligible(
    num_eligible: int, size: int, seed: int
) -> None:
    eligible = np.arange(100, 100 + num_eligible)
    committee = draw_committee(eligible, size, np.random.default_rng(seed)).tolist()
    assert len(set(committee)) == len(committee) == min(size, num_eligible)
    assert set(committee) <= set(eligible.tolist())


def test_a_step_that_helps_a_few_much_is_worth_more_than_one_that_costs_nobody_anything() -> None:
    unusual, usual = np.array([0.05, -0.01, -0.01, -0.01, -0.01]), np.full(5, 0.02)
    assert weighted_median(unusual, np.ones(5)) < 0
    assert mean_step(unusual, np.ones(5), usual) == pytest.approx(0.002)
    assert mean_step(np.zeros(5), np.ones(5), usual) == 0


def test_on_what_all_see_alike_the_mean_is_what_they_see() -> None:
    assert mean_step(np.full(5, 0.03), np.ones(5), np.full(5, 0.02)) == pytest.approx(0.03)


def test_who_exaggerates_always_says_no_more_than_others() -> None:
    # Three whose votes are usually of 0.01, and one whose are of 1, and who says the opposite.
    votes, usual = np.array([-0.01, -0.01, -0.01, 1.0]), np.array([0.01, 0.01, 0.01, 1.0])
    assert mean_step(votes, np.ones(4), usual) == pytest.approx((-3 + 1) / 4 * 0.01)
    assert mean_step(votes, np.array([1.0, 1.0, 1.0, 0.0]), usual) == pytest.approx(-0.01)


def test_who_exaggerates_once_says_no_more_than_three_of_its_usual_votes() -> None:
    votes, usual = np.array([-0.01, -0.01, -0.01, 1.0]), np.array([0.01, 0.01, 0.01, 0.1])
    assert mean_step(votes, np.ones(4), usual) == pytest.approx((-3 + 3) / 4 * 0.01)


def test_the_mean_knows_abstentions_weightless_committees_and_who_saw_no_difference_yet() -> None:
    usual = np.array([0.1, 0.1])
    assert mean_step(np.array([np.nan, 0.1]), np.array([9.0, 1.0]), usual) == pytest.approx(0.1)
    assert math.isnan(mean_step(np.array([np.nan]), np.ones(1), usual[:1]))
    assert math.isnan(mean_step(np.array([0.1, 0.3]), np.zeros(2), usual))
    assert mean_step(np.array([0.1, 0.0]), np.ones(2), np.array([0.1, 0.0])) == pytest.approx(0.05)
    assert mean_step(np.zeros(2), np.ones(2), np.zeros(2)) == 0.0


def rows(*medians: float) -> np.ndarray:
    """Three examiners who agree up to a little."""
    return np.array([[m - 0.01, m, m + 0.01] for m in medians])


def judged(utilities: np.ndarray, tolerance: float, *strides: float) -> LegVerdict:
    """By three examiners of equal weight; all hops have their whole stride if none is named."""
    return judge_leg(
        utilities, np.ones(3), tolerance, strides or (1.0,) * (len(utilities) - 1), 0.0
    )


def test_a_leg_of_which_no_hop_falls_below_the_tolerance_passes_whole() -> None:
    verdict = judged(rows(0.5, 0.52, 0.45), 0.08)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (True, 2, ())
    assert verdict.votes == pytest.approx((0.02, -0.07))
    assert verdict.rises == pytest.approx((0.02, -0.05))


def test_harm_inside_a_leg_that_rises_as_a_whole_is_found() -> None:
    verdict = judged(rows(0.5, 0.4, 0.6), 0.09)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (False, 0, (0,))
    assert verdict.rises == pytest.approx((-0.1, 0.1))


def test_hops_that_pass_must_not_add_up_to_more_than_two_tolerances() -> None:
    # Of a tolerance of 0.1: down by 0.06, 0.07 and 0.06, and by 0.06, 0.07 and 0.08.
    assert judged(rows(0.5, 0.44, 0.37, 0.31), 0.1).passed is True
    verdict = judged(rows(0.5, 0.44, 0.37, 0.29), 0.1)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (False, 2, (2,))


def test_a_failed_leg_is_cut_before_its_worst_hop() -> None:
    # Up by 0.05, down by 0.07 and by 0.38, up by 0.1.
    utilities = rows(0.5, 0.55, 0.48, 0.10, 0.20)
    verdict = judged(utilities, 0.09)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (False, 2, (2,))
    stricter = judged(utilities, 0.065)
    assert (stricter.passed, stricter.kept, stricter.culprits) == (False, 1, (2, 1))


def test_two_attackers_in_one_leg_are_both_found() -> None:
    verdict = judged(rows(0.5, 0.3, 0.35, 0.0), 0.09)
    assert (verdict.kept, verdict.culprits) == (0, (2, 0))


def test_who_has_a_part_of_its_stride_has_the_square_of_it_of_the_tolerance() -> None:
    utilities = rows(0.5, 0.46, 0.5)
    assert judged(utilities, 0.1).passed is True
    assert judged(utilities, 0.1, 0.75, 1.0).passed is True  # down by 0.04, the line is 0.05625
    assert judged(utilities, 0.1, 0.5, 1.0).culprits == (0,)  # the line is 0.025


def test_the_culprit_is_the_worst_by_its_own_tolerance() -> None:
    # Down by 0.04 where 0.025 may be, and by 0.12 where 0.1 may be: 1.6 and 1.2 times that.
    verdict = judged(rows(0.5, 0.46, 0.34), 0.1, 0.5, 1.0)
    assert (verdict.kept, verdict.culprits) == (0, (0,))
    # And by 0.2, twice as much as may be.
    verdict = judged(rows(0.5, 0.46, 0.26), 0.1, 0.5, 1.0)
    assert (verdict.kept, verdict.culprits) == (0, (1, 0))


def test_without_votes_there_is_no_verdict() -> None:
    verdict = judged(np.full((2, 3), np.nan), 0.09)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (None, 0, ())


def test_a_hop_that_nobody_judged_takes_the_even_share() -> None:
    assert judged(rows(0.5, np.nan, 0.56), 0.09).votes == pytest.approx((0.03, 0.03))


Hop = st.tuples(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.sampled_from([1, 0.5, 0.25]))


@given(st.lists(Hop, min_size=2, max_size=6), st.floats(0.001, 0.5))
def test_what_is_kept_passed_hop_by_hop_and_as_a_whole(
    hops: list[tuple[list[float], float]], tolerance: float
) -> None:
    utilities, strides = np.array([row for row, _ in hops]), [part for _, part in hops[1:]]
    verdict = judged(utilities, tolerance, *strides)
    kept = list(zip(verdict.votes, strides, strict=True))[: verdict.kept]
    assert all(vote >= -tolerance * stride for vote, stride in kept)
    assert not kept or verdict.rises[len(kept) - 1] >= -2 * tolerance
    assert verdict.passed == (verdict.kept == len(strides)) == (not verdict.culprits)
    assert verdict.passed or verdict.kept == min(verdict.culprits)
