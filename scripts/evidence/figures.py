"""Medians and their spelling, by the rules of all pages of results.

An interval is shown from five seeds on, a tie is called a tie, and few seeds are said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flower_relay.comparison.figures import NOTHING
from flower_relay.comparison.statistics import (
    CLOSE,
    ENOUGH,
    NEARLY_EVEN,
    Interval,
    Standing,
    difference,
    median,
    ratio,
)

from .stored import Row, Stored

__all__ = [
    "NAMES", "Group", "against", "groups", "in_points", "learned", "seeds_said", "share_shown",
    "shown", "standing", "table", "where",
]  # fmt: skip

NAMES = {
    "relay": "relay", "relay:lanes=3,lanes-meet=adam": "relay, three lanes",
    "relay:lanes=auto": "relay, lanes by rule",
    "relay:lanes=wave": "relay, wave",
    "relay-untested": "relay without tests", "cyclic": "ring",
    "fedavg": "FedAvg", "fedprox": "FedProx", "fedavgm": "FedAvgM", "fedadam": "FedAdam",
    "scaffold": "SCAFFOLD", "daisychain": "daisy chain", "fedmedian": "FedMedian",
    "fedtrimmedavg": "FedTrimmedAvg", "multikrum": "MultiKrum",
}  # fmt: skip
"""Strategies as people know them."""

WORLDS = {
    "digits": "digits", "spambase": "spambase", "letter": "letter", "heart": "heart by hospital",
    "har": "activity by person", "diabetes": "diabetes", "mnist:6000": "MNIST (6,000 cases)",
    "shakespeare": "Shakespeare by role",
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """One strategy's rows in one place, a seed each."""

    rows: tuple[Row, ...]

    def by_seed(self, figure: str | Callable[[Row], Any]) -> dict[int, float]:
        """A column, or a figure of a row, by seed; NaN where there is none."""
        of = figure if callable(figure) else lambda row: row[figure]
        found = {row["seed"]: of(row) for row in self.rows}
        return {seed: math.nan if value is None else float(value) for seed, value in found.items()}

    def median(self, figure: str | Callable[[Row], Any]) -> Interval:
        """The median over seeds."""
        return median(self.by_seed(figure))

    def worst(self, figure: str | Callable[[Row], Any]) -> float:
        """The lowest seed; NaN where nothing is known."""
        known = [value for value in self.by_seed(figure).values() if math.isfinite(value)]
        return min(known, default=math.nan)


def groups(stored: Stored, **fixed: Any) -> dict[str, Group]:
    """Rows with these values, by strategy, in the order in which strategies are named."""
    found: dict[str, list[Row]] = {}
    for row in stored.rows:
        if all(row[key] == value for key, value in fixed.items()):
            found.setdefault(row["strategy"], []).append(row)
    return {name: Group(tuple(found[name])) for name in sorted(found, key=list(NAMES).index)}


def learned(row: Row) -> float:
    """The end as a share of what there is to learn above the commonest class or the mean."""
    return float((row["final"] - row["nothing"]) / (1 - row["nothing"]))


def against(ours: Mapping[int, float], theirs: Mapping[int, float], *, as_ratio: bool) -> Interval:
    """Ours by theirs or minus theirs, an interval from five seeds on only."""
    return _honest((ratio if as_ratio else difference)(ours, theirs))


def standing(found: Interval, *, as_ratio: bool) -> Standing:
    """Above, below or a tie: by the interval, or where there is none by how close it is."""
    return found.beside(1.0 if as_ratio else 0.0, NEARLY_EVEN if as_ratio else CLOSE)


def _honest(found: Interval) -> Interval:
    if found.count >= ENOUGH:
        return found
    return Interval(median=found.median, low=math.nan, high=math.nan, count=found.count)


def shown(found: Interval | float, spelling: str, *, interval: bool = True) -> str:
    """A figure for people; a dash where nothing is known."""
    if not isinstance(found, Interval):
        return _spelled(found, spelling) if math.isfinite(found) else "–"
    if not interval:
        return shown(found.median, spelling)
    return _honest(found).shown(spelling).replace("-", "−")


def _spelled(value: float, spelling: str) -> str:
    """By a format, or `size`: three digits that count, without an exponent."""
    if spelling == "size":
        magnitude = math.floor(math.log10(abs(value))) if value else 0
        spelling = f",.{min(4, max(0, 2 - magnitude))}f"
    return format(value, spelling).replace("-", "−")


def in_points(found: Interval) -> Interval:
    """A difference of accuracies in points."""
    low, middle, high = (100 * value for value in (found.low, found.median, found.high))
    return Interval(median=middle, low=low, high=high, count=found.count)


def share_shown(value: float) -> str:
    """A share of what there is to learn; nothing is called nothing."""
    if not math.isfinite(value):
        return "–"
    return "nothing" if value <= NOTHING else f"{value:.2f}"


def seeds_said(found: Iterable[Group]) -> str:
    """How many seeds, and that they are few where they are."""
    counts = sorted({len(group.rows) for group in found})
    if not counts:
        return "no seeds"
    text = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    few = f", which are few: {ENOUGH} are the least to rely on" if counts[0] < ENOUGH else ""
    return f"{text} {'seed' if counts == [1] else 'seeds'}{few}"


def where(data: str, partition: str) -> str:
    """A world and how its cases are divided, in words."""
    name = WORLDS.get(data, data)
    return name if partition == "natural" else f"{name}, {partition.replace(':', ' ').title()}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
