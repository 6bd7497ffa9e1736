"""Federations with a known truth, and what is made of the runs on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clients.data import load_dataset
from clients.partition import partition, split_held_out
from experiments.truth.federations import coalition_values, draw_federation
from experiments.truth.rewards import correlations, ratio_interval


def test_twins_hold_and_keep_the_very_same_cases(tmp_path: Path) -> None:
    federation = draw_federation(3, (20, 30, 10), (0.0, 0.5, 0.2), twins=True)
    federation.save(tmp_path / "twins.npz")
    data = load_dataset(str(tmp_path / "twins.npz"))
    parts = partition(data.y, data.group, "natural", 3, seed=3)
    kept = [
        [data.x[side] for side in split_held_out(part, seed=3)] for part in (parts[0], parts[2])
    ]
    for one, other in zip(*kept, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(data.y[parts[0]], data.y[parts[2]])


def test_right_labels_are_worth_more_than_wrong_ones() -> None:
    federation = draw_federation(0, (80, 80), (0.0, 0.9))
    nobody, *alone, both = coalition_values(federation, replicate=0, steps=200)
    clean = federation.noise.index(0.0)
    assert nobody < 0.3 < alone[1 - clean] + 0.3
    assert alone[clean] > alone[1 - clean] + 0.2
    assert alone[clean] > 0.6
    assert both > alone[1 - clean]


def test_a_ratio_is_that_of_totals() -> None:
    pairs = [{"first": 2.0, "last": 1.0}, {"first": 4.0, "last": 5.0}]
    ratio, low, high = ratio_interval(pairs)
    assert ratio == pytest.approx(1.0)
    assert (low, high) == pytest.approx((0.8, 2.0))  # the same pair drawn twice


def test_correlations_are_means_over_federations() -> None:
    row = {"shapley": [1, 2, 3], "replicate": [1, 2, 3], "leave_one_out": [3, 2, 1]}
    rows = [
        row | {"contribution": [1, 2, 3], "royalty": [0, 0, 0]},
        row | {"contribution": [3, 2, 1], "royalty": [0, 0, 0]},
    ]
    assert correlations(rows) == pytest.approx(
        {"replicate": 1.0, "leave_one_out": -1.0, "contribution": 0.0, "royalty": 0.0}
    )
