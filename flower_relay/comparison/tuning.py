"""Every strategy's own best learning rates, found by one procedure on seeds nobody reports.

Coordinate by coordinate: the clients' learning rate over its grid, then what the strategy
has on the server, then the learning rate's neighbours again. A setting is as good as the
client-epochs it takes to the target, ties by final accuracy; where nothing gets there, by
final accuracy alone. All strategies take each step side by side, so that every core is busy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigurationError, RelayError
from .contests import plain
from .figures import spent_to
from .files import read_cells, read_tuning, write_tuning
from .plan import Cell, Plan, tuning_key
from .playing import Failure, play_cells

__all__ = ["LEARNING_RATES", "SERVER_SIDE", "TUNING_SEEDS", "Tried", "tune"]

TUNING_SEEDS = tuple(range(1000, 1006))

LEARNING_RATES = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The clients' learning rate: a factor of two apart, from too timid to divergent on digits."""

SERVER_SIDE: dict[str, dict[str, tuple[float, ...]]] = {
    "fedprox": {"proximal-mu": (0.01, 0.001, 0.1)},
    "fedavgm": {"server-learning-rate": (1.0, 0.3, 0.1), "server-momentum": (0.9, 0.7, 0.5)},
    "fedadam": {"eta": (0.1, 0.01, 0.03, 0.3)},
}
"""What strategies have on the server, by run-config key; the search starts at the first value."""

_FALLBACK = 0.05
"""How far below the target a strategy is still tuned for speed rather than for its end."""

Settings = dict[str, float]
OnCell = Callable[[Cell, Failure | None], None]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One setting's runs: cost to each target (the whole run for never), hits, final accuracy."""

    settings: Settings
    seeds: int
    spent: Mapping[float, float]
    hits: Mapping[float, int]
    accuracy: float

    @classmethod
    def of(
        cls, settings: Settings, cells: Sequence[Mapping[str, Any]], targets: Sequence[float]
    ) -> Tried:
        """Read the figures off finished cells."""
        to = {t: [spent_to(found["records"], "epochs", t) for found in cells] for t in targets}
        return cls(
            settings=settings,
            seeds=len(cells),
            spent={t: float(np.mean([cost for cost, _ in each])) for t, each in to.items()},
            hits={t: sum(hit for _, hit in each) for t, each in to.items()},
            accuracy=float(np.mean([found["final"]["accuracy"] for found in cells])),
        )


@dataclass
class _Search:
    """One strategy on one federation: what was tried, and where it stands."""

    strategy: str
    data: str
    partition: str
    targets: tuple[float, ...]
    tried: list[Tried] = field(default_factory=list)

    @property
    def steps(self) -> list[str]:
        return ["learning-rate", *self.server_side, "learning-rate"]

    @property
    def server_side(self) -> dict[str, tuple[float, ...]]:
        return SERVER_SIDE.get(plain(self.strategy), {})

    def candidates(self, step: int) -> list[Settings]:
        """What a step tries: one coordinate's values, the others as they are best so far."""
        if step >= len(self.steps):
            return []
        name = self.steps[step]
        first = {key: values[0] for key, values in self.server_side.items()}
        start = self.best[0].settings if self.tried else first
        values = self.server_side.get(name, LEARNING_RATES)
        if step > 0 and name == "learning-rate":
            place = values.index(start[name])
            values = values[max(0, place - 1) : place + 2]
        wanted = [{**start, name: value} for value in values]
        known = [each.settings for each in self.tried]
        return [settings for settings in wanted if settings not in known]

    @property
    def best(self) -> tuple[Tried, float | None]:
        """The best so far, and the target it was chosen by; None for final accuracy."""
        for target in self.targets:
            if any(2 * each.hits[target] > each.seeds for each in self.tried):
                return min(self.tried, key=lambda e: (e.spent[target], -e.accuracy)), target
        return max(self.tried, key=lambda each: each.accuracy), None

    def entry(self) -> dict[str, Any]:
        """What tuning.json says of it."""
        best, target = self.best
        tried = [
            {
                "settings": each.settings,
                "seeds": list(TUNING_SEEDS),
                "score": each.accuracy if target is None else each.spent[target],
                "target": target,
                "accuracy": each.accuracy,
            }
            for each in self.tried
        ]
        return {**best.settings, "tried": tried}


def tune(
    plan: Plan,
    folder: Path,
    player: str,
    *,
    workers: int | None = None,
    on_cell: OnCell | None = None,
    on_step: Callable[[int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Tune every strategy × data × partition of a plan that the folder has no tuning of.

    Parameters
    ----------
    folder : pathlib.Path
        The comparison's; `tuning.json` in it is extended.
    player : str
        `module:function`, as for `play_cells`.
    on_cell, on_step : callable, optional
        Told each finished run, and before each step how many runs it takes.

    Returns
    -------
    dict
        The folder's whole tuning.

    Raises
    ------
    ConfigurationError
        When a tuning seed is among the plan's.
    RelayError
        When a strategy cannot be run at all.
    """
    if shared := sorted(set(TUNING_SEEDS) & set(plan.seeds)):
        raise ConfigurationError(
            f"seeds: {shared[0]} is a seed of the tuning ({', '.join(map(str, TUNING_SEEDS))}), "
            "and what it gave must not be reported; take others."
        )
    plan = dataclasses.replace(plan, engine="memory")  # both engines find the same
    known = read_tuning(folder)
    targets = (plan.target, round(plan.target - _FALLBACK, 6))
    searches = [
        _Search(strategy, data, partition, targets)
        for data in plan.data
        for partition in plan.partitions
        for strategy in dict.fromkeys(map(plain, plan.strategies))
        if tuning_key(strategy, data, partition) not in known
    ]
    for step in range(max((len(search.steps) for search in searches), default=0)):
        wanted = [
            (search, settings, _cells(plan, search, settings))
            for search in searches
            for settings in search.candidates(step)
        ]
        every = [cell for _, _, cells in wanted for cell in cells]
        if on_step is not None:
            on_step(len(every))
        failures = play_cells(every, folder / "tuning", player, workers=workers, on_cell=on_cell)
        for search, settings, cells in wanted:
            if found := read_cells(folder / "tuning", cells):
                search.tried.append(Tried.of(settings, found, targets))
        for search in searches:
            _refuse_nothing(search, failures)
    write_tuning(folder, {tuning_key(s.strategy, s.data, s.partition): s.entry() for s in searches})
    return read_tuning(folder)


def _cells(plan: Plan, search: _Search, settings: Settings) -> list[Cell]:
    where = (search.strategy, search.data, search.partition)
    return [plan.cell(*where, seed, settings) for seed in TUNING_SEEDS]


def _refuse_nothing(search: _Search, failures: Sequence[Failure]) -> None:
    if search.tried:
        return
    own = [f for f in failures if f.cell.strategy == search.strategy and f.cell.data == search.data]
    reason = own[0].reason if own else "no reason is known"
    raise RelayError(
        f"{search.strategy} on {search.data}, {search.partition}: expected at least one of its "
        f"learning rates to run, but none did: {reason}"
    )
