"""Cells put in order: panels (one data set, one partition), and in each the contestants.

A contestant is a strategy; where one was run with several settings in the same panel
(other numbers of lanes, say), each of these is a contestant with those settings in its
name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .figures import Estimate, TimeTo, cost_to_target, median_of
from .folder import Cell, Results

__all__ = ["AVERAGING", "RELAY", "UNTESTED", "Contestant", "Panel", "attack_title", "palette_of", "panels_of"]

RELAY, UNTESTED = "relay", "relay-untested"

AVERAGING = ("fedavg", "fedprox", "fedavgm", "fedadam")
"""The rivals that a relay's cost is measured against."""

_TITLES = {
    RELAY: "Relay",
    UNTESTED: "Relay, untested",
    "relay-fanout": "Relay, fan-out",
    "cyclic": "Cyclic ring",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "fedavgm": "FedAvgM",
    "fedadam": "FedAdam",
    "fedmedian": "FedMedian",
    "fedtrimmedavg": "FedTrimmedAvg",
    "multikrum": "MultiKrum",
}
"""Known strategies, in the order in which they are shown."""

_TARGETS = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

_SCHEMES = {"dirichlet": "Dirichlet", "iid": "IID", "shards": "shards", "labels": "labels each"}


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One strategy in one panel, under one attack or none; a cell a seed."""

    strategy: str
    title: str
    cells: tuple[Cell, ...]

    @property
    def final(self) -> Estimate | None:
        """Median final accuracy."""
        return median_of(list(self.finals.values())) if self.finals else None

    @property
    def finals(self) -> dict[int, float]:
        """Final accuracy by seed."""
        finals = ((cell.seed, cell.final_accuracy) for cell in self.cells)
        return {seed: value for seed, value in finals if value is not None}

    def cost(self, axis: str, target: float) -> TimeTo | None:
        """What it cost to reach a target; None without records of that axis."""
        curves = {cell.seed: cell.curve(axis) for cell in self.cells}
        curves = {seed: curve for seed, curve in curves.items() if len(curve[0])}
        return cost_to_target(curves, target) if curves else None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What is comparable: same data, partition, nodes, budget, engine and fleet.

    Attributes
    ----------
    clean : tuple of Contestant
        With nobody hostile.
    attacked : mapping of (attack, share) to contestants
        In the order of attacks' names, then of shares.
    """

    title: str
    clean: tuple[Contestant, ...]
    attacked: dict[tuple[str, float], tuple[Contestant, ...]]

    def contestant(self, strategy: str) -> Contestant | None:
        """The first clean contestant of a strategy."""
        return next((each for each in self.clean if each.strategy == strategy), None)

    @property
    def rivals(self) -> tuple[Contestant, ...]:
        """The averaging strategies, clean."""
        return tuple(each for each in self.clean if each.strategy in AVERAGING)

    @property
    def target(self) -> float:
        """The highest of the usual targets that some averaging strategy's median run reaches."""
        judged = self.rivals or self.clean
        for target in _TARGETS:
            costs = [each.cost("epochs", target) for each in judged]
            if any(cost and not cost.mostly_never for cost in costs):
                return target
        return _TARGETS[-1]


def panels_of(results: Results) -> tuple[Panel, ...]:
    """Sort cells into panels, in the plan's order where it has one."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in sorted(results.cells, key=lambda cell: _planned(cell, results)):
        place = (cell.data, cell.partition, cell.nodes, cell.budget, cell.engine, cell.fleet)
        groups.setdefault(place, []).append(cell)
    varying = [len({place[index] for place in groups}) > 1 for index in range(6)]
    return tuple(_panel(cells, varying) for cells in groups.values())


def attack_title(attack: str, share: float) -> str:
    """An attack with its share of hostile participants."""
    return f"{attack}, {100 * share:g} %"


def _planned(cell: Cell, results: Results) -> tuple[object, ...]:
    return (
        _place(cell.data, results.plan.get("data")),
        _place(cell.partition, results.plan.get("partitions")),
        cell.nodes, cell.budget, cell.engine, cell.fleet, cell.seed, cell.key,
    )  # fmt: skip


def _place(name: str, order: object) -> tuple[int, str]:
    """Where a name stands in an order; those that do not, by name after all others."""
    known = list(order) if isinstance(order, list | tuple) else []
    return (known.index(name) if name in known else len(known), name)


def _panel(cells: Sequence[Cell], varying: Sequence[bool]) -> Panel:
    first = cells[0]
    further = (f"{first.nodes} nodes", f"{first.budget} client-epochs", first.engine, first.fleet)
    title = ", ".join(
        [f"{first.data}, {_scheme(first.partition)}"]
        + [text for text, varies in zip(further, varying[2:], strict=True) if varies]
    )
    attacks = sorted({(cell.attack, cell.share) for cell in cells if not cell.clean})
    return Panel(
        title=title,
        clean=_contestants(cell for cell in cells if cell.clean),
        attacked={
            key: _contestants(cell for cell in cells if (cell.attack, cell.share) == key)
            for key in attacks
        },
    )


def _scheme(partition: str) -> str:
    name, _, value = partition.partition(":")
    return " ".join(part for part in (_SCHEMES.get(name, name), value) if part)


def _contestants(cells: Iterable[Cell]) -> tuple[Contestant, ...]:
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        variant = json.dumps(cell.settings, sort_keys=True, default=str)
        groups.setdefault(cell.strategy, {}).setdefault(variant, []).append(cell)
    known = list(_TITLES)
    order = sorted(groups, key=lambda name: _place(name, known))
    return tuple(
        Contestant(strategy=name, title=_title(name, variant, groups[name]), cells=tuple(found))
        for name in order
        for variant, found in groups[name].items()
    )


def _title(name: str, variant: str, variants: dict[str, list[Cell]]) -> str:
    title = _TITLES.get(name, name)
    if len(variants) == 1:
        return title
    all_settings = [json.loads(text) for text in variants]
    own = json.loads(variant)
    differing = sorted(
        key
        for key in {key for settings in all_settings for key in settings}
        if len({json.dumps(settings.get(key)) for settings in all_settings}) > 1
    )
    named = [f"{key} {own[key]}" for key in differing if key in own]
    return f"{title} · {', '.join(named) or 'default'}"


def palette_of(panels: Iterable[Panel]) -> dict[str, int]:
    """A colour's number for each contestant's title, the same in every chart of a page."""
    everybody = [each for panel in panels for group in (panel.clean, *panel.attacked.values()) for each in group]  # noqa: E501
    known = list(_TITLES.values())
    others = sorted({each.title for each in everybody} - set(known))
    return {title: number for number, title in enumerate([*known, *others])}
