"""One relay run laid open: who trained what on what, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...statements import short_name
from ..outcome import fate_of
from .folder import Cell, number
from .panels import RELAY, Contestant, Panel, attack_title

__all__ = ["lineage_view"]

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
        (panel, key, cell)
        for panel in panels
        for key, group in (*panel.attacked.items(), (("", 0.0), panel.clean))
        for cell in _relay_cells(group)
    ]
    if not runs:
        return None
    panel, key, cell = runs[0]
    attack = attack_title(*key) if key[0] else "nobody hostile"
    return {
        "title": f"{panel.title}, {attack}, seed {cell.seed}",
        **_drawing(cell, cell.hops[:_MOST]),
        "beyond": max(0, len(cell.hops) - _MOST),
    }


def _relay_cells(group: Sequence[Contestant]) -> list[Cell]:
    cells = [cell for each in group if each.strategy == RELAY for cell in each.cells if cell.hops]
    return sorted(cells, key=lambda cell: cell.seed)


def _drawing(cell: Cell, hops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = _names(cell, hops)
    rows = {name: index for index, name in enumerate(names)}
    makers: dict[str, int] = {}
    nodes = []
    for index, hop in enumerate(hops):
        fate, trainer = fate_of(str(hop.get("outcome"))), _trainer(cell, hop)
        parent = makers.get(str(hop.get("base")))
        nodes.append(_node(index, hop, fate, trainer, parent, rows[trainer]))
        if hop.get("model") is not None:
            makers.setdefault(str(hop["model"]), index)
    width = 2 * _LEFT + _COLUMN * max(len(nodes) - 1, 0)
    hostile = {str(row.get("name")) for row in cell.participants if row.get("hostile")}
    return {
        "nodes": nodes,
        "links": [_link(nodes, node) for node in nodes if node["parent"] is not None],
        "names": [(short_name(name), name in hostile) for name in names],
        "width": width,
        "height": 2 * _TOP + _ROW * (len(names) - 1),
        "row": _ROW,
        "top": _TOP,
        "marks": [(_x(index), index + 1) for index in range(9, len(nodes), 10)],
        "strips": list(range(0, width, _STRIP * _COLUMN)),
        "strip_width": _STRIP * _COLUMN,
        "counts": {
            fate: sum(node["fate"] == fate for node in nodes)
            for fate in ("accepted", "rejected", "voided", "untested")
        },
    }


def _names(cell: Cell, hops: Sequence[Mapping[str, Any]]) -> list[str]:
    """Participants in their own order; trainers that are not among them after."""
    known = [str(row.get("name")) for row in cell.participants]
    return list(dict.fromkeys([*known, *(_trainer(cell, hop) for hop in hops)]))


def _trainer(cell: Cell, hop: Mapping[str, Any]) -> str:
    """A trainer is given by name, or by its place among the participants."""
    trainer = hop.get("trainer")
    if isinstance(trainer, int) and 0 <= trainer < len(cell.participants):
        return str(cell.participants[trainer].get("name"))
    return str(trainer)


def _x(index: int) -> int:
    return _LEFT + _COLUMN * index


def _node(
    index: int, hop: Mapping[str, Any], fate: str, trainer: str, parent: int | None, row: int
) -> dict[str, Any]:
    vote = number(hop.get("vote"))
    return {
        "index": index,
        "x": _x(index),
        "y": _TOP + _ROW * row,
        "fate": fate,
        "outcome": str(hop.get("outcome")),
        "trainer": short_name(trainer),
        "hostile": bool(hop.get("hostile")),
        "round": hop.get("round"),
        "lane": hop.get("lane"),
        "vote": "no vote" if vote is None else f"{vote:+.3f}".replace("-", "−"),
        "base": str(hop.get("base"))[:_NAME],
        "model": "none" if hop.get("model") is None else str(hop["model"])[:_NAME],
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
