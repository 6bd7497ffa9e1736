"""How the rise of a cycle is divided, by hand and as it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.averaging import extend_trail, transplant
from flower_relay.rules.rewards import audit_probability, faded, point_shares

hops = st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 1.0)), min_size=1, max_size=30)


def shares(made: list[tuple[int, float]]) -> dict[int, float]:
    points: dict[int, float] = {}
    for trainer, step in made:
        points[trainer] = points.get(trainer, 0.0) + step
    return point_shares(points)


def test_a_rise_goes_by_points() -> None:
    assert point_shares({3: 0.3, 1: 0.1, 2: 0.0}) == {1: 0.25, 3: pytest.approx(0.75)}


def test_where_nothing_was_added_nobody_is_paid() -> None:
    assert point_shares({}) == {}
    assert point_shares({0: 0.0, 1: 0.0}) == {}


def test_points_of_earlier_cycles_count_less_than_those_of_the_next() -> None:
    points = faded(faded({0: 0.16}, kept=0.25), kept=0.25)  # 0.01 after two cycles
    points[1] = 0.03
    assert point_shares(points) == {0: pytest.approx(0.25), 1: pytest.approx(0.75)}
    assert faded({0: 0.2}, kept=0.0) == {0: 0.0}


def test_in_small_federations_at_least_six_hops_of_a_cycle_are_audited() -> None:
    assert audit_probability(0.25, 6) == 1.0
    assert audit_probability(0.25, 3) == 1.0
    assert audit_probability(0.25, 12) == 0.5
    assert audit_probability(0.25, 100) == 0.25


@given(hops)
def test_shares_sum_to_the_whole(made: list[tuple[int, float]]) -> None:
    assert sum(shares(made).values()) == pytest.approx(1 if any(s > 0 for _, s in made) else 0)


@given(hops, st.permutations(range(5)))
def test_renaming_changes_nobodys_share(made: list[tuple[int, float]], names: list[int]) -> None:
    renamed = shares([(names[trainer], step) for trainer, step in made])
    assert renamed == pytest.approx({names[who]: each for who, each in shares(made).items()})


@given(hops, st.lists(st.booleans(), min_size=30, max_size=30))
def test_splitting_hops_over_two_identities_gains_nothing(
    made: list[tuple[int, float]], first: list[bool]
) -> None:
    split = [(t if t or first[i] else 8, step) for i, (t, step) in enumerate(made)]
    together, apart = shares(made), shares(split)
    assert apart.get(0, 0) + apart.get(8, 0) == pytest.approx(together.get(0, 0))


def test_a_step_is_carried_over_to_another_model() -> None:
    def model(weight: float, count: int) -> dict[str, np.ndarray]:
        return {"w": np.array([weight], np.float32), "n": np.array([count])}

    moved = transplant(model(1.0, 7), model(2.0, 8), model(4.0, 9), 0.25)
    # 1 + 0.25 · (4 − 2); half a batch is not a number of batches, so the counter stays
    assert moved["w"].tolist() == [1.5]
    assert moved["w"].dtype == np.float32
    assert moved["n"].tolist() == [7]


@pytest.mark.parametrize(
    ("share", "trails"),
    [
        (1.0, [0.0, 1.5, 3.0]),  # the mean of all
        (0.5, [0.0, 2.0, 4.0]),  # the second weighs two thirds, the third a half
        (0.0, [0.0, 3.0, 6.0]),  # the baton itself
    ],
)
def test_the_trail_is_the_average_of_the_latest_share_of_the_batons(
    share: float, trails: list[float]
) -> None:
    trail, found = {"w": np.array([9.0])}, []  # the genesis model has no part in it
    for number, baton in enumerate((0.0, 3.0, 6.0)):
        trail = extend_trail(trail, {"w": np.array([baton])}, share, number)
        found.append(float(trail["w"][0]))
    assert found == pytest.approx(trails)
