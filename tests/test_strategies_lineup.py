"""Every strategy of the line-up trains the same clients, and refuses what it cannot do."""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import Result

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.errors import ConfigurationError
from strategies.lineup import build_strategy
from strategies.settings import RELAYS, STRATEGY_NAMES, parse
from tests.worlds import accuracy, digits_grid, first_model

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CONFIG: dict[str, Any] = tomllib.loads(PYPROJECT.read_text())["tool"]["flwr"]["app"]["config"]


def play(folder: Path, name: str, grid: InMemoryGrid, rounds: int, **change: Any) -> Result:
    """A few rounds of a strategy, built from a run config as the ServerApp does."""
    changed = {key.replace("_", "-"): value for key, value in change.items()}
    run = parse(CONFIG | {"strategy": name, "examiners": 3} | changed)
    random.seed(0)
    return build_strategy(run, [], folder).start(
        grid,
        first_model(),
        num_rounds=rounds,
        timeout=60,
        train_config=ConfigRecord({"lr": run.learning_rate, "local-epochs": run.local_epochs}),
    )


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_it_learns_from_the_same_clients(name: str, tmp_path: Path) -> None:
    # FedAdam's steps are as large as its rate, whatever the clients' are.
    rate = {"server_learning_rate": 0.1} if name == "fedadam" else {}
    result = play(tmp_path, name, digits_grid(8), 20 if name in RELAYS else 10, **rate)
    assert accuracy(result.arrays) > accuracy(first_model()) + 0.3


def test_cyclic_tests_nobody_and_the_fan_out_is_the_papers(tmp_path: Path) -> None:
    settings = {}
    for name in RELAYS:
        strategy = build_strategy(parse(CONFIG | {"strategy": name}), [], tmp_path)
        assert isinstance(strategy, RelayStrategy)
        settings[name] = strategy.settings
    ring, paper = settings["cyclic"], settings["relay-fanout"]
    assert (ring.examiners, ring.max_leg, ring.lanes, ring.trail) == (0, 1, 1, 0.0)
    assert (paper.topology, paper.rewards) == ("fan-out", "royalty")
    voting = {(found.utility_key, found.utility_rises) for found in settings.values()}
    assert voting == {("eval_root_prob", True)}


def test_a_budget_ends_a_relay_after_so_many_hops(tmp_path: Path) -> None:
    run = parse(CONFIG | {"strategy": "relay", "budget": 5, "examiners": 3})
    strategy = build_strategy(run, [], tmp_path)
    assert isinstance(strategy, RelayStrategy)
    strategy.start(digits_grid(8), first_model(), num_rounds=run.budget, timeout=60)
    assert len(strategy.record.hops) == 5


def test_averaging_may_train_everybody_at_once_and_a_fan_out_may_not() -> None:
    assert parse(CONFIG | {"strategy": "fedavg", "fraction-train": 1.0})
    with pytest.raises(ConfigurationError, match=r"fraction_train = 1\.0"):
        parse(CONFIG | {"strategy": "relay-fanout", "fraction-train": 1.0})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trim": 0.5}, "trim = 0.5: expected a number from 0 to below 0.5"),
        ({"proximal-mu": -1.0}, "proximal-mu = -1.0: expected a number, at least 0"),
        ({"num-nodes-to-select": 0}, "num-nodes-to-select = 0: expected a whole number"),
        ({"learning-rate": float("inf")}, "learning-rate = inf: expected a number above 0"),
        ({"learning-rate": float("nan")}, "learning-rate = nan: expected a number above 0"),
        ({"learning-rate": True}, "learning-rate = True: expected a number above 0"),
        ({"hostile": "noise"}, "nobody would misbehave"),
        ({"hostile-share": 0.2}, "nobody would misbehave"),
        ({"run-name": "../elsewhere"}, "expected a folder's name"),
        ({"data": "é" * 400}, "expected one of digits, "),
        ({"data": "~nobody-of-that-name"}, "expected one of digits, "),
    ],
)
def test_what_would_fail_late_or_do_nothing_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse(CONFIG | change)
