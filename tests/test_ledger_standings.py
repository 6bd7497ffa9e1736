"""The tree over everybody's standing proves each line of it; differences have a path."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay import RelaySettings
from flower_relay.ledger.differences import first_difference
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Block, Settlement
from flower_relay.mechanism.merkle import Leaf, inclusion_proof, merkle_root, root_of_proof
from flower_relay.mechanism.state import begin
from tests.imagined import ImaginedRun

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def run() -> list[Block]:
    """Forty rounds in which legs fail, models are planted and somebody joins."""
    settings = RelaySettings(max_leg=4, examiners=6, planted=0.3, deposit_unit=0.0)
    return list(ImaginedRun(settings, participants=12, rounds=40, seed=3))


leaves = st.builds(
    Leaf,
    participant=st.text(max_size=5),
    balance=st.integers(0, 10**12),
    locked=st.integers(0, 10**12),
    bond=st.floats(0, 1),
)


def test_a_tree_of_three_is_the_one_worked_out_by_hand() -> None:
    three = [
        Leaf(participant=n, balance=b, locked=0, bond=1.0)
        for n, b in zip("abc", (1, 2, 3), strict=True)
    ]
    a, b, c = (
        sha256(b"\x00" + f'["{n}",{v},0,1.0]'.encode()).digest()
        for n, v in zip("abc", (1, 2, 3), strict=True)
    )
    left = sha256(b"\x01" + a + b).digest()
    assert merkle_root(three[:1]) == a.hex()
    assert merkle_root(three) == sha256(b"\x01" + left + c).hexdigest()
    assert inclusion_proof(three, 2) == (left.hex(),)
    assert inclusion_proof(three, 0) == (b.hex(), c.hex())


@given(st.lists(leaves, min_size=1, max_size=20), leaves)
def test_every_leaf_is_proved_and_no_other(tree: list[Leaf], other: Leaf) -> None:
    root = merkle_root(tree)
    for index, leaf in enumerate(tree):
        proof = inclusion_proof(tree, index)
        assert root_of_proof(leaf, index, len(tree), proof) == root
        assert (root_of_proof(other, index, len(tree), proof) == root) == (other == leaf)
        assert root_of_proof(leaf, index, len(tree), (*proof, "00" * 32)) is None
        if proof:
            assert root_of_proof(leaf, index, len(tree), proof[:-1]) is None
    assert root_of_proof(tree[0], len(tree), len(tree), ()) is None


def test_every_settlement_holds_the_root_of_the_standings_after_it(run: list[Block]) -> None:
    state = begin(run[0])  # type: ignore[arg-type]
    for block in run[1:]:
        apply(state, block)
        if isinstance(block, Settlement):
            who = state.who
            columns = zip(
                who.names, who.coins.tolist(), who.locked.tolist(), who.bond.tolist(), strict=True
            )
            tree = [Leaf(participant=n, balance=c, locked=u, bond=b) for n, c, u, b in columns]
            assert merkle_root(tree) == block.standings_root


@pytest.mark.parametrize(
    ("expected", "found", "field"),
    [
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, "x.b[1]"),
        ({"a": {"b": None}}, {"a": {"b": 0}}, "x.a.b"),
        ([1, 2], [1, 2, 3], "x"),
        ({"a": 1}, {}, "x.a"),
        ({"a": 0.0}, {"a": -0.0}, "x.a"),
        ({"a": 1}, {"a": 1.0}, "x.a"),
        ({"a": True}, {"a": 1}, "x.a"),
        ([], "text", "x"),
    ],
)
def test_the_first_difference_has_a_path(expected: Any, found: Any, field: str) -> None:
    difference = first_difference(expected, found, "x")
    assert difference is not None
    assert difference.field == field
    assert first_difference(expected, expected, "x") is None
