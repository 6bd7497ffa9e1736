"""Who holds which cases, and what a participant keeps for examining."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data import load_dataset
from clients.partition import partition, split_held_out
from flower_relay.errors import ConfigurationError

LABELS = load_dataset("digits").y
SCHEMES = (
    "iid",
    "dirichlet",
    "dirichlet:0.05",
    "dirichlet:100",
    "labels:3",
    "extended:2",
    "natural",
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(4, 40), st.integers(0, 2**31))
def test_every_case_is_in_exactly_one_part_and_the_same_twice(
    scheme: str, num_parts: int, seed: int
) -> None:
    group = np.arange(len(LABELS)) % 53
    parts = partition(LABELS, group, scheme, num_parts, seed)
    again = partition(LABELS, group, scheme, num_parts, seed)
    assert len(parts) == num_parts
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(LABELS)))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert min(len(part) for part in parts) >= 10


def test_another_process_and_another_seed() -> None:
    code = (
        "from clients.partition import partition; from clients.data import load_dataset\n"
        "print(partition(load_dataset('digits').y, None, 'dirichlet:0.3', 20, {})[7].tolist())"
    )
    mine = partition(LABELS, None, "dirichlet:0.3", 20, 5)[7].tolist()

    def elsewhere(seed: int) -> str:
        command = [sys.executable, "-c", code.format(seed)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert elsewhere(5) == str(mine)
    assert elsewhere(6) != str(mine)


@given(st.integers(1, 10), st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_everybody_holds_k_classes(k: int, num_parts: int, seed: int) -> None:
    parts = partition(LABELS, None, f"labels:{k}", num_parts, seed)
    least = max(k, -(-10 // num_parts))  # so that every class has a holder
    assert {len(np.unique(LABELS[part])) for part in parts} == {least}


def test_a_lower_alpha_makes_parts_less_alike() -> None:
    def largest_class_share(scheme: str) -> float:
        parts = partition(LABELS, None, scheme, 20, 0)
        return float(np.mean([np.bincount(LABELS[p]).max() / len(p) for p in parts]))

    shares = [largest_class_share(s) for s in ("iid", "dirichlet:1", "dirichlet:0.1")]
    assert shares == sorted(shares)
    assert shares[0] < 0.3 < 0.6 < shares[2]


def test_few_cases_still_leave_no_part_empty() -> None:
    labels = np.array([0] * 50 + [1] * 3)
    for scheme in ("dirichlet:0.01", "labels:1"):
        parts = partition(labels, None, scheme, 20, 1)
        assert min(len(part) for part in parts) >= 2, scheme


def test_natural_keeps_groups_whole() -> None:
    group = np.repeat([30, 10, 20], [5, 3, 4])
    parts = partition(np.zeros(12, np.int64), group, "natural", 3, 0)
    assert [set(group[part].tolist()) for part in parts] == [{10}, {20}, {30}]


@pytest.mark.parametrize("scheme", ["", "diric", "labels:0", "labels:2.5", "labels:x", "iid:3"])
def test_an_unknown_scheme_is_answered_with_the_list(scheme: str) -> None:
    expected = "iid, dirichlet:ALPHA, labels:K, extended:K, natural"
    with pytest.raises(ConfigurationError, match=expected):
        partition(LABELS, None, scheme, 4, 0)


@pytest.mark.parametrize("alpha", ["0", "-1", "nan", "inf", "1e300"])
def test_an_impossible_alpha_is_refused(alpha: str) -> None:
    with pytest.raises(ConfigurationError, match="ALPHA above 0"):
        partition(LABELS, None, f"dirichlet:{alpha}", 4, 0)


def test_what_cannot_be_divided_says_why() -> None:
    with pytest.raises(ConfigurationError, match="array `group`"):
        partition(LABELS, None, "natural", 4, 0)
    with pytest.raises(ConfigurationError, match="3 groups for 4 participants"):
        partition(np.zeros(9, np.int64), np.arange(9) % 3, "natural", 4, 0)
    for num_parts in (0, 6):
        with pytest.raises(ConfigurationError, match="cannot be divided"):
            partition(np.zeros(5, np.int64), None, "iid", num_parts, 0)


@given(st.integers(2, 300), st.integers(0, 2**31))
def test_held_out_cases_are_kept_from_training(size: int, seed: int) -> None:
    indices = np.arange(1000, 1000 + size)
    train, held_out = split_held_out(indices, seed)
    assert len(train) >= 1
    assert len(held_out) == max(1, size // 5)
    assert np.sort(np.concatenate([train, held_out])).tolist() == indices.tolist()


def test_one_case_cannot_be_split() -> None:
    with pytest.raises(ConfigurationError, match="fewer participants"):
        split_held_out(np.array([3]), 0)


def test_the_extended_split_gives_k_classes_and_shares_each_among_its_holders() -> None:
    """As Li and Lyu have it: 2,000 cases of ten classes, 50 parts, one class each or two."""
    labels = np.repeat(np.arange(10), 200)
    for classes in (1, 2):
        parts = partition(labels, None, f"extended:{classes}", 50, 3)
        held = [len(np.unique(labels[part])) for part in parts]
        assert max(held) <= classes and np.median(held) == classes
        sizes = np.array([len(part) for part in parts])
        assert sizes.sum() == 2000 and sizes.min() >= 2
    holders = [{int(c) for c in np.unique(labels[part])} for part in parts]
    assert set().union(*holders) == set(range(10))
