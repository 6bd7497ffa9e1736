"""Places, ticks and units of the comparison page's drawings, and its rank correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.comparison.page.scale import Scale, cost

Kind = Literal["linear", "log"]


@pytest.mark.parametrize(
    ("value", "axis", "text"),
    [
        (45.5, "epochs", "45.5"), (12_000, "epochs", "12 k"), (1.67e6, "bytes", "1.67 MB"),
        (999.6, "bytes", "1 kB"), (0.348, "phones", "0.348 s"), (119, "phones", "119 s"),
        (120, "phones", "2 min"), (26_900, "phones", "7.47 h"), (604_800, "phones", "7 d"),
    ],
)  # fmt: skip
def test_costs_are_given_in_units_that_people_use(value: float, axis: str, text: str) -> None:
    assert cost(value, axis) == text.replace(" ", "\u00a0")


def test_durations_side_by_side_share_a_unit() -> None:
    assert cost(18, "seconds phones", 240) == "0.3\u00a0min"


def test_accuracies_take_as_much_room_as_their_errors_shrink() -> None:
    scale = Scale(low=0.6, high=0.95, start=0.0, end=300.0, kind="error")
    assert scale(np.array([0.6, 0.8, 0.9, 0.95])).tolist() == pytest.approx([0, 100, 200, 300])
    assert all(0.6 <= tick <= 0.95 for tick in scale.ticks())


@given(
    low=st.floats(1e-3, 1e6), factor=st.floats(1.01, 1e6), kind=st.sampled_from(["linear", "log"])
)
def test_ticks_are_few_in_order_and_inside(
    low: float, factor: float, kind: Literal["linear", "log"]
) -> None:
    ticks = Scale(low=low, high=low * factor, start=0, end=300, kind=kind).ticks(6)
    assert len(ticks) <= 8 and ticks == sorted(set(ticks))
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)
