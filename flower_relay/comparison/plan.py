"""What a comparison asks: a grid of cells, each with a key that is the same wherever it runs."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..options import CheckedSettings, between, one_of, setting, whole
from .devices import FLEETS

__all__ = ["ENGINES", "SCHEMA", "TUNING_NOTES", "Cell", "Plan", "tuned_settings", "tuning_key"]

SCHEMA = 2
"""Which version of the cells' files this writes; raise it when what is measured changes."""

TUNING_NOTES = ("tried", "cost")
"""What a tuning notes beside the settings it chose."""

ENGINES = ("memory", "flower")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run: a strategy on some data, with or without an attack, with one seed.

    `settings` are run-config keys that differ from the app's defaults; `attack` is a hostile
    behaviour as the app's run config names it, empty for none.
    """

    strategy: str
    data: str
    partition: str
    attack: str
    share: float
    seed: int
    nodes: int
    budget: int
    engine: str
    fleet: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A short hash of all of it."""
        text = json.dumps([SCHEMA, self.as_dict()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON and for who plays it."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """For people, on one line."""
        attack = f"{self.attack} {self.share:.0%}" if self.attack else "nobody hostile"
        chosen = " ".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        where = f"{self.strategy} on {self.data}, {self.partition}, {attack}, seed {self.seed}"
        return where + (f" ({chosen})" if chosen else "")


def _some(check: Callable[[Any], bool], expected: str) -> tuple[Callable[[Any], bool], str]:
    def fits(values: Any) -> bool:
        distinct = isinstance(values, tuple) and len(set(values)) == len(values) > 0
        return distinct and all(check(value) for value in values)

    return fits, f"one or more different ones: {expected}"


_NAMES = _some(lambda v: isinstance(v, str) and v != "", "names")
_ATTACKS = _some(lambda v: isinstance(v, str), "behaviours, empty for none")
_SHARES = _some(lambda v: isinstance(v, float) and 0 < v <= 1, "numbers above 0, at most 1")
_SEEDS = _some(lambda v: isinstance(v, int) and v >= 0, "whole numbers from 0")


@dataclass(frozen=True, kw_only=True)
class Plan(CheckedSettings):
    """A grid of cells.

    Raises
    ------
    ConfigurationError
        Naming what was given and what is possible.
    """

    strategies: tuple[str, ...] = setting(
        ("relay", "relay-untested", "cyclic", "fedavg", "fedavgm", "fedadam"),
        "who is compared; `relay:lanes=5` has a setting of its own",
        _NAMES,
    )
    data: tuple[str, ...] = setting(("digits",), "data; `digits@cnn` names a model", _NAMES)
    partitions: tuple[str, ...] = setting(
        ("dirichlet:0.3",),
        "who holds which cases: iid, dirichlet:ALPHA, labels:K, extended:K, natural",
        _NAMES,
    )
    attacks: tuple[str, ...] = setting(
        ("", "label-flip+liar", "sign-flip+liar"), "hostile behaviours; empty for none", _ATTACKS
    )
    shares: tuple[float, ...] = setting((0.2,), "shares of the participants hostile", _SHARES)
    seeds: tuple[int, ...] = setting((0, 1, 2), "seeds that are reported", _SEEDS)
    nodes: int = setting(20, "participants", whole(2))
    budget: int = setting(400, "client-epochs that everybody may use", whole(1))
    engine: str = setting(
        "memory", "`memory`, or `flower` for Flower's own simulation", one_of(*ENGINES)
    )
    fleet: str = setting(
        "homogeneous", "the simulated fleet in whose order answers arrive", one_of(*FLEETS)
    )
    settings: Mapping[str, Any] = dataclasses.field(
        default_factory=dict, metadata={"help": "run-config keys for every cell", "check": None}
    )
    target: float = setting(
        0.0,
        "accuracy to reach; 0 for 97 % of the best averaging strategy's rise above what is had "
        "without learning",
        between(0, 1),
    )
    tuning_seeds: int = setting(6, "seeds that each setting is tried on, 1 to 6", whole(1, 6))

    def cells(self, tuning: Mapping[str, Mapping[str, Any]] | None = None) -> list[Cell]:
        """Every cell, all strategies of a seed side by side, clean ones first.

        Parameters
        ----------
        tuning : mapping, optional
            Tuned settings by `tuning_key`; settings of the plan come before those.
        """
        threats = [(a, s) for a in self.attacks for s in (self.shares if a else (0.0,))]
        axes = itertools.product(self.data, self.partitions, threats, self.seeds, self.strategies)
        return [
            self.cell(strategy, data, partition, seed, tuned, attack, share)
            for data, partition, (attack, share), seed, strategy in axes
            for tuned in [tuned_settings(tuning or {}, strategy, data, partition)]
        ]

    def cell(
        self,
        strategy: str,
        data: str,
        partition: str,
        seed: int,
        settings: Mapping[str, Any],
        attack: str = "",
        share: float = 0.0,
    ) -> Cell:
        """One cell under the plan's nodes, budget, engine and fleet."""
        return Cell(
            strategy=strategy,
            data=data,
            partition=partition,
            attack=attack,
            share=share,
            seed=seed,
            nodes=self.nodes,
            budget=self.budget,
            engine=self.engine,
            fleet=self.fleet,
            settings={**settings, **self.settings},
        )


def tuning_key(strategy: str, data: str, partition: str) -> str:
    """What tuned settings are kept under."""
    return f"{strategy}|{data}|{partition}"


def tuned_settings(
    tuning: Mapping[str, Mapping[str, Any]], strategy: str, data: str, partition: str
) -> dict[str, Any]:
    """A strategy's tuned settings; where it was not tuned itself, those of its plain form."""
    for name in (strategy, strategy.partition(":")[0]):
        found = tuning.get(tuning_key(name, data, partition))
        if found is not None:
            return {key: value for key, value in found.items() if key not in TUNING_NOTES}
    return {}
