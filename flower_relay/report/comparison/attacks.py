"""Under attack: what each strategy loses, and what the relay's gate sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..outcome import fate_of
from .figures import Estimate, median_of
from .folder import Cell
from .panels import RELAY, UNTESTED, Contestant, Panel, attack_title

__all__ = ["attack_maps", "detection_rows", "gate_rows", "hostile_rewards"]

_STEPS = (0.5, 1, 2, 4, 8, 12, 20, 35, 50, 70)
"""Points of accuracy at which a cell's colour gets one step stronger."""


def attack_maps(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """For each attacked panel: strategies × attacks, accuracy lost against one's own clean."""
    return [table for panel in panels if (table := _map(panel))["rows"]]


def _map(panel: Panel) -> dict[str, Any]:
    strategies = {
        each.title: each for group in (panel.clean, *panel.attacked.values()) for each in group
    }
    rows = [
        {"title": title, "strategy": each.strategy, "cells": _drops(panel, each)}
        for title, each in strategies.items()
    ]
    return {
        "title": panel.title,
        "columns": [attack_title(*key) for key in panel.attacked],
        "rows": [row for row in rows if any(row["cells"])],
    }


def _drops(panel: Panel, contestant: Contestant) -> list[dict[str, Any] | None]:
    clean = _same(panel.clean, contestant)
    return [_drop(clean, _same(group, contestant)) for group in panel.attacked.values()]


def _same(group: Sequence[Contestant], sought: Contestant) -> Contestant | None:
    """The contestant of the same title, else the only one of the same strategy."""
    titled = [each for each in group if each.title == sought.title]
    named = [each for each in group if each.strategy == sought.strategy]
    return titled[0] if titled else named[0] if len(named) == 1 else None


def _drop(clean: Contestant | None, attacked: Contestant | None) -> dict[str, Any] | None:
    if clean is None or attacked is None:
        return None
    both = [seed for seed in attacked.finals if seed in clean.finals]
    if not both:
        return None
    drop = median_of([100 * (clean.finals[seed] - attacked.finals[seed]) for seed in both])
    left = median_of([100 * attacked.finals[seed] for seed in both])
    step = sum(abs(drop.value) >= edge for edge in _STEPS)
    return {
        "text": f"{drop.value:.1f}".replace("-", "−").replace("−0.0", "0.0"),
        "class": f"{'gain' if drop.value < 0 else 'loss'}-{step}",
        "detail": f"ends at {left.value:.1f} %; drop {drop.low:.1f} to {drop.high:.1f} points "
        f"(95 % interval, {drop.count} seeds)",
    }


def hostile_rewards(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Share of all rewards to hostile participants, over their share of the heads."""
    return [
        {"panel": panel.title, "title": attack_title(*key), "strategy": each.title, "ratio": ratio}
        for panel in panels
        for key, group in panel.attacked.items()
        for each in group
        if (ratio := _estimate([_reward_ratio(cell) for cell in each.cells]))
    ]


def _reward_ratio(cell: Cell) -> float | None:
    hostile = [bool(row.get("hostile")) for row in cell.participants]
    earned = [float(row.get("earned") or 0) for row in cell.participants]
    if not sum(earned) or not any(hostile):
        return None
    theirs = sum(coins for coins, bad in zip(earned, hostile, strict=True) if bad)
    return (theirs / sum(earned)) / (sum(hostile) / len(hostile))


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    found = [value for value in values if value is not None]
    return median_of(found) if found else None


def detection_rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """How well the gate tells hostile hops from honest ones; medians over seeds."""
    rows = []
    for panel in panels:
        for key, group in {("nobody hostile", 0.0): panel.clean, **panel.attacked}.items():
            for each in group:
                seen = [_detection(cell) for cell in each.cells if cell.hops]
                if seen and each.strategy != UNTESTED and _judged(each):
                    title = attack_title(*key) if key[1] else key[0]
                    medians = {name: _estimate([one[name] for one in seen]) for name in seen[0]}
                    rows.append(
                        {"panel": panel.title, "title": title, "strategy": each.title, **medians}
                    )
    return rows


def _judged(contestant: Contestant) -> bool:
    return any(fate_of(str(hop.get("outcome"))) == "rejected" for cell in contestant.cells for hop in cell.hops)  # noqa: E501


def _detection(cell: Cell) -> Mapping[str, float | None]:
    fates = [(fate_of(str(hop.get("outcome"))), bool(hop.get("hostile"))) for hop in cell.hops]
    caught = [hostile for fate, hostile in fates if fate == "rejected"]
    tested = [hostile for fate, hostile in fates if fate in ("accepted", "rejected")]
    honest = [fate for fate, hostile in fates if not hostile]
    return {
        "precision": _share(sum(caught), len(caught)) if any(tested) else None,
        "recall": _share(sum(caught), sum(tested)),
        "rejected": _share(honest.count("rejected"), len(honest)),
        "voided": _share(honest.count("voided"), len(honest)),
    }


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def gate_rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """What testing costs when nobody is hostile: tested relay less untested, in points."""
    rows = []
    for panel in panels:
        tested, free = panel.contestant(RELAY), panel.contestant(UNTESTED)
        if tested is None or free is None:
            continue
        both = [seed for seed in tested.finals if seed in free.finals]
        if both:
            gain = median_of([100 * (tested.finals[seed] - free.finals[seed]) for seed in both])
            rows.append(
                {"title": panel.title, "gain": gain, "tested": tested.final, "free": free.final}
            )
    return rows
