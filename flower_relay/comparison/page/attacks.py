"""Under attack: what each strategy loses, and what the relay's gate sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..contests import Contest
from ..detection import detection_row, reward_share
from ..statistics import difference, median
from .panels import RELAY, UNTESTED, Panel, attack_title, cells_of, shown, title_of
from .scale import signed

__all__ = ["attack_maps", "detection_rows", "gate_rows", "hostile_rewards"]

_STEPS = (0.5, 1, 2, 4, 8, 12, 20, 35, 50, 70)
"""Points of accuracy at which a cell's colour gets one step stronger."""


def attack_maps(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """For each attacked panel: strategies × attacks, accuracy lost against one's own clean."""
    return [table for panel in panels if (table := _map(panel))["rows"]]


def _map(panel: Panel) -> dict[str, Any]:
    rows = [
        {
            "strategy": name,
            "title": title_of(name),
            "cells": [_drop(panel.clean, attacked, name) for attacked in panel.attacked],
        }
        for name in shown(panel.clean)
    ]
    return {
        "title": panel.title,
        "columns": [(each.attack, f"{100 * each.share:g}\u00a0%") for each in panel.attacked],
        "rows": [row for row in rows if any(row["cells"])],
    }


def _drop(clean: Contest, attacked: Contest, name: str) -> dict[str, Any] | None:
    if name not in attacked.cells:
        return None
    drop = difference(clean.final(name), attacked.final(name))
    if not drop.known:
        return None
    points = 100 * drop.median
    left = median(attacked.final(name))
    spread = f", {100 * drop.low:.1f} to {100 * drop.high:.1f}" if drop.ranged else ""
    return {
        "text": signed(points, 1).removeprefix("+"),
        "class": f"{'gain' if points < 0 else 'loss'}-{sum(abs(points) >= e for e in _STEPS)}",
        "detail": f"ends at {100 * left.median:.1f} %; loses {points:.1f}{spread} points; "
        f"seeds: {drop.count}",
    }


def hostile_rewards(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Share of all rewards to hostile participants, over their share of the heads."""
    rows: list[dict[str, Any]] = [
        {
            "panel": panel.title,
            "title": attack_title(attacked),
            "strategy": title_of(name),
            "estimate": median(attacked.of(name, reward_share)),
        }
        for panel in panels
        for attacked in panel.attacked
        for name in _judging(attacked)
    ]
    return [row for row in rows if row["estimate"].known]


def _judging(contest: Contest) -> list[str]:
    """The relays of a contest that test what they pass on."""
    return [
        name
        for name in shown(contest)
        if name.partition(":")[0] not in (UNTESTED, "cyclic")
        and all(found["hops"] for found in cells_of(contest, name))
    ]


def detection_rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """How well the gate tells hostile hops from honest ones; medians over seeds."""
    return [
        {
            "panel": panel.title,
            "title": attack_title(contest),
            "strategy": title_of(name),
            "figures": detection_row(contest, name),
        }
        for panel in panels
        for contest in (panel.clean, *panel.attacked)
        for name in _judging(contest)
    ]


def gate_rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """What testing costs when nobody is hostile: tested relay less untested, in points."""
    rows: list[dict[str, Any]] = []
    for panel in panels:
        if {RELAY, UNTESTED} <= panel.clean.cells.keys():
            tested, free = (panel.clean.final(name) for name in (RELAY, UNTESTED))
            points = [{seed: 100 * value for seed, value in one.items()} for one in (tested, free)]
            rows.append(
                {
                    "title": panel.title,
                    "estimate": difference(*points),
                    "tested": median(tested),
                    "free": median(free),
                }
            )
    return [row for row in rows if row["estimate"].known]
