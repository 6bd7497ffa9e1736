"""Rewards against the truth: exact Shapley values, and twins at fixed places.

Real relays over an in-memory grid, with the line-up's own ClientApp. Called by
`python -m experiments.truth`; docs/contribution.md has the results.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.client_app import app
from clients.evaluation import initial_arrays
from clients.hostile import is_hostile
from experiments.truth.federations import Federation, coalition_values, draw_federation
from flower_relay import InMemoryGrid, MemoryChain, RelayStrategy
from flower_relay.comparison.shapley import leave_one_out, rank_correlation, shapley_values
from flower_relay.mechanism.blocks import Deposit, Settlement
from flower_relay.mechanism.deposit import decide_next_deposit
from flower_relay.mechanism.state import State
from flower_relay.rules.coins import to_coins
from strategies.lineup import beginning

__all__ = [
    "correlations",
    "federation_truth",
    "hostile_share",
    "pair_of_twins",
    "ratio_interval",
]

_NODES, _SHARE = 20, 0.2

_CLIENTS = {"model": "mlp", "learning-rate": 0.2, "partition": "natural"}


def federation_truth(seed: int, cycles: int, **options: Any) -> dict[str, Any]:
    """One federation: Shapley values twice, leave-one-out, and what either rule pays."""
    federation = draw_federation(seed)
    values = [coalition_values(federation, replicate) for replicate in range(2)]
    row: dict[str, Any] = {
        "seed": seed,
        "sizes": list(federation.sizes),
        "noise": list(federation.noise),
        "shapley": shapley_values(values[0]).tolist(),
        "replicate": shapley_values(values[1]).tolist(),
        "leave_one_out": leave_one_out(values[0]).tolist(),
    }
    for rule in ("contribution", "royalty"):
        row[rule] = _earned(federation, rule, RelayStrategy, cycles, options).tolist()
    return row


def pair_of_twins(seed: int, cycles: int, *, differing: bool, **options: Any) -> dict[str, Any]:
    """What twins earn, one of whom is always first in its cycle and the other always last.

    Parameters
    ----------
    differing : bool
        Whether the other four differ in data size and label noise, and the twins are as they
        come; otherwise all six hold as many cases, with right labels.
    """
    same = {} if differing else {"sizes": (240,) * 5 + (10,), "noise": (0.0,) * 6}
    federation = _twins(seed, **same)
    earned = _earned(federation, "contribution", _AtFixedPlaces, cycles, options)
    return {"seed": seed, "first": float(earned[0]), "last": float(earned[-1])}


def _twins(seed: int, **same: Any) -> Federation:
    return draw_federation(seed, twins=True, **same)


class _AtFixedPlaces(RelayStrategy):
    """The first participant always has the first turn of a cycle, the last one the last."""

    def decide_deposit(self, state: State, present: list[int], hops: int) -> Deposit | None:
        """The rules' own deposit, but for the order of turns."""
        return decide_next_deposit(state, present, hops, _twins_at_the_ends)


def _twins_at_the_ends(bids: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Those between the twins take turns at random."""
    last = len(bids) - 1
    return np.concatenate([[0], 1 + rng.permutation(last - 1), [last]])


def _earned(
    federation: Federation,
    rule: str,
    strategy_class: Callable[..., RelayStrategy],
    cycles: int,
    options: dict[str, Any],
) -> NDArray[np.float64]:
    """Coins that a run mints for each participant under a reward rule."""
    size = len(federation.sizes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "federation.npz"
        federation.save(path)
        config = _CLIENTS | {"seed": federation.seed, "data": str(path)}
        options = {"rewards": rule, "budget": cycles * size, **options}
        return _minted(config, size, rule, strategy_class, options)


def hostile_share(seed: int, behaviour: str, cycles: int, **options: Any) -> dict[str, Any]:
    """What part of all contribution goes to the fifth of twenty participants who misbehave."""
    config = _CLIENTS | {
        "seed": seed,
        "data": "digits",
        "partition": "dirichlet:0.3",
        "hostile": behaviour,
        "hostile-share": _SHARE,
    }
    options = {"budget": cycles * _NODES, **options}
    earned = _minted(config, _NODES, "contribution", RelayStrategy, options)
    hostile = [is_hostile(number, _NODES, _SHARE, seed) for number in range(_NODES)]
    return {"seed": seed, "share": float(earned[hostile].sum() / earned.sum())}


def _minted(
    config: dict[str, Any],
    size: int,
    rule: str,
    strategy_class: Callable[..., RelayStrategy],
    options: dict[str, Any],
) -> NDArray[np.float64]:
    """Coins that a run mints under a rule, by partition."""
    run_id, key = beginning(config["seed"])  # with others the draws of examiners differ
    strategy = strategy_class(
        seed=config["seed"],
        run_id=run_id,
        chain=lambda: MemoryChain(key),
        min_available_nodes=size,
        utility_key="eval_root_prob",
        utility_rises=True,
        **options,
    )
    grid = InMemoryGrid(app, size, run_config=config)
    strategy.start(grid, initial_arrays(config), num_rounds=options["budget"])
    units = np.zeros(size, dtype=np.int64)
    for block in strategy.chain:
        for payment in block.payments if isinstance(block, Settlement) else ():
            if payment.rule == rule:
                units[payment.participant] += payment.units
    names = [row.name for row in strategy.record.participants]
    order = [names.index(f"partition-id-{number}") for number in range(size)]
    return np.array([to_coins(int(units[index])) for index in order])


def correlations(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Mean rank correlation with the Shapley values, over federations."""

    def of(name: str) -> float:
        pairs = [(np.array(row["shapley"]), np.array(row[name])) for row in rows]
        return float(np.mean([rank_correlation(*pair) for pair in pairs]))

    return {n: of(n) for n in ("replicate", "leave_one_out", "contribution", "royalty")}


def ratio_interval(pairs: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Ratio of what first twins earn to what last ones do, and its 95 % interval.

    Of the totals, pairs drawn anew ten thousand times (percentile bootstrap).
    """
    earned = np.array([[pair["first"], pair["last"]] for pair in pairs])
    drawn = np.random.default_rng(0).integers(len(pairs), size=(10_000, len(pairs)))
    totals = earned[drawn].sum(axis=1)
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [0.025, 0.975])
    return float(earned[:, 0].sum() / earned[:, 1].sum()), float(low), float(high)
