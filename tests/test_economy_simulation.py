"""Economies of both topologies: coins, policies, extinction, determinism."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.economy import POLICIES, EconomySettings, simulate
from flower_relay.economy.chain import ChainEconomy
from flower_relay.economy.choices import Drawn
from flower_relay.economy.examiners import said_of_audit, said_of_model
from flower_relay.economy.fan_out import FanOut
from flower_relay.economy.policies import Examining, assign, names_in, parse_mix
from flower_relay.economy.result import LAGS, gini, version_shares
from flower_relay.errors import ConfigurationError
from flower_relay.rules.auction import slots_filled

ANYWHERE = [name for name, each in POLICIES.items() if name != "honest" and not each.chain_only]
MIXED = ",".join(f"{name}=0.13" for name in ANYWHERE if name != "all-in")
MONIED = MIXED + ",all-in=0.13"
EVERYBODY = ",".join(f"{name}=0.08" for name in POLICIES if name not in ("honest", "all-in"))


def players(chosen: EconomySettings) -> np.ndarray:
    return assign(chosen.policies, chosen.participants, np.random.default_rng(0))


@given(
    participants=st.integers(8, 40),
    seed=st.integers(0, 10**6),
    rewards=st.sampled_from(["royalty", "contribution"]),
    policies=st.sampled_from(["honest", MONIED, "sybil", "dropper=0.9", "colluder=0.6"]),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    slots=st.integers(1, 5),
    testers=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_coins_are_conserved_and_never_negative_in_every_fan_out_round(**values: Any) -> None:
    share = values.pop("share")
    chosen = EconomySettings(rounds=25, recognised_share=share, **values)
    economy = FanOut(chosen, players(chosen))
    circulating = 0
    for round in range(chosen.rounds):
        played = economy.play(Drawn(chosen, round))
        circulating += played.minted - played.burned
        balances = economy.balances()
        assert economy.circulating == circulating
        assert balances.min() >= 0


@given(
    participants=st.integers(8, 16),
    seed=st.integers(0, 10**6),
    rewards=st.sampled_from(["royalty", "contribution"]),
    policies=st.sampled_from(["honest", EVERYBODY, "sybil=0.5", "colluder=0.6", "audit-liar=0.4"]),
    lanes=st.integers(1, 2),
)
@settings(max_examples=15, deadline=None)
def test_coins_are_conserved_and_never_negative_in_every_chain_round(**values: Any) -> None:
    chosen = EconomySettings(topology="chain", rounds=15, ceiling=4.0, **values)
    economy = ChainEconomy(chosen, players(chosen))
    circulating = 0
    for _ in range(chosen.rounds):
        flows = economy.next_round()
        circulating += flows.minted - flows.burned
        assert int(economy.snapshot().coins.sum()) == circulating
        assert economy.state.who.coins.min() >= 0


@pytest.mark.parametrize("topology", ["fan-out", "chain"])
def test_the_same_settings_give_the_same_economy(topology: str) -> None:
    chosen = EconomySettings(
        participants=24, rounds=20, topology=topology, policies=MIXED, ceiling=4.0
    )
    first, second = simulate(chosen), simulate(chosen)
    np.testing.assert_array_equal(first.coins, second.coins)
    np.testing.assert_array_equal(first.shares, second.shares)
    other = simulate(EconomySettings(**{**vars(chosen), "seed": 1}))
    assert not np.array_equal(first.coins, other.coins)


def test_one_round_by_hand() -> None:
    """Eight participants, sure success, no spread: owner 0, three trainers, one unmatched."""
    chosen = EconomySettings(participants=8, rounds=1, success=1.0, gain_sd=0.0, slots=2)
    result = simulate(chosen)
    # Two models are made on genesis, one is recognised (half of two): 0 gets one coin for
    # the base and one for the root. Miners get 2 deposits · 0.001 + 2 hashes · 0.001
    # + (100 cases + 2 models) · 0.001 + 2 models · (0.001 + 100 · 0.001) = 0.308.
    assert result.circulating == pytest.approx(2.308)
    assert result.rounds["hops"].tolist() == [2]
    assert result.rounds["recognised"].tolist() == [1]
    assert result.participants["income"][0] == 2.0
    assert result.participants["best"].max() == 1.0


def test_the_paper_stops_when_floor_recognises_nobody_and_ours_does_not() -> None:
    """One slot makes one model a round; half of one is, rounded down, none."""
    few = {"participants": 8, "rounds": 10, "slots": 1, "success": 1.0}
    paper = simulate(EconomySettings(**few, least_recognised=0))
    assert paper.extinct_after == 1
    assert paper.rounds["hops"].tolist() == [1] + [0] * 9
    ours = simulate(EconomySettings(**few))
    assert ours.extinct_after is None
    assert ours.rounds["recognised"].tolist() == [1] * 10


def test_when_all_training_fails_the_owners_stay() -> None:
    result = simulate(EconomySettings(participants=8, rounds=5, success=0.0))
    assert result.extinct_after is None
    assert result.rounds["hops"].tolist() == [3] * 5  # 8 · 0.5 − one owner
    assert result.rounds["recognised"].tolist() == [0] * 5


def test_who_drops_out_earns_only_by_mining_and_holds_what_it_mined() -> None:
    result = simulate(EconomySettings(participants=64, rounds=60, policies="dropper=0.25"))
    assert result.income_of("dropper").mean() < 0.01 * result.income_of("honest").mean()
    number = list(POLICIES).index("dropper")
    droppers = result.participants["policy"] == number
    assert (result.participants["trained"][droppers] == 0).all()
    assert (result.participants["best"][droppers] > 50).any()  # a base, or a mined model
    assert result.participants["recognised"][droppers].sum() == 0


def test_a_sybil_leaves_a_name_behind_for_every_forfeit() -> None:
    result = simulate(EconomySettings(participants=64, rounds=40, policies="sybil=0.25"))
    number = list(POLICIES).index("sybil")
    table = result.participants
    sybils = table["policy"] == number
    np.testing.assert_array_equal(table["names"][sybils], 1 + table["forfeits"][sybils])
    assert (table["names"][~sybils] == 1).all()
    assert table["forfeits"][sybils].sum() > 0


def test_a_majority_of_colluding_testers_puts_its_own_kind_first() -> None:
    many = EconomySettings(participants=64, rounds=60, policies="colluder=0.6", seed=1)
    few = EconomySettings(participants=64, rounds=60, policies="colluder=0.1", testers=9, seed=1)

    def odds(chosen: EconomySettings) -> float:
        table = simulate(chosen).participants
        lies = table["policy"] == list(POLICIES).index("colluder")
        recognised, trained = table["recognised"], table["trained"]
        liars = recognised[lies].sum() / trained[lies].sum()
        return float(liars / (recognised[~lies].sum() / trained[~lies].sum()))

    assert odds(many) > 1.3
    assert 0.8 < odds(few) < 1.25  # nine testers of which a tenth lies are never outvoted


FOUND = np.array([0.5, 0.25])


@pytest.mark.parametrize(
    ("kind", "of_ours", "of_others"),
    [
        (Examining.HONEST, [0.5, 0.25], [0.5, 0.25]),
        (Examining.COLLUDES, [1.0, 1.0], [0.0, 0.0]),
        (Examining.REVERSES, [0.5, 0.75], [0.5, 0.75]),
        (Examining.LIFTS, [0.5, 0.25], [0.5, 0.25]),
    ],
)
def test_what_liars_say_of_models(
    kind: Examining, of_ours: list[float], of_others: list[float]
) -> None:
    assert said_of_model(kind, True, FOUND).tolist() == of_ours
    assert said_of_model(kind, False, FOUND).tolist() == of_others


@pytest.mark.parametrize(
    ("kind", "for_ours", "for_others"),
    [
        (Examining.HONEST, 0.01, 0.01),
        (Examining.COLLUDES, 0.5, -0.5),
        (Examining.REVERSES, -0.01, -0.01),
        (Examining.LIFTS, 0.04, -0.02),
        (Examining.WHISPERS, 0.012, 0.008),
    ],
)
def test_what_liars_say_of_an_audit(kind: Examining, for_ours: float, for_others: float) -> None:
    for ours, expected in ((True, for_ours), (False, for_others)):
        reference, probe = said_of_audit(kind, ours, FOUND, FOUND + 0.01, spread=0.002)
        assert (probe - reference).tolist() == pytest.approx([expected] * 2)


def test_a_sleeper_trains_for_three_hops_and_a_copycat_for_none() -> None:
    chosen = EconomySettings(
        participants=8, rounds=80, topology="chain", rewards="contribution", success=1.0,
        gain_sd=0.0, gain_mean=0.05, examiner_noise=0.0, policies="sleeper=0.25,copycat=0.25",
    )  # fmt: skip
    economy = ChainEconomy(chosen, players(chosen))
    for _ in range(chosen.rounds):
        economy.next_round()
    table = economy.participants()
    assert table["hops"].min() > 5
    models = economy.state.lineage.models
    records = Counter(
        each.trainer
        for each in models.values()
        if each.parents and each.level > models[each.parents[0]].mark + 1e-9
    )
    policy = np.array(list(POLICIES))[table["policy"]]
    assert 0 < max(records[who] for who in np.flatnonzero(policy == "sleeper")) <= 3
    assert [records[who] for who in np.flatnonzero(policy == "copycat")] == [0, 0]
    assert max(records[who] for who in np.flatnonzero(policy == "honest")) > 5


def test_a_chain_rejects_gamblers_and_charges_them() -> None:
    kept: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(4):
        chosen = EconomySettings(
            participants=20, rounds=120, topology="chain", rewards="contribution",
            policies="sybil=0.2", ceiling=4.0, seed=seed,
        )  # fmt: skip
        table = simulate(chosen).participants
        sybils = table["policy"] == list(POLICIES).index("sybil")
        assert table["names"][sybils].sum() > sybils.sum()
        for is_sybil, each in kept.items():
            who = sybils == is_sybil
            each += (table["recognised"] / table["trained"])[who].tolist()
    assert np.mean(kept[True]) < np.mean(kept[False])


def test_a_large_population_keeps_quantiles_at_some_points_of_time() -> None:
    result = simulate(EconomySettings(participants=50, rounds=40, full_history=20, records=8))
    assert result.times.tolist() == [1, 5, 10, 15, 20, 25, 30, 35, 40]
    assert result.coins.shape == (9, 9)
    whole = simulate(EconomySettings(participants=50, rounds=40))
    assert whole.coins.shape == (40, 50)
    # The first and last quantile are the extremes; the middle one is somebody's balance.
    final = np.sort(whole.coins[-1])
    assert result.coins[-1, 0] == final[0]
    assert result.coins[-1, 4] == final[24]
    assert result.coins[-1, -1] == final[-1]
    np.testing.assert_allclose(result.gini[-1], whole.gini[-1])


def test_gini_and_version_shares_by_hand() -> None:
    assert gini(np.array([1.0, 1.0, 1.0])) == pytest.approx(0.0)
    assert gini(np.array([0.0, 0.0, 3.0])) == pytest.approx(2 / 3)
    assert gini(np.zeros(3)) == 0.0
    shares = dict(zip(LAGS, version_shares(np.array([20, 20, 19, -1, 5])), strict=True))
    assert shares["latest"] == pytest.approx(0.4)
    assert (shares["latest-1"], shares["older"], shares["none"]) == (0.2, 0.2, 0.2)


def test_satisfaction_adds_up_the_accuracy_of_the_best_model_held() -> None:
    result = simulate(EconomySettings(participants=16, rounds=10))
    accuracies = 1 / (1 + np.exp(-result.best))
    np.testing.assert_allclose(result.satisfaction, np.cumsum(accuracies, axis=0))


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("honest=0.5,knave=0.5", "no policy is called 'knave'"),
        ("free-rider=2", "expected a number from 0 to 1"),
        ("free-rider=x", "expected a number from 0 to 1"),
        ("free-rider=0.7,sybil=0.7", "sum to 1.4"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(mix: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        EconomySettings(policies=mix)


def test_what_a_mix_leaves_is_honest_and_the_genesis_owner_always_is() -> None:
    assert parse_mix("free-rider=0.25") == {"free-rider": 0.25, "honest": 0.75}
    assert names_in("free-rider=0.25") == ["honest", "free-rider"]
    numbers = assign("free-rider=0.25,sybil=0.25", 40, np.random.default_rng(5))
    counts = np.bincount(numbers, minlength=len(POLICIES))
    assert counts[list(POLICIES).index("free-rider")] == 10
    assert counts[list(POLICIES).index("sybil")] == 10
    assert numbers[0] == 0


def test_who_takes_an_old_base_holds_an_old_version() -> None:
    """Everybody but the genesis owner drops out, so that genesis stays the only base."""
    result = simulate(EconomySettings(participants=24, rounds=12, policies="dropper=1"))
    assert result.participants["held_version"].max() == 0
    chain = simulate(EconomySettings(participants=24, rounds=12, topology="chain", success=0.0))
    assert chain.participants["held_version"].max() == 0


def test_a_hop_that_makes_nothing_is_no_training() -> None:
    for topology in ("fan-out", "chain"):
        chosen = EconomySettings(participants=16, rounds=8, topology=topology, success=0.0)
        table = simulate(chosen).participants
        assert table["hops"].sum() > 0
        assert table["trained"].sum() == 0


def test_names_that_own_nothing_in_the_lineage_take_no_room() -> None:
    chosen = EconomySettings(participants=64, rounds=200, policies="sybil=0.5")
    economy = FanOut(chosen, players(chosen))
    for round in range(chosen.rounds):
        economy.play(Drawn(chosen, round))
    recognised = int(economy.population.recognised.sum())
    assert economy.population.past_names.sum() > 500
    assert len(economy.population) <= chosen.participants + recognised


@pytest.mark.parametrize(
    ("useless", "message"),
    [
        ({"tolerance": 0.1}, "tolerance = 0.1 changes nothing with topology = 'fan-out'"),
        ({"mint": 5.0}, "mint = 5.0 changes nothing"),
        ({"topology": "chain", "slots": 2}, "slots = 2 changes nothing"),
        ({"topology": "chain", "policies": "all-in=0.5"}, "nobody can go all-in"),
        ({"policies": "audit-liar=0.5"}, "a fan-out has no place for audit-liar"),
        ({"participants": 24, "policies": "sybil=0.01"}, "is nobody to play sybil"),
        ({"policies": "sybil=0.1,sybil=0.2"}, "sybil is named twice"),
        ({"case_fee": 1e12}, "a number from 0.0 to 1000.0"),
    ],
)
def test_settings_that_would_mislead_are_refused(useless: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        EconomySettings(**useless)


def test_slots_are_filled_in_order_however_many_there_are() -> None:
    assert slots_filled(3, 5, 2).tolist() == [0, 0, 1, 1, 2]
    assert slots_filled(2, 3, 10**12).tolist() == [0, 0, 0]
    assert slots_filled(0, 3, 4).tolist() == []
