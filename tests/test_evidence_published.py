"""Published tables: what is kept of the cells that we played."""

from __future__ import annotations

import pytest

from flower_relay.comparison.files import write_cell, write_plan
from flower_relay.comparison.plan import Plan
from scripts.evidence.published import kept
from tests.players import finished, record


def test_a_cell_gives_the_mean_of_its_last_tenth_and_both_metrics_of_its_end(
    tmp_path: pytest.TempPathFactory,
) -> None:
    """Of accuracies .1 at 10, .2 at 20 … .99 at 100 trainings, the last tenth has one: .99."""
    records = [record(10 * step, step / 10) for step in range(10)] + [record(100, 0.99)]
    found = finished(records)
    found["final"]["group_accuracy"] = 0.75
    plan = Plan(
        strategies=("relay:local-steps=5",), data=("d",), attacks=("",), seeds=(0,),
        settings={"learning-rate": 0.003},
    )  # fmt: skip
    folder = tmp_path / "out"  # type: ignore[operator]
    write_plan(folder, plan)
    (folder / "cells").mkdir()
    write_cell(folder / "cells", plan.cells()[0], found, 1.0)
    [row] = kept(folder)
    assert (row["strategy"], row["steps"], row["rate"]) == ("relay", 5, 0.003)
    assert (row["trainings"], row["tail"], row["end"], row["groups"]) == (100, 99.0, 99.0, 75.0)
