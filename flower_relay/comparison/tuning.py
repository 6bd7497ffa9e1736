"""Every strategy's own best settings, found by one procedure on seeds nobody reports.

Coordinate by coordinate: the clients' learning rate, then what the strategy has on the server
and how many clients train at once, then the learning rate's neighbours again. A coordinate is
a ladder of values, some of which are tried at first; where the best of them is the first or
the last that was tried, the next one on the ladder is tried, too, until it is not. A setting
is as good as the client-epochs it takes to a target that is the same for all, ties by final
accuracy; where nothing gets there, by final accuracy alone. All strategies take each step side
by side, so that every core is busy.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigurationError, RelayError
from .contests import AVERAGING, plain
from .figures import nothing_learned, share_target, spent_to
from .files import read_cells, read_tuning, write_tuning
from .ladders import Ladder, ladders_of
from .plan import Cell, Plan, tuning_key
from .playing import Failure, play_cells

__all__ = ["TUNING_SEEDS", "Tried", "check_seeds", "tune"]

TUNING_SEEDS = tuple(range(1000, 1006))


_FALLBACK = 0.05
"""How far below a target that was asked for a strategy is still tuned for speed."""
_SHARES = (0.97, 0.92)
"""Of the best averaging strategy's rise: the target, and the same for who misses it."""

Settings = dict[str, float]
OnCell = Callable[[Cell, Failure | None], None]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One setting's runs."""

    settings: Settings
    cells: Sequence[Mapping[str, Any]]

    @property
    def accuracy(self) -> float:
        """Mean final accuracy."""
        return float(np.mean([found["final"]["accuracy"] for found in self.cells]))

    def spent(self, target: float) -> float:
        """Mean client-epochs to a target; the whole run for never."""
        return float(np.mean([cost for cost, _ in self._to(target)]))

    def hits(self, target: float) -> int:
        """How many of its runs got there."""
        return sum(hit for _, hit in self._to(target))

    def _to(self, target: float) -> list[tuple[float, bool]]:
        return [spent_to(found["records"], "epochs", target) for found in self.cells]


@dataclass
class _Search:
    """One strategy on one federation: what was tried, and where it stands.

    `targets` are what costs are measured to, the best first; nothing until they are known.
    """

    strategy: str
    data: str
    partition: str
    nodes: int
    seeds: tuple[int, ...]
    known: Mapping[str, Ladder]
    targets: tuple[float, ...] = ()
    tried: list[Tried] = field(default_factory=list)
    failed: list[Settings] = field(default_factory=list)
    at: int = 0

    @property
    def ladders(self) -> dict[str, Ladder]:
        found = dict(self.known)
        fractions = {k: v.among(self.nodes) for k, v in found.items() if k == "fraction-train"}
        return found | fractions

    @property
    def order(self) -> list[str]:
        """Coordinates in the order in which they are searched; the first one once more."""
        rate, *others = self.ladders
        return [rate, *others, *([rate] if others else [])]

    def candidates(self) -> list[Settings]:
        """What is to be tried next; nothing when the search is over."""
        known = [*(each.settings for each in self.tried), *self.failed]
        while self.at < len(self.order):
            name, start = self.order[self.at], self._start
            ladder = self.ladders[name]
            first = ladder.beside(start[name]) if self._again else list(ladder.first)
            for values in (first, ladder.beyond(start[name], self._tried_of(name))):
                wanted = [{**start, name: value} for value in values]
                if fresh := [settings for settings in wanted if settings not in known]:
                    return fresh
            self.at += 1
        return []

    @property
    def _again(self) -> bool:
        return self.at > 0 and self.order[self.at] == self.order[0]

    @property
    def _start(self) -> Settings:
        if self.tried:
            return dict(self.best[0].settings)
        return {name: ladder.first[0] for name, ladder in self.ladders.items()}

    def _tried_of(self, name: str) -> set[float]:
        """A coordinate's values that were tried with all else as it is best."""
        start = self._start
        return {
            each.settings[name]
            for each in self.tried
            if each.settings == {**start, name: each.settings[name]}
        }

    def note(self, settings: Settings, cells: Sequence[Mapping[str, Any]]) -> None:
        """Keep what came of a setting; one that cannot be run is not tried again."""
        if cells:
            self.tried.append(Tried(settings=settings, cells=cells))
        else:
            self.failed.append(settings)

    @property
    def best(self) -> tuple[Tried, float | None]:
        """The best so far, and the target it was chosen by; None for final accuracy."""
        for target in self.targets:
            if any(2 * each.hits(target) > len(each.cells) for each in self.tried):
                return min(self.tried, key=lambda e: (e.spent(target), -e.accuracy)), target
        return max(self.tried, key=lambda each: each.accuracy), None

    def entry(self) -> dict[str, Any]:
        """What tuning.json says of it."""
        best, target = self.best
        tried = [
            {
                "settings": each.settings,
                "seeds": list(self.seeds),
                "score": each.accuracy if target is None else each.spent(target),
                "target": target,
                "accuracy": each.accuracy,
            }
            for each in self.tried
        ]
        cells = [found for each in self.tried for found in each.cells]
        spent = sum(float(found["records"][-1]["epochs"]) for found in cells)
        cost = {"runs": len(cells), "client-epochs": spent}
        return {**best.settings, "tried": tried, "cost": cost}


def _aim(searches: Sequence[_Search], asked: float) -> None:
    """Set the targets of one federation's searches: one for all its strategies.

    As asked; else a share of the best averaging strategy's rise so far above what is had
    without learning, and a smaller share for who does not get there.
    """
    if asked > 0:
        targets: tuple[float, ...] = (asked, round(asked - _FALLBACK, 6))
    else:
        rivals = [s for s in searches if s.strategy in AVERAGING and s.tried] or searches
        tried = [each for search in rivals for each in search.tried]
        if not tried:
            return
        base = nothing_learned(tried[0].cells)
        best = max(each.accuracy for each in tried)
        targets = tuple(share_target(base, best, share) for share in _SHARES)
    for search in searches:
        search.targets = targets


def check_seeds(plan: Plan) -> None:
    """Refuse to report what was tuned on.

    Raises
    ------
    ConfigurationError
        When a tuning seed is among the plan's.
    """
    if shared := sorted(set(TUNING_SEEDS) & set(plan.seeds)):
        raise ConfigurationError(
            f"seeds: {shared[0]} is a seed of the tuning ({', '.join(map(str, TUNING_SEEDS))}), "
            "and what it gave must not be reported; take others."
        )


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
    check_seeds(plan)
    seeds = TUNING_SEEDS[: plan.tuning_seeds]
    plan = dataclasses.replace(plan, engine="memory")  # both engines find the same
    known = read_tuning(folder)
    searches = [
        _Search(strategy, data, partition, plan.nodes, seeds, ladders)
        for data in plan.data
        for partition in plan.partitions
        for strategy in dict.fromkeys(map(plain, plan.strategies))
        if tuning_key(strategy, data, partition) not in known
        and (ladders := _ladders(plan, player, strategy, data, partition))
    ]
    while wanted := [
        (search, settings, _cells(plan, search, settings))
        for search in searches
        for settings in search.candidates()
    ]:
        every = [cell for _, _, cells in wanted for cell in cells]
        if on_step is not None:
            on_step(len(every))
        failures = play_cells(every, folder / "tuning", player, workers=workers, on_cell=on_cell)
        for search, settings, cells in wanted:
            search.note(settings, read_cells(folder / "tuning", cells))
        for search in searches:
            _refuse_nothing(search, failures)
            places = (search.data, search.partition)
            _aim([s for s in searches if (s.data, s.partition) == places], plan.target)
    write_tuning(folder, {tuning_key(s.strategy, s.data, s.partition): s.entry() for s in searches})
    return read_tuning(folder)


def _ladders(
    plan: Plan, player: str, strategy: str, data: str, partition: str
) -> dict[str, Ladder]:
    """What can be tuned: as the player's module says (`ladders`), else the line-up's."""
    own = getattr(importlib.import_module(player.partition(":")[0]), "ladders", None)
    if own is None:
        return ladders_of(strategy)
    found: dict[str, Ladder] = own(plan.cell(strategy, data, partition, 0, {}).as_dict())
    return found


def _cells(plan: Plan, search: _Search, settings: Settings) -> list[Cell]:
    where = (search.strategy, search.data, search.partition)
    return [plan.cell(*where, seed, settings) for seed in search.seeds]


def _refuse_nothing(search: _Search, failures: Sequence[Failure]) -> None:
    if search.tried:
        return
    own = [f for f in failures if f.cell.strategy == search.strategy and f.cell.data == search.data]
    reason = own[0].reason if own else "no reason is known"
    raise RelayError(
        f"{search.strategy} on {search.data}, {search.partition}: expected at least one of its "
        f"learning rates to run, but none did: {reason}"
    )
