"""Learning curves, one chart a panel and axis; and the costs to a target, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import TimeTo, step_curve
from .folder import Floats
from .panels import Contestant, Panel
from .scale import Scale, path, short_number

__all__ = ["HEIGHT", "WIDTH", "axes_of", "cost_tables", "learning_curves"]

WIDTH, HEIGHT = 360, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 352, 10, 236
_POINTS = 72
"""Steps of a curve: one about every four pixels."""

_BAND = (25, 50, 75)


def axes_of(fleets: Sequence[str]) -> dict[str, str]:
    """What accuracy can be shown over, and how that is named with its unit."""
    clocks = {fleet: f"simulated seconds, {fleet}" for fleet in fleets}
    return {"epochs": "client-epochs", "bytes": "bytes moved", **clocks}


def learning_curves(
    panels: Sequence[Panel], fleets: Sequence[str], palette: Mapping[str, int]
) -> dict[str, Any] | None:
    """Charts of median accuracy with quartile bands, for every axis that has data."""
    charts = [
        chart
        for place, (axis, label) in enumerate(axes_of(fleets).items())
        for panel in panels
        if (chart := _chart(panel, axis, palette)) and chart.update(place=place, label=label) is None
    ]
    if not charts:
        return None
    shown = {line["title"]: line["colour"] for chart in charts for line in chart["lines"]}
    return {
        "charts": charts,
        "axes": [
            (place, label)
            for place, label in enumerate(axes_of(fleets).values())
            if any(chart["place"] == place for chart in charts)
        ],
        "legend": sorted(shown.items(), key=lambda item: item[1]),
    }


def _chart(panel: Panel, axis: str, palette: Mapping[str, int]) -> dict[str, Any] | None:
    curves = {each.title: _curves(each, axis) for each in panel.clean}
    curves = {title: found for title, found in curves.items() if found}
    if not curves:
        return None
    x = _cost_scale(axis, [costs for found in curves.values() for costs, _ in found])
    bands = {title: _bands(found, x) for title, found in curves.items()}
    y = _accuracy_scale([band for _, band in bands.values()], panel.target)
    return {
        "title": panel.title,
        "x_ticks": [(float(x(tick)), short_number(tick)) for tick in x.ticks()],
        "y_ticks": [(float(y(tick)), f"{100 * tick:g}") for tick in y.ticks(7)],
        "target": (float(y(panel.target)), f"{100 * panel.target:g} %"),
        "x": x,
        "y": y,
        "frame": {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM},
        "lines": [
            _line(title, at, band, x, y, palette, len(curves[title]))
            for title, (at, band) in sorted(bands.items(), key=lambda item: -palette[item[0]])
        ],
    }


def _curves(contestant: Contestant, axis: str) -> list[tuple[Floats, Floats]]:
    return [curve for cell in contestant.cells if len((curve := cell.curve(axis))[0])]


def _cost_scale(axis: str, costs: Sequence[Floats]) -> Scale:
    """Client-epochs evenly; bytes and seconds, which differ by tens, by their logarithm."""
    high = max(float(each[-1]) for each in costs)
    if axis == "epochs":
        return Scale(low=0, high=high or 1, start=_LEFT, end=_RIGHT)
    first = [float(each[each > 0][0]) for each in costs if np.any(each > 0)]
    low = min(first, default=1.0)
    return Scale(low=low, high=max(high, 2 * low), start=_LEFT, end=_RIGHT, kind="log")


def _bands(curves: Sequence[tuple[Floats, Floats]], x: Scale) -> tuple[Floats, Floats]:
    """Quartiles over seeds (3, points), up to where the first seed's run ends."""
    end = min(float(costs[-1]) for costs, _ in curves)
    start = max(x.low, max(float(costs[0]) for costs, _ in curves))
    spaced = np.geomspace if x.kind == "log" else np.linspace
    at = spaced(start, max(end, start), _POINTS)
    values = [step_curve(costs, accuracies, at) for costs, accuracies in curves]
    return at, np.percentile(values, _BAND, axis=0)


def _accuracy_scale(bands: Sequence[Floats], target: float) -> Scale:
    values = np.concatenate([band.ravel() for band in bands])
    values = values[np.isfinite(values)]
    high = min(0.999, 1 - 0.8 * (1 - max(float(values.max()), target)))
    return Scale(low=float(values.min()), high=high, start=_BOTTOM, end=_TOP, kind="error")


def _line(
    title: str, at: Floats, band: Floats, x: Scale, y: Scale, palette: Mapping[str, int], seeds: int
) -> dict[str, Any]:
    low, median, high = (y(row) for row in band)
    places = x(at)
    ribbon = path(np.r_[places, places[::-1]], np.r_[low, high[::-1]], closed=True)
    return {
        "title": title,
        "colour": palette[title],
        "seeds": seeds,
        "line": path(places, median),
        "band": ribbon if seeds > 1 else "",
        "last": f"{100 * band[1][-1]:.1f} %",
    }


def cost_tables(panels: Sequence[Panel], fleets: Sequence[str]) -> list[dict[str, Any]]:
    """One table a panel: what each contestant paid to reach the panel's target."""
    return [table for panel in panels if (table := _cost_table(panel, fleets))]


def _cost_table(panel: Panel, fleets: Sequence[str]) -> dict[str, Any] | None:
    target = panel.target
    columns = {
        axis: {each.title: each.cost(axis, target) for each in panel.clean}
        for axis in axes_of(fleets)
    }
    columns = {axis: found for axis, found in columns.items() if any(found.values())}
    if not columns:
        return None
    rows = [
        {
            "title": each.title,
            "strategy": each.strategy,
            "cells": [_cost_cell(found, each.title) for found in columns.values()],
            "final": each.final,
        }
        for each in panel.clean
    ]
    return {
        "title": panel.title,
        "target": f"{100 * target:g} %",
        "columns": [axes_of(fleets)[axis] for axis in columns],
        "rows": rows,
    }


def _cost_cell(column: Mapping[str, TimeTo | None], title: str) -> dict[str, Any] | None:
    found = column[title]
    if found is None:
        return None
    reached = [cost.cost.value for cost in column.values() if cost and not cost.mostly_never]
    longest = max(cost.cost.value for cost in column.values() if cost)
    never = found.mostly_never
    return {
        "text": f"> {short_number(found.cost.value)}" if never else short_number(found.cost.value),
        "interval": f"{short_number(found.cost.low)}–{short_number(found.cost.high)}",
        "never": f"never in {found.never} of {found.cost.count}" if found.never else "",
        "mostly_never": never,
        "best": not never and found.cost.value == min(reached),
        "bar": 100 * found.cost.value / longest if longest else 0,
    }
