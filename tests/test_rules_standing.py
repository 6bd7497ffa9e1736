"""Bonds and debts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.standing import deposit_due, new_bonds, new_debt, waiting_cycles

TERMS = {
    "tolerance": 0.1,
    "vouching_penalty": 0.3,
    "condemning_penalty": 0.15,
    "condemning_margin": 3.0,
    "agreeing_gain": 0.02,
}


def test_harm_adds_to_the_debt_and_every_hop_is_forgiven_a_little() -> None:
    assert new_debt(0.0, -0.05, 0.1, 0.2) == pytest.approx(0.3)  # half a tolerance of harm
    assert new_debt(0.0, -9.0, 0.1, 0.2) == pytest.approx(0.8)  # never more than a whole one
    assert new_debt(1.5, 0.02, 0.1, 0.2) == pytest.approx(1.1)
    assert new_debt(0.3, 0.5, 0.1, 0.2) == 0.0


def test_staying_just_under_the_tolerance_at_every_hop_is_not_free() -> None:
    debt = 0.0
    for _ in range(10):
        debt = new_debt(debt, -0.093, 0.1, 0.2)
    assert waiting_cycles(debt) == 2**7 - 1


def test_waits_and_deposits_double_with_each_whole_debt() -> None:
    assert [waiting_cycles(d) for d in (0.0, 0.99, 1.0, 2.5, 3.0)] == [0, 0, 1, 3, 7]
    assert [deposit_due(d, 100) for d in (0.0, 0.99, 1.0, 2.5)] == [100, 100, 200, 400]
    assert waiting_cycles(1e9) == 2**20 - 1


def test_a_zero_tolerance_counts_any_harm_as_whole() -> None:
    assert new_debt(0.0, -1e-9, 0.0, 0.2) == pytest.approx(0.8)


def test_vouching_for_the_rejected_costs_thirty_percent() -> None:
    bonds = new_bonds(np.ones(3), np.array([0.0, -0.5, np.nan]), accepted=False, **TERMS)
    assert bonds.tolist() == [0.7, 1.0, 1.0]


def test_condemning_the_accepted_costs_and_doubting_it_does_not() -> None:
    votes = np.array([-0.31, -0.2, 0.0, np.nan])
    bonds = new_bonds(np.full(4, 0.5), votes, accepted=True, **TERMS)
    assert bonds.tolist() == [0.425, 0.5, 0.51, 0.5]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=1), st.booleans())
def test_a_bond_stays_between_nothing_and_one(
    examiners: list[tuple[float, float]], accepted: bool
) -> None:
    bonds, votes = (np.array(column) for column in zip(*examiners, strict=True))
    after = new_bonds(bonds, votes, accepted, **TERMS)
    assert ((after >= 0) & (after <= 1)).all()
