"""What an examiner's word in audits counts, by hand and as it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flower_relay.rules.audits import middle_size, repeated, stakes, trust

votes = st.lists(st.floats(-1.0, 1.0), min_size=12, max_size=12)


def trusted(
    parts: NDArray[np.float64], wholes: NDArray[np.float64], times: int = 1
) -> NDArray[np.float64]:
    """What the words of those count who said `parts` of steps and `wholes` of hops.

    Both of shape (audits, examiners), said over and over.
    """
    sums = [np.zeros(parts.shape[1]) for _ in range(4)]
    for part, whole in zip(parts, wholes, strict=True):
        for total, added in zip(sums, repeated(part, whole, middle_size([whole])), strict=True):
            total += added * times
    squares, of_wholes, products, audits = sums
    return trust(squares, of_wholes, products, audits.astype(np.int64))


def test_who_says_the_same_of_a_part_as_of_the_whole_counts_wholly() -> None:
    wholes = np.array([[0.02, -0.04, 0.01], [0.03, 0.01, -0.02]])
    assert trusted(0.1 * wholes, wholes).tolist() == [1.0, 1.0, 1.0]
    # However much more of it: who knows better on another base is no liar.
    assert trusted(np.array([0.1, 0.2, 0.3]) * wholes, wholes).tolist() == [1.0, 1.0, 1.0]


def test_who_lifts_some_audits_and_presses_others_counts_next_to_nothing() -> None:
    wholes = np.tile(np.array([[0.02], [-0.02], [0.01], [-0.01]]), (1, 3))
    parts = 0.1 * wholes
    parts[:, 2] = [-0.03, -0.03, 0.03, 0.03]  # by whose hop it is
    # Squares of 4 · 9 beside 0.1 · (4 + 4 + 1 + 1), and products that cancel out.
    assert trusted(parts, wholes, times=100).tolist() == pytest.approx([1, 1, 0], abs=2e-3)


def test_two_thirds_of_the_usual_coherence_count_wholly_and_half_of_that_a_sixteenth() -> None:
    wholes = np.ones((6, 3))
    parts = wholes.copy()
    parts[:, 2] = [1.0, 1.0, 1.0, 1.0, 1.0, -1.0]  # coherence (5 − 1) / 6
    assert trusted(parts, wholes, times=10**6).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    parts[:, 2] = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0]  # coherence (4 − 2) / 6
    assert trusted(parts, wholes, times=10**6).tolist() == pytest.approx([1, 1, 1 / 16], abs=1e-5)


def test_four_audits_go_by_what_is_usual() -> None:
    wholes = np.tile(np.array([[1.0], [1.0], [1.0], [1.0]]), (1, 3))
    parts = wholes.copy()
    parts[:, 2] = [1.0, -1.0, 1.0, -1.0]  # coherence 0, shrunk halfway to 1
    assert trusted(parts, wholes).tolist() == pytest.approx([1, 1, (3 / 4) ** 4])


def test_who_was_never_asked_counts_wholly_and_silence_says_nothing() -> None:
    wholes = np.array([[1.0, 1.0, np.nan], [1.0, 1.0, 1.0]])
    parts = np.array([[0.1, 0.1, 0.1], [0.1, 0.1, np.nan]])
    assert trusted(parts, wholes).tolist() == [1.0, 1.0, 1.0]
    assert trust(*np.zeros((3, 2)), np.zeros(2, dtype=np.int64)).tolist() == [1.0, 1.0]


def test_where_nobodys_part_tells_of_the_whole_nobody_is_blamed() -> None:
    wholes = np.array([[1.0, 1.0, 1.0]])
    assert trusted(np.array([[-1.0, -1.0, 1.0]]), wholes).tolist() == [1.0, 1.0, 1.0]


def test_an_audit_counts_as_much_as_votes_on_hops_are_large() -> None:
    wholes = np.array([[0.08, 0.08, 0.08], [0.02, 0.02, 0.02]])
    parts = wholes.copy()
    parts[1, 2] = -0.02
    # Coherence (4 − 1) / 5, where squares would have (16 − 1) / 17.
    assert trusted(parts, wholes, times=10**6)[2] == pytest.approx(0.9**4, abs=1e-5)


@given(votes, votes, st.floats(1e-3, 1e3))
def test_words_have_no_unit(parts: list[float], wholes: list[float], unit: float) -> None:
    part, whole = np.reshape(parts, (4, 3)), np.reshape(wholes, (4, 3))
    part, whole = np.where(np.abs(part) < 1e-6, 0, part), np.where(np.abs(whole) < 1e-6, 0, whole)
    np.testing.assert_allclose(trusted(unit * part, unit * whole), trusted(part, whole), atol=1e-9)


@given(votes, votes)
def test_words_count_between_nothing_and_wholly(parts: list[float], wholes: list[float]) -> None:
    found = trusted(np.reshape(parts, (4, 3)), np.reshape(wholes, (4, 3)))
    assert ((found >= 0) & (found <= 1)).all()


def test_a_trainer_is_paid_for_the_part_that_its_word_counts() -> None:
    bonds, began = np.array([1.0, 0.5, 0.1, 0.7, 0.0]), np.array([1.0, 1.0, 0.1, 0.1, 0.1])
    paid = stakes(bonds, began, np.array([0.5, 1.0, 1.0, 1.0, 1.0]))
    assert paid.tolist() == [0.5, 0.5, 1.0, 1.0, 0.0]
