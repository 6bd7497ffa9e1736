"""Both engines of a comparison play the same strategies and clients: their ledgers are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flower_relay import RelayStrategy
from flower_relay.ledger import OperatorKey, read_sealed
from flower_relay.ledger.chain import canonical_json
from flower_relay.mechanism.blocks import Genesis
from strategies.contest import play_in_memory, run_config
from strategies.contest_flower import run_through_flower

CELL: dict[str, Any] = {
    "strategy": "relay:nonces=0,examiners=3",
    "data": "digits",
    "partition": "iid",
    "attack": "label-flip+liar",
    "share": 0.25,
    "seed": 3,
    "nodes": 4,
    "budget": 8,
    "engine": "memory",
    "fleet": "phones",
    "settings": {"learning-rate": 0.4},
}


@pytest.mark.flower
@pytest.mark.slow
def test_memory_and_flower_write_the_same_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_through_flower(CELL["nodes"], run_config(CELL), tmp_path)
    blocks = [sealed.block() for sealed in read_sealed(folder / "ledger.db")]
    there = [canonical_json(block) for block in blocks]
    key, genesis = OperatorKey.load(folder.parent / "operator.key"), blocks[0]
    assert isinstance(genesis, Genesis)
    monkeypatch.setattr("strategies.lineup.beginning", lambda seed: (genesis.run, key))
    played = play_in_memory(CELL)
    assert isinstance(played.strategy, RelayStrategy)
    here = [canonical_json(block) for block in played.strategy.chain]
    assert len(here) > 8
    assert there == here
