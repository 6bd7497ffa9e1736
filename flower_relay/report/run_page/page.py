"""The page put together: markup, style, script, and the data where it is to keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ...files.durable import write_whole
from ..policy import content_policy
from ..run_view import RunView, changes
from ..style import BASE
from .markup import MARKUP
from .script import SCRIPT
from .style import STYLE

__all__ = ["PAGE", "live_page", "saved_page", "write_run_page"]

PAGE = "report.html"
"""The file in a run's folder."""


def saved_page(views: Sequence[RunView]) -> str:
    """The page with its data in it: it needs no server and no network."""
    title = ", ".join(view.title for view in views)
    return _render(title, {"live": False, "runs": [changes(view) for view in views]})


def live_page(titles: Sequence[str]) -> str:
    """The page that asks the server it came from for its data."""
    return _render(", ".join(titles), {"live": True, "runs": []})


def write_run_page(folder: Path, views: Sequence[RunView]) -> Path:
    """Write `report.html` into a folder; its path."""
    path = folder / PAGE
    write_whole(path, saved_page(views).encode("utf-8"))
    return path


def _render(title: str, data: dict[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    style = BASE + STYLE
    return environment.from_string(MARKUP).render(
        title=title,
        # Ours, not data: inside these two elements nothing is escaped in HTML.
        style=Markup(style),
        script=Markup(SCRIPT),
        policy=content_policy(style, SCRIPT, connects=bool(data["live"])),
        data=_embedded(data),
    )


def _embedded(data: dict[str, Any]) -> Markup:
    """JSON that no text in it can end: there is no `<` left to close the element with."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
