"""The page itself: results in, HTML out.

Everything that comes from data goes through Jinja's escaping. Style and script are in the
page, named in its Content-Security-Policy by their hashes: nothing else can run, and
nothing can be fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...report.policy import content_policy
from ...report.style import BASE
from ..files import Results
from ..statistics import Interval
from .answer import answer
from .attacks import attack_maps, detection_rows, gate_rows, hostile_rewards
from .curves import cost_tables, learning_curves
from .fairness import fairness_tables
from .lineage import lineage_view
from .origin import origin_view
from .panels import RELAY, palette_of, panels_of
from .scale import Scale, signed
from .timeline import timelines
from .truth import SIDE, read_truth, shapley_view, twins_view

__all__ = ["render"]

_STRIP = 200
"""Width of the drawing of an interval beside its number."""


def render(folder: Path, results: Results) -> str:
    """The whole page of a results folder that was read, but for its truths."""
    environment = Environment(
        loader=PackageLoader("flower_relay.comparison.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = environment.loader
    assert source is not None  # it was given above
    own, script = (source.get_source(environment, name)[0] for name in ("page.css", "page.js"))
    style = BASE + own
    environment.filters["signed"] = signed
    return environment.get_template("page.html").render(
        # Ours, not data: inside these two elements nothing is escaped in HTML.
        style=Markup(style),
        script=Markup(script),
        policy=content_policy(style, script),
        **_sections(folder, results),
    )


def _sections(folder: Path, results: Results) -> dict[str, Any]:
    panels, fleets = panels_of(results), _fleets(results)
    palette = palette_of(panels)
    return {
        "answer": answer(panels, fleets),
        "curves": learning_curves(panels, fleets, palette),
        "costs": cost_tables(panels, fleets),
        "attacks": attack_maps(panels),
        "rewards": _with_strips(hostile_rewards(panels), (0.25, 1.0)),
        "shapley": shapley_view(read_truth(folder, "shapley.json")),
        "side": SIDE,
        "twins": twins_view(read_truth(folder, "twins.json")),
        "detection": detection_rows(panels),
        "gate": _with_strips(gate_rows(panels), (-1.0, 0.0)),
        "fairness": fairness_tables(panels),
        "lineage": lineage_view(panels),
        "timelines": timelines(panels, fleets),
        "origin": origin_view(results),
        "palette": palette,
        "relay": RELAY,
    }


def _fleets(results: Results) -> list[str]:
    """The plan's fleets that some run has seconds of."""
    timed = {
        fleet
        for found in results.cells
        for fleet, seconds in (found["records"][-1]["seconds"] or {}).items()
        if seconds is not None
    }
    return [fleet for fleet in results.plan["fleets"] if fleet in timed]


def _with_strips(rows: list[dict[str, Any]], marks: tuple[float, float]) -> list[dict[str, Any]]:
    """Rows with places for a drawing of their interval, on one scale that shows the marks."""
    found: list[Interval] = [row["estimate"] for row in rows]
    ends = np.array(
        [*marks, *(end for each in found for end in (each.median, each.low, each.high))]
    )
    room = 0.08 * (np.nanmax(ends) - np.nanmin(ends))
    scale = Scale(low=np.nanmin(ends) - room, high=np.nanmax(ends) + room, start=0, end=_STRIP)
    return [
        {
            **row,
            "strip": {
                "value": float(scale(each.median)),
                "span": [float(scale(end)) for end in (each.low, each.high) if np.isfinite(end)],
                "marks": [float(scale(mark)) for mark in marks],
            },
        }
        for row, each in zip(rows, found, strict=True)
    ]
