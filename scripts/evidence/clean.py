"""The page of worlds and strategies with nobody hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flower_relay.comparison.contests import AVERAGING
from flower_relay.comparison.statistics import Interval, Standing

from .figures import (
    NAMES,
    Group,
    against,
    groups,
    in_points,
    learned,
    seeds_said,
    share_shown,
    shown,
    standing,
    table,
    where,
)
from .provenance import commands_of, played_by, tuning_table
from .stored import COSTS, Stored

__all__ = ["COMPARISONS", "Duel", "World", "page", "worlds_of"]

COMPARISONS = ("clean", "hospitals", "people", "other-tasks", "mnist")
"""Stored results that this page is of."""

MEASURES = {
    "epochs": "client-epochs", "megabytes": "bytes", "like": "seconds on like devices",
    "phones": "seconds on phones", "hospitals": "seconds between hospitals",
}  # fmt: skip
"""What a cost to the target is called."""

INTRODUCTION = """\
# Results: nobody hostile

This page compares the relay with averaging strategies on worlds that people know. Every strategy
is tuned by the same procedure on seeds that are not reported. It then may spend fifteen turns of
every participant. A script writes this page from the stored results.
[Under attack](attacks.md) is a page of its own.
"""

COLUMNS = """\
## How to read the tables

- **Target** is the accuracy to reach: 97 % of the best averaging strategy's rise above what is had
  without learning. Without learning means the commonest class, or the mean of a regression.
- **Reached** says how many seeds got there. A seed that did not counts with its whole run.
- **Client-epochs** are passes of one participant over its own cases, until the target.
- **Evaluations** are models that an examiner tried, until the target. Averaging needs none.
- **MB** are all messages both ways, until the target, in megabytes.
- **Seconds** are of three simulated fleets, until the target: like devices, phones that come and
  go, and hospitals. Their speeds are assumptions, stated in `flower_relay/comparison/devices.py`.
- **Final** is test accuracy, as the mean of the last three of forty records. For a regression it is
  the share of the variance that is explained.
- **Learned** is the final accuracy as a share of what there is to learn: 0 is what is had without
  learning, 1 is all.
- **Worst seed** is the lowest final accuracy of any seed.
- **Worst participant** is the result's accuracy on the kept cases of the participant that it serves
  worst, as the median of seeds.

Figures are medians of seeds. From five seeds on an interval is given: a 95 % bootstrap over seeds.
A *tie* is a ratio whose interval contains 1, or a difference whose interval contains 0. Without an
interval it is a ratio within 3 % of 1, or a difference within half a point.
"""


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
    """One world's groups, and its target."""

    data: str
    partition: str
    target: float | None
    strategies: Mapping[str, Group]

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

    def duels(self) -> list[Duel]:
        """Every measure that is known here."""
        found = [self.duel(measure) for measure in MEASURES]
        found += [self.ends("final", "final accuracy")]
        found += [self.ends("worst_own", "the worst participant's accuracy")]
        return [duel for duel in found if duel is not None]


def _arrives(group: Group) -> bool:
    return 2 * sum(row["reached"] for row in group.rows) >= len(group.rows)


def worlds_of(results: Sequence[Stored]) -> list[World]:
    """Every world that was played with nobody hostile."""
    return [
        World(
            data=data,
            partition=partition,
            target=target,
            strategies=groups(stored, data=data, partition=partition, attack=""),
        )
        for stored in results
        for key, target in stored.targets.items()
        for data, partition in [key.split("|")]
    ]


def page(results: Sequence[Stored]) -> str:
    """The whole page."""
    worlds = worlds_of(results)
    return "\n".join(
        [
            INTRODUCTION,
            _losses(worlds),
            _duels(worlds),
            COLUMNS,
            *map(_world, worlds),
            _gate(worlds),
            _sources(results),
        ]
    )


def _losses(worlds: Sequence[World]) -> str:
    lines = [line for world in worlds for line in _lost(world)]
    most = "- In no measure, in none of these worlds."
    return "## Where the relay loses\n\n" + ("\n".join(lines) or most) + "\n"


def _lost(world: World) -> Iterator[str]:
    lost = [_said(duel) for duel in world.duels() if duel.verdict == "loses"]
    relay = world.strategies["relay"]
    missed = [row for row in relay.rows if not row["reached"]]
    if missed:
        lost.append(f"{len(missed)} of {len(relay.rows)} seeds miss the target")
    price = _price(world)
    if price is not None and standing(price, as_ratio=False) is Standing.BELOW:
        lost.append(f"testing costs {shown(-100 * price.median, '.1f')} points of final accuracy")
    if lost:
        yield f"- **{world.name}**: {'; '.join(lost)}."


def _said(duel: Duel) -> str:
    if duel.is_cost:
        return f"{duel.found.median:.2f} times {NAMES[duel.rival]}'s {duel.measure}"
    points = shown(-100 * duel.found.median, ".1f")
    return f"{duel.measure} is {points} points below {NAMES[duel.rival]}'s"


def _duels(worlds: Sequence[World]) -> str:
    head = ["world", *MEASURES.values(), "final accuracy", "worst participant"]
    rows = [[world.name, *_cells(world)] for world in worlds]
    return (
        "## The relay beside the best averaging strategy\n\n"
        "Costs are the relay's to the target, divided by those of the averaging strategy that is "
        "cheapest in that measure. Accuracies are the relay's minus the best averaging "
        "strategy's, in points. Where the relay loses, the figure is bold.\n\n"
        f"{table(head, rows)}\n"
    )


def _cells(world: World) -> list[str]:
    known = {duel.measure: duel for duel in world.duels()}
    names = [*MEASURES.values(), "final accuracy", "the worst participant's accuracy"]
    return [_cell(known[name]) if name in known else "–" for name in names]


def _cell(duel: Duel) -> str:
    text = shown(duel.found, ".2f") if duel.is_cost else shown(in_points(duel.found), "+.1f")
    tie = " tie" if duel.verdict == "tie" else ""
    mark = "**" if duel.verdict == "loses" else ""
    return f"{mark}{text}{mark}{tie}, {NAMES[duel.rival]}"


def _world(world: World) -> str:
    head = [
        "", "reached", "client-epochs", "evaluations", "MB", "s, like devices", "s, phones",
        "s, hospitals", "final", "learned", "worst seed", "worst participant",
    ]  # fmt: skip
    target = "nothing was learned" if world.target is None else f"target {world.target:.3f}"
    rows = [_row(name, group) for name, group in world.strategies.items()]
    note = f"{target}; {seeds_said(world.strategies.values())}."
    return f"## {world.name}\n\n{note[0].upper()}{note[1:]}\n\n{table(head, rows)}\n" + _grouped(
        world
    )


def _row(name: str, group: Group) -> list[str]:
    reached = [row["reached"] for row in group.rows]
    places = {"epochs": ".0f", "evaluations": ",.0f"}
    costs = [
        shown(group.median(f"to_{cost}"), places.get(cost, "size"), interval=cost == "epochs")
        for cost in COSTS
    ]
    return [
        f"**{NAMES[name]}**" if name == "relay" else NAMES[name],
        f"{sum(map(bool, reached))} of {len(reached)}",
        *costs,
        shown(group.median("final"), ".3f"),
        share_shown(group.median(learned).median),
        shown(group.worst("final"), ".3f"),
        shown(group.median("worst_own"), ".3f", interval=False),
    ]


def _grouped(world: World) -> str:
    """The mean over natural groups, where a world has them: another metric, other winners."""
    found = {name: group.median("groups") for name, group in world.strategies.items()}
    if not any(each.known for each in found.values()):
        return ""
    line = ", ".join(
        f"{NAMES[n]} {shown(each, '.3f', interval=False)}" for n, each in found.items()
    )
    return (
        "\nAccuracy as the mean over groups, in which a small group counts as much as a large "
        f"one: {line}.\n"
    )


def _price(world: World) -> Interval | None:
    """The relay's end minus that of the relay without tests."""
    if not {"relay", "relay-untested"} <= world.strategies.keys():
        return None
    ours, bare = (world.strategies[n].by_seed("final") for n in ("relay", "relay-untested"))
    return against(ours, bare, as_ratio=False)


def _gate(worlds: Sequence[World]) -> str:
    rows = []
    for world in worlds:
        found = _price(world)
        if found is not None:
            rows.append([world.name, shown(in_points(found), "+.1f"), _testing(world)])
    return (
        "## What testing costs\n\n"
        "Final accuracy of the relay minus the relay without tests, seed by seed, in points; and "
        "evaluations for each client-epoch of the whole run.\n\n"
        f"{table(['world', 'points', 'evaluations a client-epoch'], rows)}\n"
    )


def _testing(world: World) -> str:
    per = world.strategies["relay"].median(lambda row: row["all_evaluations"] / row["all_epochs"])
    return shown(per, ".1f", interval=False)


def _sources(results: Sequence[Stored]) -> str:
    return (
        "## How it was played\n\n"
        "These commands play it again. What is finished is kept, and the same command goes on "
        f"where it stopped.\n\n{commands_of(results)}\n\n{played_by(results)}\n\n"
        "What tuning chose, on one seed that is not reported, and what it was allowed: the number "
        f"of runs, and their client-epochs.\n\n{tuning_table(results)}\n"
    )
