"""What participants get: accuracy on their own data, and how stale their newest model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..figures import FAIRNESS
from ..statistics import Interval, median
from .panels import Panel, shown, title_of

__all__ = ["fairness_tables"]


def fairness_tables(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """One table a panel, nobody hostile; columns without any value are left out."""
    return [table for panel in panels if (table := _table(panel))["columns"]]


def _table(panel: Panel) -> dict[str, Any]:
    contest = panel.clean
    found = {
        column: {name: median(contest.of(name, figure)) for name in shown(contest)}
        for column, figure in FAIRNESS.items()
    }
    columns = [name for name, column in found.items() if any(e.known for e in column.values())]
    return {
        "title": panel.title,
        "columns": columns,
        "rows": [
            {
                "strategy": name,
                "title": title_of(name),
                "cells": [_cell(column, found[column][name]) for column in columns],
            }
            for name in shown(contest)
        ],
    }


def _cell(column: str, estimate: Interval) -> dict[str, str] | None:
    if not estimate.known:
        return None
    own = column.startswith("own")
    low, middle, high = (
        f"{100 * value:.1f}" if own else f"{value:.3g}"
        for value in (estimate.low, estimate.median, estimate.high)
    )
    return {
        "text": f"{middle} %" if own else middle,
        "interval": f"{low} to {high}" if estimate.ranged else "",
    }
