"""Bonds and debts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.gate import EXPECTED, allowed, usual_cost, usual_margin
from flower_relay.rules.standing import (
    deposit_due,
    earned_weights,
    forgiven,
    is_cautious,
    new_bonds,
    new_debt,
    stride_of,
    vote_weights,
    waiting_cycles,
)


def test_harm_adds_to_the_debt_and_every_hop_is_forgiven_a_little() -> None:
    assert new_debt(0.0, 0.5, 0.2) == pytest.approx(0.3)
    assert new_debt(0.0, 1.0, 0.2) == pytest.approx(0.8)
    assert new_debt(1.5, 0.0, 0.2) == pytest.approx(1.3)


def test_a_run_is_cautious_until_examiners_agree_and_it_has_risen() -> None:
    agreed = np.array([1.0, 0.9, 0.95])  # nineteen twentieths of three bonds
    assert not is_cautious(agreed, 0.055, 0.11, 0)
    assert [is_cautious(agreed, 0.054, 0.11, cycle) for cycle in (0, 1, 2)] == [True, True, False]
    assert is_cautious(np.array([1.0, 0.9, 0.94]), 0.2, 0.11, 9)
    assert is_cautious(np.array([]), 0.2, 0.11, 9)


def test_exactly_nineteen_twentieths_of_all_bonds_are_enough_however_many_hold_them() -> None:
    assert not any(is_cautious(np.full(n, 0.95), 0.2, 0.11, 9) for n in range(1, 60))


def test_less_is_forgiven_where_bonds_were_lost() -> None:
    assert forgiven(np.ones(15)) == pytest.approx(0.3)
    assert forgiven(np.array([1.0, 1.0, 1.0, 0.0, 0.0])) == pytest.approx(0.18)
    assert forgiven(np.array([])) == pytest.approx(0.3), "nobody has examined yet"


def test_ranking_high_pays_debts_off_and_is_no_credit() -> None:
    assert new_debt(1.5, -0.5, 0.2) == pytest.approx(0.8)
    assert new_debt(0.3, -1.0, 0.2) == 0.0


def test_ranking_low_at_every_hop_is_not_free() -> None:
    debt, strides = 0.0, []
    for _ in range(5):
        debt = new_debt(debt, 1.0, 0.3)
        strides.append(stride_of(debt))
    assert debt == pytest.approx(5 * 0.7)
    assert strides == pytest.approx([0.65, 0.4, 0.2375, 0.15, 0.09375])  # at 0.7, 1.4, 2.1, …


def test_whoever_is_like_all_others_owes_one_by_votes_in_less_than_a_tenth_of_its_hops() -> None:
    rng, debt, held_back = np.random.default_rng(0), 0.0, 0
    for _ in range(20_000):
        debt = new_debt(debt, rng.uniform(-1, 1))
        held_back += debt >= 1
    assert 0.05 < held_back / 20_000 < 0.1


def test_whoever_is_like_all_others_takes_three_quarters_of_its_hops_on_average() -> None:
    rng, debts, strides = np.random.default_rng(0), [0.0, 0.0], []
    for _ in range(20_000):
        strides.append(stride_of(sum(debts)))
        debts[0] = new_debt(debts[0], rng.uniform(-1, 1))
        if rng.random() < 0.25:  # a quarter of all hops is audited
            debts[1] = new_debt(debts[1], rng.uniform(-1, 1))
    assert 0.73 < np.mean(strides) < 0.8


def test_whoever_ranks_in_the_lowest_fifth_is_held_back_for_good_within_ten_hops() -> None:
    rng, debt = np.random.default_rng(0), 0.0
    debts = [debt := new_debt(debt, rng.uniform(0.6, 1)) for _ in range(40)]
    assert min(debts[10:]) > 3


def test_at_first_a_hop_may_cost_more_than_a_tolerance_and_then_what_it_usually_costs() -> None:
    assert usual_margin(EXPECTED) == usual_margin([*EXPECTED, 0.2, 0.2]) == -1.5
    assert usual_margin([*EXPECTED, *[0.2] * 4]) == 0.2
    assert usual_margin([-0.9, 0.1, -0.3, 0.2, -0.4]) == -0.3
    assert usual_margin([-0.9, 0.1, -0.3, 0.2, -0.4, -0.5]) == pytest.approx(-0.35)


def test_what_hops_usually_cost_is_allowed_for_up_to_three_tolerances() -> None:
    assert [usual_cost(margin) for margin in (0.4, 0.0, -1.0, -9.0)] == [0.0, 0.0, 1.0, 3.0]
    assert [allowed(1.0, usual) for usual in (0.0, 1.0, 3.0)] == [1.0, 2.0, 4.0]


def test_waits_and_deposits_double_with_each_whole_debt() -> None:
    assert [waiting_cycles(d) for d in (0.0, 0.99, 1.0, 2.5, 3.0)] == [0, 0, 1, 3, 7]
    assert [deposit_due(d, 100) for d in (0.0, 0.99, 1.0, 2.5)] == [100, 100, 200, 400]
    assert waiting_cycles(1e9) == 2**20 - 1


def test_strides_halve_with_each_whole_debt_and_fall_evenly_in_between() -> None:
    assert [stride_of(d) for d in (0.0, 1.0, 2.0, 3.0)] == [1.0, 0.5, 0.25, 0.125]
    assert [stride_of(d) for d in (0.5, 1.5, 2.5)] == [0.75, 0.375, 0.1875]
    assert stride_of(1e9) == 2.0**-20


@given(st.floats(0, 40), st.floats(0, 40))
def test_who_owes_more_never_takes_more_of_a_hop(one: float, other: float) -> None:
    assert 0 < stride_of(max(one, other)) <= stride_of(min(one, other)) <= 1


def test_half_a_hop_has_a_quarter_of_the_tolerance_and_half_of_what_hops_usually_cost() -> None:
    assert [allowed(stride, 0.0) for stride in (1.0, 0.5, 0.25)] == [1.0, 0.25, 0.0625]
    assert [allowed(stride, 1.0) for stride in (1.0, 0.5, 0.25)] == [2.0, 0.75, 0.3125]


@given(st.floats(0.001, 1), st.floats(0, 3))
def test_a_hop_that_costs_what_is_usual_passes_however_short_it_is(
    stride: float, usual: float
) -> None:
    assert allowed(stride, usual) >= stride * usual


def test_who_votes_as_the_committee_does_gains_and_who_votes_against_it_loses() -> None:
    votes = np.array([-0.05, 0.05, 0.0, -0.2, np.nan])  # of a tolerance of 0.1; the last abstains
    bonds = new_bonds(np.full(5, 0.5), votes, -0.1, tolerance=0.1, gain=0.2)
    assert bonds == pytest.approx([0.6, 0.4, 0.5, 0.7, 0.5])


def test_on_a_hop_that_the_committee_finds_neutral_nobody_is_right_or_wrong() -> None:
    bonds = new_bonds(np.full(2, 0.5), np.array([-1.0, 1.0]), 0.0, tolerance=0.1, gain=0.2)
    assert bonds.tolist() == [0.5, 0.5]


def test_a_liar_is_weightless_after_five_clear_votes_and_an_honest_newcomer_whole() -> None:
    bonds = np.array([1.0, 0.1])
    for verdict in (0.1, -0.1, 0.1, 0.1, -0.1):
        votes = np.array([-verdict, verdict])
        bonds = new_bonds(bonds, votes, verdict, tolerance=0.1, gain=0.2)
    assert bonds == pytest.approx([0.0, 1.0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=1), st.floats(-1, 1))
def test_a_bond_stays_between_nothing_and_one(
    examiners: list[tuple[float, float]], verdict: float
) -> None:
    bonds, votes = (np.array(column) for column in zip(*examiners, strict=True))
    after = new_bonds(bonds, votes, verdict, tolerance=0.09, gain=0.2)
    assert ((after >= 0) & (after <= 1)).all()


def test_founders_weigh_one_and_who_joined_later_what_its_accepted_hops_earned() -> None:
    founders, accepted = np.array([True, True, False, False, False]), np.array([0, 50, 0, 3, 12])
    earned = earned_weights(founders, accepted, 0.1)
    np.testing.assert_allclose(earned, [1.0, 1.0, 0.0, 0.3, 1.0])


def test_votes_only_scale_what_was_earned() -> None:
    weights = vote_weights(np.array([1.0, 0.5, 1.0, 0.5]), np.array([1.0, 1.0, 0.0, 0.2]))
    np.testing.assert_allclose(weights, [1.0, 0.5, 0.0, 0.1])


def test_those_who_still_earn_weigh_a_third_together_at_most() -> None:
    weights = vote_weights(np.ones(12), np.array([1.0, 1.0, *[0.5] * 10]))
    np.testing.assert_allclose(weights, [1.0, 1.0, *[0.1] * 10])  # five were worth as much as two
    assert not vote_weights(np.ones(9), np.full(9, 0.9)).any()  # nobody to be a third beside


BONDS = st.just(0.0) | st.floats(1e-100, 1)  # parts of the smallest float there is are nothing


@given(
    st.lists(st.tuples(BONDS, st.booleans(), st.integers(0, 40)), max_size=40),
    st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0]),
)
def test_newcomers_together_never_hold_half_of_a_committees_weight(
    members: list[tuple[float, bool, int]], a_hop: float
) -> None:
    bonds = np.array([bond for bond, _, _ in members], dtype=float)
    founders = np.array([founder for _, founder, _ in members], dtype=bool)
    accepted = np.array([hops for _, _, hops in members], dtype=int)
    earned = earned_weights(founders, accepted, a_hop)
    weights = vote_weights(bonds, earned)
    earning = earned < 1
    assert not weights[~founders & (accepted == 0)].any()
    assert (weights <= bonds + 1e-12).all()
    if weights.any():
        assert weights[earning].sum() < 0.4 * weights.sum()
