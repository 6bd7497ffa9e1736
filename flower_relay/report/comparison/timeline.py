"""When each node was busy, on each simulated fleet: relay beside its best averaging rival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .folder import Cell, number
from .panels import RELAY, Contestant, Panel
from .scale import Scale, short_number

__all__ = ["timelines"]

_LEFT, _RIGHT, _TOP, _ROW = 26, 352, 6, 9
_MOST_ROWS = 40


def timelines(panels: Sequence[Panel], fleets: Sequence[str]) -> list[dict[str, Any]]:
    """One chart a fleet and strategy, from the first panel that has timelines of relay."""
    for panel in panels:
        cells = [cell for each in _shown(panel) if (cell := _first(each))]
        if cells and cells[0].strategy == RELAY:
            titles = {each.strategy: each.title for each in panel.clean}
            charts = [_charts(cells, fleet, titles) for fleet in fleets]
            return [
                {"place": place, "fleet": fleet, "panel": panel.title, "charts": found}
                for place, (fleet, found) in enumerate(zip(fleets, charts, strict=True))
                if found
            ]
    return []


def _shown(panel: Panel) -> list[Contestant]:
    """Relay, and of its rivals the one that ends highest."""
    relay = panel.contestant(RELAY)
    rivals = sorted(panel.rivals, key=lambda each: -(each.final.value if each.final else 0.0))
    return [each for each in (relay, *rivals[:1]) if each]


def _first(contestant: Contestant) -> Cell | None:
    return next((cell for cell in contestant.cells if any(cell.timeline.values())), None)


def _charts(cells: Sequence[Cell], fleet: str, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """On one axis of time, which ends where the first of them has no more messages."""
    found = [(cell, rows) for cell in cells if (rows := _spans(cell.timeline.get(fleet) or ()))]
    if not found:
        return []
    end = min(max(row[3] for row in rows) for _, rows in found)
    time = Scale(low=0, high=end or 1, start=_LEFT, end=_RIGHT)
    return [_chart(titles[cell.strategy], cell.seed, rows, time) for cell, rows in found]


def _spans(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float, float]]:
    """(node, kind, start, end) of the messages that have both times."""
    spans = []
    for message in messages:
        start, end = number(message.get("start")), number(message.get("end"))
        if start is not None and end is not None:
            spans.append((str(message.get("node")), str(message.get("kind")), start, end))
    return spans


def _chart(
    title: str, seed: int, spans: Sequence[tuple[str, str, float, float]], time: Scale
) -> dict[str, Any]:
    nodes = sorted({node for node, *_ in spans}, key=lambda node: (len(node), node))
    rows = {node: index for index, node in enumerate(nodes[:_MOST_ROWS])}
    bars = [
        {
            "kind": "train" if kind == "train" else "evaluate",
            "x": round(float(time(start)), 1),
            "width": round(max(0.6, float(time(end)) - float(time(start))), 1),
            "y": _TOP + _ROW * rows[node],
        }
        for node, kind, start, end in spans
        if node in rows and start <= time.high
    ]
    busy = sum(min(end, time.high) - min(start, time.high) for _, _, start, end in spans)
    return {
        "title": title,
        "seed": seed,
        "bars": bars,
        "rows": [(_TOP + _ROW * index, index + 1) for index in rows.values()],
        "height": _TOP + _ROW * len(rows),
        "ticks": [(float(time(tick)), short_number(tick)) for tick in time.ticks(5)],
        "busy": f"{100 * busy / (time.high * len(nodes)):.0f} %",
        "hidden": len(nodes) - len(rows),
    }
