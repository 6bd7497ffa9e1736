"""One world with nobody hostile: its strategies, and the relay against the best rival."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flower_relay.comparison.contests import AVERAGING
from flower_relay.comparison.statistics import Interval, Standing

from .figures import Group, against, groups, standing, where
from .stored import Stored

__all__ = ["BOTH", "MEASURES", "Duel", "World", "worlds_of"]

MEASURES = {
    "epochs": "client-epochs", "megabytes": "bytes", "like": "seconds on like devices",
    "phones": "seconds on phones", "hospitals": "seconds between hospitals",
}  # fmt: skip
"""What a cost to the target is called."""

BOTH = ("relay", "relay-untested")
"""Whose difference is what testing costs."""

WAVE = "relay:lanes=wave"
"""The relay where time is scarce."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """The relay against the best rival in one measure.

    Attributes
    ----------
    found : Interval
        A ratio of costs, or a difference of accuracies.
    verdict : str
        "wins", "loses" or "tie", of the relay.
    """

    measure: str
    rival: str
    found: Interval
    is_cost: bool
    verdict: str


@dataclass(frozen=True, kw_only=True)
class World:
    """One world's groups, its target, and the learning rates that tuning chose."""

    data: str
    partition: str
    target: float | None
    strategies: Mapping[str, Group]
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In words."""
        return where(self.data, self.partition)

    @property
    def rivals(self) -> dict[str, Group]:
        """The averaging strategies."""
        return {name: self.strategies[name] for name in self.strategies if name in AVERAGING}

    def duel(self, measure: str) -> Duel | None:
        """The relay's cost to the target, by the rival's that is cheapest in it."""
        if self.target is None or "relay" not in self.strategies:
            return None
        arrived = {n: g for n, g in self.rivals.items() if _arrives(g)}
        return self._against(arrived or self.rivals, f"to_{measure}", MEASURES[measure], cost=True)

    def ends(self, column: str, measure: str) -> Duel | None:
        """The relay's end minus the best rival's."""
        if "relay" not in self.strategies:
            return None
        return self._against(self.rivals, column, measure, cost=False)

    def _against(
        self, rivals: Mapping[str, Group], column: str, measure: str, *, cost: bool
    ) -> Duel | None:
        best: Callable[..., str] = min if cost else max
        known = {n: g.median(column).median for n, g in rivals.items() if g.median(column).known}
        if not known:
            return None
        rival = best(known, key=lambda name: known[name])
        ours, theirs = (g.by_seed(column) for g in (self.strategies["relay"], rivals[rival]))
        found = against(ours, theirs, as_ratio=cost)
        stands = standing(found, as_ratio=cost)
        lost = Standing.ABOVE if cost else Standing.BELOW
        verdict = "tie" if stands is Standing.TIE else "loses" if stands is lost else "wins"
        return Duel(measure=measure, rival=rival, found=found, is_cost=cost, verdict=verdict)

    def waved(self) -> World | None:
        """The same world with a wave in the place of the relay, where one was played."""
        if WAVE not in self.strategies:
            return None
        return replace(self, strategies={**self.strategies, "relay": self.strategies[WAVE]})

    def beside_relay(self) -> Interval:
        """The wave's end minus that of the relay of one lane."""
        return self._apart(WAVE, "relay")

    @property
    def price(self) -> Interval | None:
        """The relay's end minus that of the relay without tests."""
        return self._apart(*BOTH) if set(BOTH) <= self.strategies.keys() else None

    def _apart(self, one: str, other: str) -> Interval:
        """A strategy's end minus another's, seed by seed."""
        ends = (self.strategies[name].by_seed("final") for name in (one, other))
        return against(*ends, as_ratio=False)

    def duels(self) -> list[Duel]:
        """Every measure that is known here."""
        found = [self.duel(measure) for measure in MEASURES]
        found += [self.ends("final", "final accuracy")]
        found += [self.ends("worst_own", "the worst participant's accuracy")]
        return [duel for duel in found if duel is not None]


def _arrives(group: Group) -> bool:
    return 2 * sum(bool(row["reached"]) for row in group.rows) >= len(group.rows)


def worlds_of(results: Sequence[Stored]) -> list[World]:
    """Every world that was played with nobody hostile."""
    return [
        World(
            data=data,
            partition=partition,
            target=target,
            strategies=groups(stored, data=data, partition=partition, attack=""),
            rates={
                name.split("|")[0]: entry["chosen"]["learning-rate"]
                for name, entry in stored.tuning.items()
                if name.endswith(f"|{key}")
            },
        )
        for stored in results
        for key, target in stored.targets.items()
        for data, partition in [key.split("|")]
    ]
