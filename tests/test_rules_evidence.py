"""Evidence: scores without a unit, and harm by rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.evidence import harm_of, score_of

VOTES = st.lists(st.floats(-1, 1).filter(lambda vote: vote == 0 or abs(vote) > 1e-6), min_size=1)


def test_no_vote_says_more_than_the_middle_one() -> None:
    votes = np.array([0.02, -0.01, 0.04, -9.0])  # the middle is 0.03 in size
    said = [2 / 3, -1 / 3, 1.0, -1.0]
    assert score_of(votes, np.ones(4)) == pytest.approx(np.mean(said))


def test_votes_count_by_weight_and_abstentions_do_not() -> None:
    votes, weights = np.array([1.0, -1.0, np.nan]), np.array([3.0, 1.0, 9.0])
    assert score_of(votes, weights) == 0.5
    assert math.isnan(score_of(votes, np.array([0.0, 0.0, 9.0])))


def test_votes_of_zero_say_nothing() -> None:
    assert score_of(np.zeros(3), np.ones(3)) == 0.0


@given(VOTES, st.floats(1e-3, 1e3))
def test_a_score_has_no_unit(votes: list[float], unit: float) -> None:
    found, weights = np.array(votes), np.ones(len(votes))
    assert score_of(found * unit, weights) == pytest.approx(score_of(found, weights))


@given(VOTES)
def test_reversed_votes_reverse_the_score(votes: list[float]) -> None:
    found, weights = np.array(votes), np.ones(len(votes))
    assert score_of(-found, weights) == pytest.approx(-score_of(found, weights))


def test_the_lowest_of_recent_scores_is_whole_harm_and_the_highest_none() -> None:
    recent = [place / 10 for place in range(10)]
    assert harm_of(-0.5, recent) == 1.0
    assert harm_of(2.0, recent) == -1.0
    assert harm_of(0.25, recent) == pytest.approx(0.4)  # above three of ten


def test_equal_scores_share_their_rank() -> None:
    assert harm_of(0.0, [0.0] * 10) == 0.0


def test_rounding_does_not_rank_scores_that_are_equal() -> None:
    third = 1 / 3
    assert harm_of(third, [third + 1e-16, third - 1e-15] * 5) == 0.0


def test_nothing_is_held_against_anybody_while_few_scores_are_known_or_nobody_voted() -> None:
    assert harm_of(-1.0, [0.0] * 9) == 0.0
    assert harm_of(math.nan, [0.0] * 20) == 0.0
