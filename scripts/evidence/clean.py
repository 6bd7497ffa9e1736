"""The page of worlds and strategies with nobody hostile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flower_relay.comparison.statistics import Standing

from .figures import (
    NAMES,
    Group,
    in_points,
    learned,
    seeds_said,
    share_shown,
    shown,
    standing,
    table,
)
from .provenance import commands_of, played_by, tuning_table
from .stored import COSTS, Stored
from .worlds import BOTH, MEASURES, Duel, World, worlds_of

__all__ = ["COMPARISONS", "page"]

COMPARISONS = ("clean", "hospitals", "people", "other-tasks", "mnist")
"""Stored results that this page is of."""

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


def page(results: Sequence[Stored]) -> str:
    """The whole page."""
    worlds = worlds_of(results)
    return "\n".join(
        [
            INTRODUCTION,
            _losses(worlds),
            _duels(worlds),
            _waves(worlds),
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
    """What costs more, and in a sentence of its own where accuracy is lost."""
    duels = [duel for duel in world.duels() if duel.verdict == "loses"]
    costs = [_said(duel) for duel in duels if duel.is_cost]
    lost = [_said(duel) for duel in duels if not duel.is_cost]
    relay = world.strategies["relay"]
    missed = [row for row in relay.rows if not row["reached"]]
    if missed:
        lost.append(f"{len(missed)} of {len(relay.rows)} seeds miss the target")
    price = world.price
    if price is not None and standing(price, as_ratio=False) is Standing.BELOW:
        points = shown(-100 * price.median, ".1f")
        lost.append(f"it ends {points} points below the relay without tests")
    said = ["; ".join(part) for part in (costs, lost) if part]
    if said:
        yield f"- **{world.name}**: {'. '.join(part[0].upper() + part[1:] for part in said)}."


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


def _waves(worlds: Sequence[World]) -> str:
    measures, rows = ("like", "phones", "epochs", "megabytes"), []
    for world in worlds:
        waved = world.waved()
        if waved is not None:
            duels = map(waved.duel, measures)
            ended = shown(in_points(world.beside_relay()), "+.1f")
            rows.append([world.name, *("–" if d is None else _cell(d) for d in duels), ended])
    head = ["world", *(MEASURES[name] for name in measures)]
    return (
        "## A wave, where time is scarce\n\n"
        'The same costs of a relay with `lanes="wave"` ([lanes](../how-to/lanes.md)). It keeps the '
        "learning rate of one lane. The last column is its final accuracy minus that of one lane, "
        f"in points.\n\n{table([*head, 'final accuracy'], rows)}\n"
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


def _gate(worlds: Sequence[World]) -> str:
    rows = []
    for world in worlds:
        found = world.price
        if found is not None:
            rates = [f"{world.rates[name]:g}" for name in BOTH if name in world.rates]
            rows.append(
                [world.name, shown(in_points(found), "+.1f"), ", ".join(rates), _testing(world)]
            )
    return (
        "## What testing costs\n\n"
        "Final accuracy of the relay minus the relay without tests, seed by seed, in points. Both "
        "are tuned for speed on their own. Where their learning rates differ, the difference is of "
        "those, too. "
        "The last column has evaluations for each client-epoch of the whole run.\n\n"
        f"{table(['world', 'points', 'learning rates', 'evaluations a client-epoch'], rows)}\n"
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
