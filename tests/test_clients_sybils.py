"""Sybils: who was found out is somebody else next time, and everybody else stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.hostile import is_hostile
from clients.sybils import Sybils
from flower_relay import RelayStrategy, RunRecord
from flower_relay.errors import ConfigurationError
from strategies import server_app
from tests.test_strategies_lineup import CONFIG as RUN_CONFIG
from tests.worlds import CONFIG, digits_grid, first_model

NODES, SHARE = 8, 0.25
HOSTILE = {number for number in range(NODES) if is_hostile(number, NODES, SHARE, 0)}


def played(behaviour: str, **config: Any) -> tuple[RunRecord, list[int]]:
    """A relay of 30 hops, each tested, and the nodes that are connected at its end."""
    run = {"hostile": behaviour, "hostile_share": SHARE, **config}
    grid = digits_grid(NODES, **run)
    told = CONFIG | {key.replace("_", "-"): value for key, value in run.items()}
    strategy = RelayStrategy(
        budget=30, max_leg=1, utility_key="eval_bounded_loss", observers=[Sybils(grid, told)]
    )
    strategy.start(grid, first_model(), num_rounds=30, timeout=60)
    return strategy.record, list(grid.get_node_ids())


def test_a_rejected_sybil_comes_back_as_a_newcomer_with_the_same_data() -> None:
    record, nodes = played("noise+sybil")
    numbers = [int(row.name.removeprefix("partition-id-")) for row in record.participants]
    assert numbers[:NODES] == list(range(NODES))
    fresh = numbers[NODES:]
    assert fresh
    assert {number % NODES for number in fresh} <= HOSTILE
    assert len(nodes) == NODES
    assert all(row.rejected <= 1 for row in record.participants)
    caught = {numbers[row.index] for row in record.participants if row.rejected}
    assert {number - NODES for number in fresh} <= caught


def test_a_sybil_that_signs_comes_back_with_another_key(tmp_path: Path) -> None:
    record, _ = played("noise+sybil", relay_keys_dir=str(tmp_path))
    names = [row.name for row in record.participants]
    assert len(names) > NODES
    assert len(set(names)) == len(names) == len(list(tmp_path.glob("participant-*.key")))


def test_others_keep_their_names_whatever_they_do() -> None:
    record, _ = played("noise")
    assert len(record.participants) == NODES
    assert any(row.rejected for row in record.participants)


def test_under_flower_a_sybil_is_refused() -> None:
    config = RUN_CONFIG | {"hostile": "sybil", "hostile-share": 0.2}
    with pytest.raises(ConfigurationError, match="reconnects as another node"):
        server_app._run_and_folder(config, {})
