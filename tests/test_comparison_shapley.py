"""Exact Shapley values, leave-one-out and rank correlation, by hand and as they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.comparison.shapley import leave_one_out, members, rank_correlation, shapley_values

tables = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.floats(-5, 5), min_size=2**n, max_size=2**n).map(np.array)
)


def test_a_coalition_is_a_number_whose_bits_are_its_members() -> None:
    assert [members(coalition) for coalition in range(4)] == [[], [0], [1], [0, 1]]


def test_gloves() -> None:
    """A pair is worth 1; participant 0 has a left glove, 1 and 2 a right one each."""
    values = np.array([float(c & 1 and c & 6 != 0) for c in range(8)])
    # Of the six orders 0 completes the pair in four, 1 and 2 in one each.
    assert shapley_values(values) == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert leave_one_out(values) == pytest.approx([1, 0, 0])


@given(tables)
def test_shapley_values_sum_to_what_all_are_worth(values: np.ndarray) -> None:
    assert shapley_values(values).sum() == pytest.approx(values[-1] - values[0])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=5))
def test_who_adds_the_same_to_everybody_is_worth_that(adds: list[float]) -> None:
    values = np.array([sum(adds[i] for i in members(c)) for c in range(2 ** len(adds))])
    assert shapley_values(values) == pytest.approx(adds)
    assert leave_one_out(values) == pytest.approx(adds)


def test_a_table_that_is_no_table_of_coalitions_is_refused() -> None:
    with pytest.raises(ValueError, match="6 coalition values"):
        shapley_values(np.zeros(6))


def test_rank_correlation_by_hand() -> None:
    ranks = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(ranks, ranks**3) == pytest.approx(1)
    assert rank_correlation(ranks, -ranks) == pytest.approx(-1)
    # Ranks 1, 2, 4, 3: one minus six times 2, over 4 · 15.
    assert rank_correlation(ranks, np.array([0.0, 1.0, 9.0, 5.0])) == pytest.approx(0.8)
    # A tie shares ranks 2 and 3: (1, 2.5, 2.5, 4) with (1, 2, 3, 4) is 4.5 over √(5 · 4.5).
    assert rank_correlation(ranks, np.array([0.0, 1.0, 1.0, 2.0])) == pytest.approx(0.9**0.5)
    assert rank_correlation(ranks, np.ones(4)) == 0
