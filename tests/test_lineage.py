"""Who descends from whom, and who shares in a credit."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.errors import LedgerError
from flower_relay.mechanism.lineage import Lineage
from flower_relay.rules.coins import COIN
from flower_relay.rules.rewards import contribution_credit, divide, royalties

hops = st.lists(st.tuples(st.integers(0, 4), st.floats(-0.3, 0.5)), min_size=1, max_size=30)


def chain_of(made: list[tuple[int, float]]) -> Lineage:
    lineage, parent = Lineage("genesis"), "genesis"
    for number, (trainer, gain) in enumerate(made):
        parent = lineage.add(f"m{number}", parent, trainer, version=number + 1, gain=gain).name
    return lineage


def rewards(made: list[tuple[int, float]]) -> dict[int, float]:
    """What each participant earns over a whole chain, in fractions of the bound."""
    lineage, parent, earned = Lineage("genesis"), "genesis", defaultdict(float)
    for number, (trainer, gain) in enumerate(made):
        above = lineage[parent]
        credit = contribution_credit(above.level + gain, above.mark)
        for who, share in lineage.shares(parent, trainer, 0.5, 0.9).items():
            earned[who] += credit * share
        parent = lineage.add(f"m{number}", parent, trainer, version=number + 1, gain=gain).name
    return dict(earned)


def test_a_model_knows_its_level_and_the_highest_before_it() -> None:
    lineage = chain_of([(0, 0.3), (1, -0.2), (2, 0.1)])
    assert [round(lineage[f"m{i}"].level, 6) for i in range(3)] == [0.3, 0.1, 0.2]
    assert [round(lineage[f"m{i}"].mark, 6) for i in range(3)] == [0.3, 0.3, 0.3]


def test_harming_and_repairing_earns_nothing_twice() -> None:
    assert rewards([(0, 0.3), (1, -0.2), (2, 0.2)]).get(2, 0) == 0
    assert rewards([(0, 0.3), (1, -0.2), (2, 0.25)])[2] == pytest.approx(0.05 * 0.5)


def test_shares_fade_with_each_generation_that_rose() -> None:
    lineage = chain_of([(0, 0.1), (1, 0.1), (2, 0.1)])
    shares = lineage.shares("m2", 9, own=0.5, decay=0.9)
    # 0.5 · 0.1 to the parent, 0.45 · 0.1 to its parent, the rest to the oldest
    assert shares == pytest.approx({9: 0.5, 2: 0.05, 1: 0.045, 0: 0.405})


def test_without_helpers_the_trainer_keeps_everything() -> None:
    assert Lineage("genesis").shares("genesis", 3, 0.5, 0.9) == pytest.approx({3: 1.0})


def test_an_average_passes_its_share_to_all_its_parents() -> None:
    lineage = Lineage("genesis")
    lineage.add("a", "genesis", 1, version=1, gain=0.2)
    lineage.add("b", "genesis", 2, version=1, gain=0.2)
    lineage.merge("ab", ("a", "b"), version=1)
    assert lineage.shares("ab", 3, 0.5, 0.9) == pytest.approx({3: 0.5, 1: 0.25, 2: 0.25})
    assert [m.name for m in lineage.ancestors("ab")] == ["a", "b", "genesis"]


def test_an_unmeasured_hop_stands_as_high_as_its_parent() -> None:
    assert chain_of([(0, 0.3), (1, math.nan)])["m1"].level == 0.3


def test_an_unknown_parent_is_an_error_that_names_it() -> None:
    with pytest.raises(LedgerError, match="nowhere"):
        Lineage("genesis").add("m", "nowhere", 0, version=1, gain=0.0)


def test_a_branch_does_not_write_back() -> None:
    lineage = chain_of([(0, 0.1)])
    lineage.branch().add("m1", "m0", 1, version=2, gain=0.1)
    assert "m1" not in lineage


@given(hops)
def test_shares_sum_to_the_whole(made: list[tuple[int, float]]) -> None:
    shares = chain_of(made).shares(f"m{len(made) - 1}", 9, 0.5, 0.9)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share >= 0 for share in shares.values())


@given(hops)
def test_a_hop_with_no_rise_earns_nothing(made: list[tuple[int, float]]) -> None:
    idle = [(trainer, gain) for trainer, gain in made] + [(7, 0.0), (0, 0.2)]
    assert rewards(idle).get(7, 0.0) == 0.0


@given(hops, st.permutations(range(5)))
def test_renaming_participants_changes_nobodys_reward(
    made: list[tuple[int, float]], names: list[int]
) -> None:
    renamed = rewards([(names[trainer], gain) for trainer, gain in made])
    assert renamed == pytest.approx({names[w]: units for w, units in rewards(made).items()})


@given(hops, st.lists(st.booleans(), min_size=30, max_size=30))
def test_splitting_hops_over_two_identities_gains_nothing(
    made: list[tuple[int, float]], first: list[bool]
) -> None:
    split = [(t if t or first[i] else 8, gain) for i, (t, gain) in enumerate(made)]
    together, apart = rewards(made), rewards(split)
    assert apart.get(0, 0) + apart.get(8, 0) == pytest.approx(together.get(0, 0))


@given(
    st.integers(0, 10**12),
    st.dictionaries(st.integers(0, 9), st.floats(0.0, 1.0), min_size=1, max_size=8),
    st.integers(0, 9),
)
def test_division_is_exact_to_the_last_unit(
    units: int, weights: dict[int, float], heir: int
) -> None:
    total = sum(weights.values()) or 1.0
    parts = divide(units, {who: weight / total for who, weight in weights.items()}, heir)
    assert sum(parts.values()) == units


def test_a_royalty_pays_base_and_ancestors_however_many_one_owns() -> None:
    # The base is of 1; before it, 1 made two models and 2 one; 0 owns genesis and its root.
    assert royalties(1, {1: 2, 2: 1, 0: 2}) == {1: 3 * COIN, 2: COIN, 0: 2 * COIN}
    assert royalties(None, {}) == {}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.booleans()), max_size=400))
@settings(max_examples=40, deadline=None)
def test_owners_above_are_counted_as_if_the_line_were_walked(
    models: list[tuple[int, int, bool]],
) -> None:
    """Also with more models than are remembered, and averages of two in between."""
    lineage, names = Lineage("0", 0), ["0"]
    for number, (place, trainer, merged) in enumerate(models, start=1):
        parent, other = names[place % len(names)], names[place // 7 % len(names)]
        if merged and other != parent:
            lineage.merge(str(number), (parent, other), version=number)
        else:
            lineage.add(str(number), parent, trainer, version=number, gain=0.0)
        names.append(str(number))
        walked = Counter(above.trainer for above in lineage.ancestors(str(number)))
        del walked[None]
        assert lineage.owned_above(str(number)) == walked
