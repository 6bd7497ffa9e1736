"""One relay run laid open: who trained what on what, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...mechanism.identity import short_name
from ...report.outcome import fate_of
from ...rules.outcomes import Outcome
from .panels import RELAY, Panel, attack_title, cells_of
from .scale import signed

__all__ = ["lineage_view"]

Row = Mapping[str, Any]

_COLUMN, _ROW = 16, 18
_LEFT, _TOP = 12, 12
_STRIP = 60
"""Hops a line in print."""

_MOST = 1200
"""Hops shown; what is beyond is counted."""

_NAME = 10
"""Digits of a model's hash that are shown."""


def lineage_view(panels: Sequence[Panel]) -> dict[str, Any] | None:
    """The first attacked relay run that there is, else the first clean one.

    An attacked one shows more: what the gate let pass, and what it did not.
    """
    runs = [
        (panel, contest, found)
        for panel in panels
        for contest in (*panel.attacked, panel.clean)
        for found in cells_of(contest, RELAY)
        if found["hops"]
    ]
    if not runs:
        return None
    panel, contest, found = runs[0]
    hops = found["hops"]
    return {
        "title": f"{panel.title}, {attack_title(contest)}, seed {found['cell']['seed']}",
        **_drawing(found["participants"], hops[:_MOST]),
        "beyond": max(0, len(hops) - _MOST),
    }


def _drawing(people: Sequence[Row], hops: Sequence[Row]) -> dict[str, Any]:
    names = list(dict.fromkeys([*(row["name"] for row in people), *(h["trainer"] for h in hops)]))
    rows = {name: index for index, name in enumerate(names)}
    makers: dict[str, int] = {}
    nodes = []
    for index, hop in enumerate(hops):
        nodes.append(_node(index, hop, makers.get(hop["base"]), rows[hop["trainer"]]))
        if hop["model"] is not None:
            makers.setdefault(hop["model"], index)
    width = 2 * _LEFT + _COLUMN * max(len(nodes) - 1, 0)
    hostile = {row["name"] for row in people if row["hostile"]}
    return {
        "nodes": nodes,
        "links": [_link(nodes, node) for node in nodes if node["parent"] is not None],
        "names": [(short_name(name), name in hostile) for name in names],
        "width": width,
        "height": 2 * _TOP + _ROW * (len(names) - 1),
        "row": _ROW,
        "top": _TOP,
        "marks": [(_x(index), index + 1) for index in range(9, len(nodes), 10)],
        "strips": [_x(index) - _COLUMN // 2 for index in range(0, len(nodes), _STRIP)],
        "strip_width": _STRIP * _COLUMN,
        "counts": {fate: sum(node["fate"] == fate for node in nodes) for fate in Outcome},
    }


def _x(index: int) -> int:
    return _LEFT + _COLUMN * index


def _node(index: int, hop: Row, parent: int | None, row: int) -> dict[str, Any]:
    vote, model = hop["vote"], hop["model"]
    return {
        "index": index,
        "x": _x(index),
        "y": _TOP + _ROW * row,
        "fate": fate_of(hop["outcome"]),
        "outcome": hop["outcome"],
        "trainer": short_name(hop["trainer"]),
        "hostile": hop["hostile"],
        "round": hop["round"],
        "lane": hop["lane"],
        "vote": "no vote" if vote is None else signed(vote, 3),
        "base": hop["base"][:_NAME],
        "model": "none" if model is None else model[:_NAME],
        "parent": parent,
    }


def _link(nodes: Sequence[Mapping[str, Any]], node: Mapping[str, Any]) -> dict[str, Any]:
    parent = nodes[node["parent"]]
    middle = (parent["x"] + node["x"]) / 2
    return {
        "index": node["index"],
        "fate": node["fate"],
        "d": f"M{parent['x']} {parent['y']}C{middle:g} {parent['y']} {middle:g} {node['y']} "
        f"{node['x']} {node['y']}",
    }
