"""Paying a whole lineage at once, against paying it ancestor by ancestor."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.economy.generations import Generations
from flower_relay.mechanism.lineage import Lineage
from flower_relay.rules.coins import COIN
from flower_relay.rules.rewards import passed_on, royalties

PARTICIPANTS = 12

# A round: for each model recognised in it, its base among those of the round before
# (taken modulo their number), its trainer, and how far its level is above its base's.
hop = st.tuples(st.integers(0, 50), st.integers(-2, 3))
lineages = st.lists(
    st.tuples(st.lists(hop, min_size=1, max_size=6), st.permutations(range(PARTICIPANTS))),
    min_size=1,
    max_size=30,
)


def test_a_trunk_of_three_owes_by_hand() -> None:
    """Genesis of 0, then 1, then 2, one model a round, each on the one before it."""
    lineage, coins = Generations(3, 0), np.zeros(3, dtype=np.int64)
    for trainer in (1, 2, 0):
        lineage.pay_royalties(coins, np.array([0]))
        lineage.extend(np.array([0]), np.array([trainer]), np.zeros(1))
    # Round 1: base genesis: 0 gets 1 and 1 for the root. Round 2: base of 1: 1 gets 1, 0
    # gets 2. Round 3: base of 2: 2 gets 1, 1 gets 1, 0 gets 2.
    assert ((coins + lineage.owed()) / COIN).tolist() == [6, 2, 1]


@given(lineages)
@settings(max_examples=150, deadline=None)
def test_lazy_royalties_equal_naive_ones_after_every_round(rounds: list) -> None:
    lineage, coins = Generations(PARTICIPANTS, 0), np.zeros(PARTICIPANTS, dtype=np.int64)
    naive = np.zeros(PARTICIPANTS, dtype=np.int64)
    owner, parent = [0], [-1]
    newest = [0]  # models of the last round, as numbers
    for hops, order in rounds:
        bases = np.array([base % len(newest) for base, _ in hops])
        trainers = np.array(order[: len(hops)])
        for base in bases.tolist():
            above, line = parent[newest[base]], [0]
            while above >= 0:
                line.append(owner[above])
                above = parent[above]
            for who, units in royalties(owner[newest[base]], Counter(line)).items():
                naive[who] += units
        lineage.pay_royalties(coins, bases)
        lineage.extend(bases, trainers, np.zeros(len(bases)))
        first = len(owner)
        owner += trainers.tolist()
        parent += [newest[base] for base in bases.tolist()]
        newest = list(range(first, len(owner)))
        np.testing.assert_array_equal(coins + lineage.owed(), naive)


@given(lineages, st.floats(0.0, 0.95))
@settings(max_examples=100, deadline=None)
def test_shares_of_a_credit_go_where_the_live_lineage_sends_them(
    rounds: list, decay: float
) -> None:
    """Each recognised hop sends a million units up; ours are rounded down on the way."""
    bulk, coins = Generations(PARTICIPANTS, 0), np.zeros(PARTICIPANTS, dtype=np.int64)
    live, paid = Lineage("0", 0), np.zeros(PARTICIPANTS)
    newest, level, passed = ["0"], {"0": 0.0}, 0
    for number, (hops, order) in enumerate(rounds):
        bases = np.array([base % len(newest) for base, _ in hops])
        trainers = np.array(order[: len(hops)])
        gains = np.array([gain / 4 for _, gain in hops])
        for base, trainer in zip(bases.tolist(), trainers.tolist(), strict=True):
            for who, share in live.shares(newest[base], trainer, 0.0, decay).items():
                paid[who] += share * 1_000_000
        units = np.full(len(bases), 1_000_000)
        bulk.pay_lineage(coins, bases, trainers, units, decay)
        passed += len(bases)
        assert int(coins.sum()) == passed * 1_000_000
        levels = np.array([level[newest[b]] for b in bases.tolist()]) + gains
        bulk.extend(bases, trainers, levels)
        fresh = [f"{number}-{position}" for position in range(len(bases))]
        for name, base, trainer, gain in zip(
            fresh, bases.tolist(), trainers.tolist(), gains.tolist(), strict=True
        ):
            live.add(name, newest[base], trainer, version=number + 1, gain=gain)
        level = dict(zip(fresh, levels.tolist(), strict=True))
        newest = fresh
        np.testing.assert_allclose(coins, paid, atol=40 * passed)


def test_only_models_below_the_last_common_ancestor_are_kept() -> None:
    lineage = Generations(4, 0)
    lineage.extend(np.array([0, 0]), np.array([1, 2]), np.zeros(2))
    assert (lineage.num_models, lineage.depth) == (2, 2)
    lineage.extend(np.array([1, 1]), np.array([3, 0]), np.zeros(2))
    # The model of 1 has no descendant, that of 2 has both: it has joined the trunk.
    assert (lineage.num_models, lineage.depth) == (2, 3)


def test_of_units_that_cannot_be_divided_the_rest_is_kept() -> None:
    # 0.9 · 5 = 4.5: four are passed on, one is kept; of a single unit none is passed.
    assert passed_on(np.array([10, 5, 1]), 0.9).tolist() == [9, 4, 0]
    assert passed_on(0.5, 0.9) == 0.45
