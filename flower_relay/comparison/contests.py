"""Finished cells by contest: who met whom, on the same data, under the same attack."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .figures import (
    accuracy_within,
    has_learned,
    nothing_learned,
    share_learned,
    share_target,
    spent_to,
    total,
)
from .statistics import median

__all__ = [
    "AVERAGING",
    "Contest",
    "Found",
    "best_rival",
    "contests",
    "has_learned_there",
    "nothing_of",
    "plain",
    "strongest_rival",
    "target_of",
]

AVERAGING = ("fedavg", "fedprox", "fedavgm", "fedadam", "scaffold", "daisychain")
"""Strategies whose best is what a relay is measured against."""

Found = Mapping[str, Any]
"""One finished cell as its file holds it."""


@dataclass
class Contest:
    """Cells that differ in strategy and seed only.

    Attributes
    ----------
    cells : dict of strategy to dict of seed to cell
    """

    data: str
    partition: str
    attack: str
    share: float
    cells: dict[str, dict[int, Found]] = field(default_factory=dict)

    @property
    def where(self) -> dict[str, str]:
        """Data and partition, for a table."""
        return {"data": self.data, "partition": self.partition}

    @property
    def threat(self) -> str:
        """The attack and its share, for a table."""
        return f"{self.attack} {self.share:.0%}" if self.attack else "nobody hostile"

    def of(self, strategy: str, figure: Callable[[Found], float]) -> dict[int, float]:
        """A figure of each of a strategy's cells, by seed."""
        return {seed: figure(found) for seed, found in sorted(self.cells[strategy].items())}

    def final(self, strategy: str) -> dict[int, float]:
        """Final accuracy by seed."""
        return self.of(strategy, lambda found: float(found["final"]["accuracy"]))

    def learned(self, strategy: str) -> dict[int, float]:
        """Final accuracy by seed, as a share of what there is to learn."""
        base = nothing_of(self)
        return {seed: share_learned(base, value) for seed, value in self.final(strategy).items()}

    def evaluations(self, strategy: str) -> dict[int, float]:
        """Evaluations by seed for each client-epoch of the whole run."""

        def per_epoch(found: Found) -> float:
            epochs = total(found["records"], "epochs")
            return total(found["records"], "evaluations") / epochs if epochs else math.nan

        return self.of(strategy, per_epoch)

    def spent(self, strategy: str, axis: str, target: float) -> dict[int, float]:
        """Cost to a target by seed; the whole run where it was never reached."""
        return self.of(strategy, lambda found: spent_to(found["records"], axis, target)[0])

    def reached(self, strategy: str, target: float) -> int:
        """How many seeds reached a target."""
        hits = self.of(strategy, lambda found: spent_to(found["records"], "epochs", target)[1])
        return int(sum(hits.values()))

    def arrives(self, strategy: str, target: float) -> bool:
        """Whether at least half of the seeds reach the target."""
        return 2 * self.reached(strategy, target) >= len(self.cells[strategy])

    def common_budget(self, axis: str) -> float:
        """The smallest median total of any strategy: what all of them can be compared at."""
        totals = [
            median(self.of(strategy, lambda found: total(found["records"], axis))).median
            for strategy in self.cells
        ]
        return min((value for value in totals if math.isfinite(value)), default=math.nan)

    def accuracy_at(self, strategy: str, axis: str, budget: float) -> dict[int, float]:
        """Accuracy at the end of a budget on an axis, by seed."""
        return self.of(strategy, lambda found: accuracy_within(found["records"], axis, budget))


def contests(cells: Iterable[Found]) -> list[Contest]:
    """Group finished cells, in the order they come."""
    found: dict[tuple[Any, ...], Contest] = {}
    for each in cells:
        cell = each["cell"]
        key = (cell["data"], cell["partition"], cell["attack"], cell["share"])
        contest = found.setdefault(key, Contest(*key))
        contest.cells.setdefault(cell["strategy"], {})[cell["seed"]] = each
    return list(found.values())


def plain(strategy: str) -> str:
    """A strategy's name without settings of its own."""
    return strategy.partition(":")[0]


def rivals(contest: Contest) -> list[str]:
    """The averaging strategies of a contest."""
    return [strategy for strategy in contest.cells if plain(strategy) in AVERAGING]


def nothing_of(contest: Contest) -> float:
    """The accuracy that is had there without learning."""
    return nothing_learned([found for by in contest.cells.values() for found in by.values()])


def has_learned_there(contest: Contest, strategy: str) -> bool:
    """Whether a strategy's median is above what is had without learning."""
    return has_learned(nothing_of(contest), median(contest.final(strategy)).median)


def target_of(contest: Contest, asked: float) -> float:
    """The accuracy to reach: as asked, or by a rule that was fixed beforehand.

    The rule: 97 % of the best averaging strategy's rise, by its median, above what is had
    without learning. Without rivals, of anybody's. NaN where nobody learned anything.
    """
    if asked > 0:
        return asked
    who = rivals(contest) or list(contest.cells)
    best = max((median(contest.final(name)).median for name in who), default=math.nan)
    return share_target(nothing_of(contest), best)


def best_rival(contest: Contest, axis: str, target: float) -> str | None:
    """The averaging strategy that is cheapest to the target by its median.

    Rivals that do not get there are left out where others do: who never arrives is charged
    its whole run, which on a clock may be a short one.
    """
    arrived = [name for name in rivals(contest) if contest.arrives(name, target)]
    candidates = arrived or rivals(contest)
    found = {s: median(contest.spent(s, axis, target)).median for s in candidates}
    known = {s: spent for s, spent in found.items() if math.isfinite(spent)}
    return min(known, key=lambda s: known[s]) if known else None


def strongest_rival(contest: Contest) -> str | None:
    """The averaging strategy that ends highest by its median."""
    return max(rivals(contest), key=lambda s: median(contest.final(s)).median, default=None)
