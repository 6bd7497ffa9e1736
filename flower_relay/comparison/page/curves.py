"""Learning curves, one chart a panel and axis; and the costs to a target, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..contests import Contest
from ..figures import along
from ..statistics import Interval, median
from .panels import Panel, cells_of, shown, title_of
from .scale import Floats, Scale, cost, path, short_number

__all__ = ["axes_of", "cost_tables", "learning_curves"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 352, 10, 236
"""Of a chart of 360 × 270: as wide as a phone, so that its letters are as tall as the page's."""

_POINTS = 72
"""Steps of a curve: one about every four pixels."""

_BAND = (25, 50, 75)

_COUNTED = {"epochs": "client-epochs", "evaluations": "evaluations"}
"""What the tables of costs open with."""

Curve = tuple[Floats, Floats]


def axes_of(fleets: Sequence[str]) -> dict[str, str]:
    """What accuracy can be shown over, and how that is named with its unit."""
    clocks = {f"seconds {fleet}": f"simulated seconds, {fleet}" for fleet in fleets}
    return {"epochs": "client-epochs", "bytes": "bytes moved", **clocks}


def learning_curves(
    panels: Sequence[Panel], fleets: Sequence[str], palette: Mapping[str, int]
) -> dict[str, Any] | None:
    """Charts of median accuracy with quartile bands, for every axis that has data."""
    charts = [
        {**chart, "place": place, "label": label}
        for place, (axis, label) in enumerate(axes_of(fleets).items())
        for panel in panels
        if (chart := _chart(panel, axis, palette))
    ]
    if not charts:
        return None
    drawn = {line["colour"]: line["title"] for chart in charts for line in chart["lines"]}
    axes = {chart["place"]: chart["label"] for chart in charts}
    return {"charts": charts, "axes": list(axes.items()), "legend": sorted(drawn.items())}


def _chart(panel: Panel, axis: str, palette: Mapping[str, int]) -> dict[str, Any] | None:
    found = {name: _curves(panel.clean, name, axis) for name in shown(panel.clean)}
    curves = {name: each for name, each in found.items() if each}
    if not curves:
        return None
    x = _cost_scale(axis, [costs for each in curves.values() for costs, _ in each])
    bands = {name: _bands(each, x) for name, each in curves.items()}
    y = _accuracy_scale([band for _, band in bands.values()], panel.target)
    return {
        "title": panel.title,
        "x_ticks": [_x_tick(x, tick) for tick in x.ticks()],
        "y_ticks": [(float(y(tick)), f"{100 * tick:g}") for tick in y.ticks(7)],
        "target": _target_line(panel.target, y),
        "x": x,
        "y": y,
        "frame": {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM},
        # The first strategies, relay above all, are drawn last, over the others.
        "lines": [
            {"title": title_of(name), "colour": palette[name], "seeds": len(curves[name])}
            | _line(*bands[name], x, y, len(curves[name]))
            for name in reversed(bands)
        ],
    }


def _target_line(target: float, y: Scale) -> tuple[float, str] | None:
    """Where the target is and what it is; nothing where there is none."""
    return (float(y(target)), f"{100 * target:.3g} %") if np.isfinite(target) else None


def _curves(contest: Contest, strategy: str, axis: str) -> list[Curve]:
    """Costs and accuracies of each seed that has them."""
    curves = []
    for found in cells_of(contest, strategy):
        costs = np.asarray(along(found["records"], axis), float)
        accuracies = np.asarray([record["accuracy"] for record in found["records"]], float)
        if len(costs) and np.isfinite(costs).all() and np.isfinite(accuracies).all():
            curves.append((costs, accuracies))
    return curves


def _x_tick(x: Scale, tick: float) -> tuple[float, str, str]:
    """A tick's place, text, and where its text ends: the last one's at the frame's edge."""
    place = float(x(tick))
    return place, short_number(tick), "end" if place > _RIGHT - 12 else "middle"


def _cost_scale(axis: str, costs: Sequence[Floats]) -> Scale:
    """Client-epochs evenly; bytes and seconds, which differ by tens, by their logarithm."""
    high = max(float(each[-1]) for each in costs)
    if axis == "epochs":
        return Scale(low=0, high=high or 1, start=_LEFT, end=_RIGHT)
    first = [float(each[each > 0][0]) for each in costs if np.any(each > 0)]
    low = min(first, default=1.0)
    return Scale(low=low, high=max(high, 2 * low), start=_LEFT, end=_RIGHT, kind="log")


def _bands(curves: Sequence[Curve], x: Scale) -> tuple[Floats, Floats]:
    """Quartiles over seeds (3, points), up to where the first seed's run ends."""
    end = min(float(costs[-1]) for costs, _ in curves)
    start = max(x.low, max(float(costs[0]) for costs, _ in curves))
    spaced = np.geomspace if x.kind == "log" else np.linspace
    at = np.asarray(spaced(start, max(end, start), _POINTS), float)
    values = [_steps(costs, accuracies, at) for costs, accuracies in curves]
    return at, np.percentile(values, _BAND, axis=0)


def _steps(costs: Floats, accuracies: Floats, at: Floats) -> Floats:
    """Accuracy of the newest record at each cost; the first record's before it."""
    newest = np.searchsorted(costs, at * (1 + 1e-9), side="right") - 1
    return accuracies[np.maximum(newest, 0)]


def _accuracy_scale(bands: Sequence[Floats], target: float) -> Scale:
    values = np.concatenate([band.ravel() for band in bands])
    top = max(float(values.max()), target if np.isfinite(target) else 0.0)
    high = min(0.999, 1 - 0.8 * (1 - top))
    return Scale(low=float(values.min()), high=high, start=_BOTTOM, end=_TOP, kind="error")


def _line(at: Floats, band: Floats, x: Scale, y: Scale, seeds: int) -> dict[str, str]:
    low, middle, high = (y(row) for row in band)
    places = x(at)
    ribbon = path(np.r_[places, places[::-1]], np.r_[low, high[::-1]], closed=True)
    return {
        "line": path(places, middle),
        "band": ribbon if seeds > 1 else "",
        "last": f"{100 * band[1][-1]:.1f} %",
    }


def cost_tables(panels: Sequence[Panel], fleets: Sequence[str]) -> list[dict[str, Any]]:
    """One table a panel: what each strategy paid to reach the panel's target."""
    return [_cost_table(panel, fleets) for panel in panels if panel.clean.cells]


def _cost_table(panel: Panel, fleets: Sequence[str]) -> dict[str, Any]:
    contest, target = panel.clean, panel.target
    names = shown(contest)
    columns = {
        axis: {name: median(contest.spent(name, axis, target)) for name in names}
        for axis in _COUNTED | axes_of(fleets)
    }
    never = {name: len(contest.cells[name]) - contest.reached(name, target) for name in names}
    kept = [axis for axis, column in columns.items() if any(e.known for e in column.values())]
    return {
        "title": panel.title,
        "target": f"{100 * target:.3g} %" if np.isfinite(target) else "an accuracy: none learned",
        "columns": [(_COUNTED | axes_of(fleets))[axis] for axis in kept],
        "rows": [
            {
                "strategy": name,
                "title": title_of(name),
                "cells": [_cost_cell(columns[axis], never, name, axis) for axis in kept],
                "final": median(contest.final(name)),
            }
            for name in names
        ],
    }


def _cost_cell(
    column: Mapping[str, Interval], never: Mapping[str, int], name: str, axis: str
) -> dict[str, Any] | None:
    found = column[name]
    if not found.known:
        return None
    lost = {each: 2 * never[each] > column[each].count for each in column}
    reached = [each.median for other, each in column.items() if each.known and not lost[other]]
    longest = max(each.median for each in column.values() if each.known)
    low, middle, high = (
        cost(value, axis, longest) for value in (found.low, found.median, found.high)
    )
    return {
        "text": f"> {middle}" if lost[name] else middle,
        "interval": f"{low} – {high}" if found.ranged else "",
        "never": f"never in {never[name]} of {found.count}" if never[name] else "",
        "mostly_never": lost[name],
        "best": bool(found.median) and not lost[name] and found.median == min(reached),
        "bar": 100 * found.median / longest if longest else 0,
    }
