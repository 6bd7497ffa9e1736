"""When each node was busy, on each simulated fleet: relay beside its best averaging rival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..contests import Found
from ..statistics import median
from .panels import RELAY, Panel, cells_of, title_of
from .scale import Scale, short_number

__all__ = ["timelines"]

_LEFT, _RIGHT, _TOP, _ROW = 26, 352, 6, 9
_MOST_ROWS = 40

Message = Mapping[str, Any]


def timelines(panels: Sequence[Panel], fleets: Sequence[str]) -> list[dict[str, Any]]:
    """One chart a fleet and strategy, from the first panel that has timelines of relay."""
    for panel in panels:
        cells = [found for name in _shown(panel) if (found := _first(panel, name))]
        if cells and cells[0]["cell"]["strategy"] == RELAY:
            charts = [_charts(cells, fleet) for fleet in fleets]
            return [
                {"place": place, "fleet": fleet, "panel": panel.title, "charts": found}
                for place, (fleet, found) in enumerate(zip(fleets, charts, strict=True))
                if found
            ]
    return []


def _shown(panel: Panel) -> list[str]:
    """Relay, and of its rivals the one that ends highest."""
    final = {name: median(panel.clean.final(name)).median for name in panel.rivals}
    return [RELAY, *sorted(final, key=lambda name: -final[name])[:1]]


def _first(panel: Panel, name: str) -> Found | None:
    cells = cells_of(panel.clean, name)
    return next((found for found in cells if any((found.get("timeline") or {}).values())), None)


def _charts(cells: Sequence[Found], fleet: str) -> list[dict[str, Any]]:
    """On one axis of time, which ends where the first of them has no more messages."""
    drawn = [found for found in cells if found["timeline"].get(fleet)]
    if not drawn:
        return []
    end = min(max(row["end"] for row in found["timeline"][fleet]) for found in drawn)
    time = Scale(low=0, high=end or 1, start=_LEFT, end=_RIGHT)
    return [_chart(found["cell"], found["timeline"][fleet], time) for found in drawn]


def _chart(cell: Message, messages: Sequence[Message], time: Scale) -> dict[str, Any]:
    nodes = sorted({message["node"] for message in messages})
    rows = {node: index for index, node in enumerate(nodes[:_MOST_ROWS])}
    within = [message for message in messages if message["start"] <= time.high]
    bars = [
        {
            "kind": "train" if message["kind"] == "train" else "evaluate",
            "x": round(float(time(message["start"])), 1),
            "width": round(max(0.6, float(time(message["end"]) - time(message["start"]))), 1),
            "y": _TOP + _ROW * rows[message["node"]],
        }
        for message in within
        if message["node"] in rows
    ]
    busy = sum(min(message["end"], time.high) - message["start"] for message in within)
    return {
        "title": title_of(cell["strategy"]),
        "seed": cell["seed"],
        "bars": bars,
        "rows": [(_TOP + _ROW * index, index + 1) for index in rows.values()],
        "height": _TOP + _ROW * len(rows),
        "ticks": [(float(time(tick)), short_number(tick)) for tick in time.ticks(5)],
        "busy": f"{100 * busy / (time.high * cell['nodes']):.0f} %",
        "hidden": len(nodes) - len(rows),
    }
