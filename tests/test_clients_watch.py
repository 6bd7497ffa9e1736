"""The watch data: twenty arms of ten people, each a natural participant."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("seglearn", reason="an optional extra: pip install 'flower-relay[watch]'")

from clients.data import load_dataset
from clients.partition import partition


def test_everybody_holds_an_arm_or_both_of_one_person() -> None:
    data = load_dataset("watch")
    assert data.shape == (1, 6, 20)
    assert data.num_classes == 7
    assert data.group is not None
    arms = partition(data.y, data.group, "natural", 20, 0)
    people = partition(data.y, data.group, "natural", 10, 0)
    assert all(len(np.unique(data.group[arm])) == 1 for arm in arms)
    assert len(people[3]) == len(arms[3]) + len(arms[13])
    assert min(len(np.unique(data.y[arm])) for arm in arms) == 7
