"""The comparisons that are kept as files can be played: every name in them is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from flower_relay.comparison.cli import _IN_FILE, _plan
from flower_relay.comparison.command import read_config
from strategies.contest import run_config
from strategies.settings import parse

FOLDER = Path(__file__).parents[1] / "experiments" / "comparisons"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_published_comparison_names_what_there_is(path: Path) -> None:
    found = read_config(path, _IN_FILE)
    asked = {
        "share": [0.2], "engine": "memory", "fleet": "homogeneous", "settings": found.get("set"),
        "first_seed": 0, "target": 0.0, "tuning_seeds": found.get("tuning-seeds", 6),
    }  # fmt: skip
    cells = _plan(asked | found).cells()
    assert {cell.seed for cell in cells} == set(range(found["seeds"]))
    for cell in {(c.strategy, c.data, c.attack): c for c in cells}.values():
        parse(run_config(cell.as_dict()))
