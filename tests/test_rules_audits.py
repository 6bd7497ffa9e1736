"""What an examiner's word in audits counts, by hand and as it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flower_relay.rules.audits import (
    compared,
    concordance,
    middle_size,
    word,
)

Floats = NDArray[np.float64]
votes = st.lists(st.floats(-1.0, 1.0), min_size=12, max_size=12)


def summed(said: Floats, against: Floats, times: int = 1) -> tuple[Floats, Floats, Floats, Floats]:
    """Sums over votes, both of shape (votes, examiners), said over and over."""
    sums = [np.zeros(said.shape[1]) for _ in range(4)]
    for one, other in zip(said, against, strict=True):
        for total, added in zip(sums, compared(one, other, middle_size([other])), strict=True):
            total += added * times
    return sums[0], sums[1], sums[2], sums[3]


def trusted(said: Floats, against: Floats, times: int = 1) -> Floats:
    """What the words of those count who said this of parts of steps, and that of the whole."""
    *sums, audits = summed(said, against, times)
    return word(concordance(*sums), audits.astype(np.int64))


def test_who_says_the_same_of_a_part_as_of_the_whole_counts_wholly() -> None:
    wholes = np.array([[0.02, -0.04, 0.01], [0.03, 0.01, -0.02]])
    assert trusted(wholes, wholes).tolist() == [1.0, 1.0, 1.0]


def test_who_lifts_some_audits_and_presses_others_counts_next_to_nothing() -> None:
    parts = np.tile(np.array([[0.002], [-0.002], [0.001], [-0.001]]), (1, 3))
    said = parts.copy()
    said[:, 2] = [-0.03, -0.03, 0.03, 0.03]  # by whose hop it is
    assert trusted(said, parts, times=100).tolist() == pytest.approx([1, 1, 0], abs=2e-3)


def test_who_is_five_times_as_loud_in_audits_is_less_coherent() -> None:
    *sums, _ = summed(np.array([[5.0], [-5.0]]), np.array([[1.0], [-1.0]]))
    assert concordance(*sums).tolist() == [10 / 26]  # 2 · 5 / (25 + 1)


def test_two_thirds_of_the_usual_coherence_count_wholly_and_half_of_that_a_sixteenth() -> None:
    parts = np.ones((6, 3))
    said = parts.copy()
    said[:1, 2] = -1.0  # (5 − 1) / 6
    assert trusted(said, parts, times=10**6).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    said[:2, 2] = -1.0  # (4 − 2) / 6
    assert trusted(said, parts, times=10**6).tolist() == pytest.approx([1, 1, 1 / 16], abs=1e-5)


def test_who_was_heard_four_times_is_judged_halfway() -> None:
    parts = np.ones((4, 3))
    said = parts.copy()
    said[:, 2] = [-1.0, -1.0, -1.0, 1.0]  # −1/2, halfway to 1 a fourth: 3/8 of two thirds
    assert trusted(said, parts).tolist() == pytest.approx([1, 1, (3 / 8) ** 4])


def test_who_was_never_asked_counts_wholly_and_silence_says_nothing() -> None:
    parts = np.array([[1.0, 1.0, np.nan], [1.0, 1.0, 1.0]])
    said = np.array([[1.0, 1.0, 0.1], [1.0, 1.0, np.nan]])
    assert trusted(said, parts).tolist() == [1.0, 1.0, 1.0]
    assert word(np.zeros(2), np.zeros(2, dtype=np.int64)).tolist() == [1.0, 1.0]


def test_where_nobodys_words_tell_anything_nobody_is_blamed() -> None:
    parts = np.array([[1.0, 1.0, 1.0]])
    assert trusted(np.array([[-1.0, -1.0, 1.0]]), parts).tolist() == [1.0, 1.0, 1.0]


def test_a_vote_counts_as_much_as_votes_on_hops_are_large() -> None:
    parts = np.array([[0.08, 0.08], [0.02, 0.02]])
    said = parts.copy()
    said[1, 1] = -0.02
    *sums, _ = summed(said, parts)
    # (4 − 1) / 5, where squares would have (16 − 1) / 17.
    assert concordance(*sums).tolist() == pytest.approx([1.0, 0.6])


@given(votes, votes, st.floats(1e-3, 1e3))
def test_words_have_no_unit(said: list[float], against: list[float], unit: float) -> None:
    one, other = np.reshape(said, (4, 3)), np.reshape(against, (4, 3))
    one, other = np.where(np.abs(one) < 1e-6, 0, one), np.where(np.abs(other) < 1e-6, 0, other)
    np.testing.assert_allclose(trusted(unit * one, unit * other), trusted(one, other), atol=1e-9)


@given(votes, votes)
def test_words_count_between_nothing_and_wholly(said: list[float], against: list[float]) -> None:
    found = trusted(np.reshape(said, (4, 3)), np.reshape(against, (4, 3)))
    assert ((found >= 0) & (found <= 1)).all()
