"""Votes, medians and verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.testing import (
    bounded_utility,
    draw_committee,
    fault_of,
    judge_leg,
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


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"w": np.full((2, 3), 2, np.float32)}, None),
        ({"count": np.array(6)}, None),
        ({}, "unchanged"),
        ({"w": np.array([[1, np.nan, 1]] * 2, np.float32)}, "non-finite"),
        ({"w": np.array([[1, np.inf, 1]] * 2, np.float32)}, "non-finite"),
        ({"w": np.ones((3, 2), np.float32)}, "mis-shaped"),
        ({"w": np.ones((2, 3), np.float64)}, "mis-shaped"),
        ({"extra": np.zeros(1)}, "mis-shaped"),
    ],
)
def test_unusable_candidates_never_reach_the_examiners(
    change: dict[str, np.ndarray], fault: str | None
) -> None:
    assert fault_of({**BASE, **change}, BASE) == fault


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


def test_a_committee_without_any_bond_votes_by_heads() -> None:
    assert weighted_median(np.array([0.0, 0.4, 0.5]), np.zeros(3)) == 0.4


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=15),
    st.lists(st.floats(-1, 1), min_size=0, max_size=14),
)
def test_liars_below_half_of_the_weight_stay_inside_the_honest_range(
    honest: list[float], lies: list[float]
) -> None:
    lies = lies[: len(honest) - 1]
    verdict = weighted_median(np.array(honest + lies), np.ones(len(honest) + len(lies)))
    assert min(honest) <= verdict <= max(honest)


@given(st.integers(0, 30), st.integers(0, 20), st.integers(0, 5))
def test_a_committee_is_drawn_without_repeats_from_the_eligible(
    num_eligible: int, size: int, seed: int
) -> None:
    eligible = np.arange(100, 100 + num_eligible)
    committee = draw_committee(eligible, size, np.random.default_rng(seed)).tolist()
    assert len(set(committee)) == len(committee) == min(size, num_eligible)
    assert set(committee) <= set(eligible.tolist())


def rows(*medians: float) -> np.ndarray:
    """Three examiners who agree up to a little."""
    return np.array([[m - 0.01, m, m + 0.01] for m in medians])


def test_a_leg_that_does_not_fall_below_the_tolerance_passes_whole() -> None:
    verdict = judge_leg(rows(0.5, 0.52, 0.45), np.ones(3), 0.065)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (True, 2, ())
    assert verdict.votes == pytest.approx((0.02, -0.07))


def test_a_failed_leg_is_cut_before_its_worst_hop() -> None:
    # The second hop dips below the line, but the third did the harm.
    verdict = judge_leg(rows(0.5, 0.55, 0.48, 0.10, 0.20), np.ones(3), 0.065)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (False, 2, (2,))


def test_two_attackers_in_one_leg_are_both_found() -> None:
    verdict = judge_leg(rows(0.5, 0.3, 0.35, 0.0), np.ones(3), 0.065)
    assert (verdict.kept, verdict.culprits) == (0, (2, 0))


def test_without_votes_there_is_no_verdict() -> None:
    verdict = judge_leg(np.full((2, 3), np.nan), np.ones(3), 0.065)
    assert (verdict.passed, verdict.kept, verdict.culprits) == (None, 0, ())


def test_an_untested_hop_inside_a_leg_takes_the_even_share() -> None:
    utilities = rows(0.5, np.nan, 0.56)
    assert judge_leg(utilities, np.ones(3), 0.065).votes == pytest.approx((0.03, 0.03))


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=6),
    st.floats(0, 0.5),
)
def test_what_is_kept_never_falls_below_the_tolerance(
    utilities: list[list[float]], tolerance: float
) -> None:
    verdict = judge_leg(np.array(utilities), np.ones(3), tolerance)
    assert verdict.kept == 0 or verdict.rises[verdict.kept - 1] >= -tolerance
    assert verdict.passed == (verdict.kept == len(utilities) - 1)
