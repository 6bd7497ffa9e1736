"""The page itself: results in, HTML out.

Everything that comes from data goes through Jinja's escaping. Style and script are in the
page, named in its Content-Security-Policy by their hashes: nothing else can run, and
nothing can be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .answer import answer
from .attacks import attack_maps, detection_rows, gate_rows, hostile_rewards
from .curves import cost_tables, learning_curves
from .fairness import fairness_tables
from .figures import Estimate
from .folder import Results
from .lineage import lineage_view
from .origin import origin_view
from .panels import palette_of, panels_of
from .scale import Scale
from .timeline import timelines
from .truth import SIDE, shapley_view, twins_view

__all__ = ["render"]

_STRIP = 200
"""Width of the drawing of an interval beside its number."""


def render(results: Results) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("flower_relay.report.comparison", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = environment.loader
    assert source is not None  # it was given above
    style, script = (source.get_source(environment, name)[0] for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        # Ours, not data: inside these two elements nothing is escaped in HTML.
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        **_sections(results),
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _sections(results: Results) -> dict[str, Any]:
    panels, fleets = panels_of(results), results.fleets
    palette = palette_of(panels)
    return {
        "answer": answer(panels, fleets),
        "curves": learning_curves(panels, fleets, palette),
        "costs": cost_tables(panels, fleets),
        "attacks": attack_maps(panels),
        "rewards": _with_strips(hostile_rewards(panels), "ratio", (0.25, 1.0)),
        "shapley": shapley_view(results.shapley),
        "side": SIDE,
        "twins": twins_view(results.twins),
        "detection": detection_rows(panels),
        "gate": _with_strips(gate_rows(panels), "gain", (-1.0, 0.0)),
        "fairness": fairness_tables(panels),
        "lineage": lineage_view(panels),
        "timelines": timelines(panels, fleets),
        "origin": origin_view(results),
        "palette": palette,
    }


def _with_strips(
    rows: list[dict[str, Any]], name: str, marks: tuple[float, float]
) -> list[dict[str, Any]]:
    """Rows with places for a drawing of their interval, on one scale that shows the marks."""
    found: list[Estimate] = [row[name] for row in rows]
    ends = [*marks, *(each.low for each in found), *(each.high for each in found)]
    room = 0.08 * (max(ends) - min(ends))
    scale = Scale(low=min(ends) - room, high=max(ends) + room, start=0, end=_STRIP)
    return [
        {
            **row,
            "strip": {
                "low": float(scale(each.low)),
                "value": float(scale(each.value)),
                "high": float(scale(each.high)),
                "marks": [float(scale(mark)) for mark in marks],
            },
        }
        for row, each in zip(rows, found, strict=True)
    ]
