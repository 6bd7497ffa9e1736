"""What participants get: accuracy on their own data, and how stale their newest model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .figures import Estimate, median_of
from .folder import Cell, number
from .panels import Contestant, Panel

__all__ = ["fairness_tables"]

_COLUMNS = {
    "worst": "own data, worst participant",
    "median": "own data, median participant",
    "stale": "staleness, median, rounds",
    "stalest": "staleness, worst, rounds",
}


def fairness_tables(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """One table a panel, nobody hostile; columns without any value are left out."""
    return [table for panel in panels if (table := _table(panel))["columns"]]


def _table(panel: Panel) -> dict[str, Any]:
    found = {each.title: _medians(each) for each in panel.clean}
    columns = [name for name in _COLUMNS if any(row[name] for row in found.values())]
    return {
        "title": panel.title,
        "columns": [_COLUMNS[name] for name in columns],
        "rows": [
            {"title": each.title, "strategy": each.strategy,
             "cells": [_cell(name, found[each.title][name]) for name in columns]}
            for each in panel.clean
            if any(found[each.title][name] for name in columns)
        ],
    }  # fmt: skip


def _medians(contestant: Contestant) -> dict[str, Estimate | None]:
    rows = [_values(cell) for cell in contestant.cells]
    medians: dict[str, Estimate | None] = {}
    for name in _COLUMNS:
        values = [value for row in rows if (value := row[name]) is not None]
        medians[name] = median_of(values) if values else None
    return medians


def _values(cell: Cell) -> dict[str, float | None]:
    staleness = cell.final.get("staleness") or {}
    return {
        "worst": number(cell.final.get("own_worst")),
        "median": number(cell.final.get("own_median")),
        "stale": number(staleness.get("median")),
        "stalest": number(staleness.get("worst")),
    }


def _cell(name: str, estimate: Estimate | None) -> dict[str, str] | None:
    if estimate is None:
        return None
    if name.startswith("stale"):
        return {
            "text": f"{estimate.value:.3g}",
            "interval": f"{estimate.low:.3g}–{estimate.high:.3g}",
        }
    low, value, high = (100 * each for each in (estimate.low, estimate.value, estimate.high))
    return {"text": f"{value:.1f} %", "interval": f"{low:.1f}–{high:.1f}"}
