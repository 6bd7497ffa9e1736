"""The auction, against numbers worked out by hand and the authors' own trace."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flower_relay.rules.auction import auction_order, match, owner_bids, trainer_bids
from flower_relay.rules.rewards import royalties
from flower_relay.rules.settlement import num_recognised, rank

TRACE = Path(__file__).parents[2] / "shared" / "reference" / "economy_seed42.json.gz"


def test_the_staler_the_model_the_higher_the_bid_up_to_what_one_owns() -> None:
    coins = np.array([10.0, 10.0, 1.5, 10.0])
    version = np.array([7, 4, 4, -1])
    # round 8: 8 - 7 + 1 = 2; 8 - 4 + 1 = 5; bounded by 1.5; no model counts as version 0
    assert trainer_bids(coins, version, 8).tolist() == [2.0, 5.0, 1.5, 9.0]


def test_bids_in_integer_units_stay_integers() -> None:
    bids = trainer_bids(np.array([5, 3_000]), np.array([0, 0]), 0, coin=1_000)
    assert bids.tolist() == [5, 1_000]
    assert np.issubdtype(bids.dtype, np.integer)


def test_an_owner_bids_a_fixed_amount_split_over_its_slots() -> None:
    assert owner_bids(np.array([5.0, 0.0005]), 0.001, 4).tolist() == [0.00025, 0.000125]


def test_higher_bids_go_first_and_ties_are_shuffled() -> None:
    bids = np.array([1, 5, 1, 1, 9])
    orders = {tuple(auction_order(bids, np.random.default_rng(seed))) for seed in range(60)}
    assert all(order[:2] == (4, 1) for order in orders)
    assert len(orders) == 6  # every order of the three ties


def test_the_best_owner_serves_the_highest_bidders() -> None:
    pairs = match(np.array([7, 3]), np.array([1, 2, 4, 5, 6]), slots=2)
    assert pairs.tolist() == [[7, 1], [7, 2], [3, 4], [3, 5]]


def test_floor_recognises_nobody_of_one_unless_told_otherwise() -> None:
    assert num_recognised(1, 0.5, at_least=0) == 0
    assert num_recognised(1, 0.5) == 1
    assert num_recognised(0, 0.5) == 0
    assert num_recognised(7, 0.5) == 3


def test_ranking_keeps_ties_in_order_and_puts_the_unscored_last() -> None:
    assert rank([0.2, float("nan"), 0.9, 0.2]).tolist() == [2, 0, 3, 1]


@pytest.mark.skipif(not TRACE.exists(), reason="the reference trace lies beside the checkout")
def test_our_rules_reproduce_every_balance_of_the_authors_economy() -> None:
    """100 rounds of 256 participants: bids, matching, recognition, royalties, balances."""
    trace = json.loads(gzip.decompress(TRACE.read_bytes()))
    coins, latest = np.zeros(256), {0: 0}
    parent, owner, perf, version = [-1], [0], [0.0], [0]
    worst = 0.0
    for rnd in trace:
        owners, trainers = np.array(rnd["owners"]), np.array(rnd["trainers"])
        stake = owner_bids(coins[owners], 0.001, 4)
        np.testing.assert_allclose(stake, rnd["mo_bids"], atol=1e-9)
        held = np.array([version[latest[t]] if t in latest else -1 for t in trainers])
        bids = trainer_bids(coins[trainers], held, rnd["round"])
        np.testing.assert_allclose(bids, rnd["bids"], atol=1e-6)
        pairs = match(owners, trainers, 4).tolist()
        assert pairs == [[o, t] for o, t, _, _ in rnd["pairs"]]
        stake_of = dict(zip(owners.tolist(), stake, strict=True))
        bid_of = dict(zip(trainers.tolist(), bids, strict=True))
        for o, t in pairs:
            coins[o] -= stake_of[o]
            coins[t] -= bid_of[t]
        made = []
        for o, t, trained, gain in rnd["pairs"]:
            if trained:
                base = latest[o]
                parent.append(base)
                owner.append(t)
                perf.append(perf[base] + gain)
                version.append(rnd["round"] + 1)
                made.append((o, t, len(parent) - 1))
        deposit, encryption, testing, settlement = rnd["miners"]
        coins[deposit] += 0.001 * len(pairs)
        coins[encryption] += 0.001 * len(made)
        coins[testing] += 0.001 * 100 + 0.001 * len(made)
        coins[settlement] += 0.001 * len(made) * 101
        best = rank([perf[model] for _, _, model in made])
        best = best[: num_recognised(len(made), 0.5, at_least=0)]
        assert [[made[i][0], made[i][1]] for i in best] == rnd["settled"]
        for o, t, model in (made[i] for i in best):
            coins[t] += bid_of[t]
            coins[o] += stake_of[o]
            line, above = [0], parent[parent[model]]  # the root, then the base's ancestors
            while above >= 0:
                line.append(owner[above])
                above = parent[above]
            for who, units in royalties(o, Counter(line)).items():
                coins[who] += units / 10**9
        latest.update({t: model for _, t, model in made})
        worst = max(worst, float(np.abs(coins - np.array(rnd["coins"])).max()))
    assert worst < 1e-6
    assert coins.sum() == pytest.approx(198_933.4625)
