"""How the results were made: commands, what was compared, tuned settings, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .folder import Results

__all__ = ["origin_view"]

_COMMANDS = ("command", "commands")
_VERSIONS = "versions"


def origin_view(results: Results) -> dict[str, Any]:
    """Of the plan and the tuning all that there is, as texts."""
    plan = results.plan
    return {
        "commands": [line for key in _COMMANDS for line in _lines(plan.get(key))],
        "asked": [
            (key, _text(value)) for key, value in plan.items() if key not in (*_COMMANDS, _VERSIONS)
        ],
        "versions": list(_pairs(plan.get(_VERSIONS))),
        "tuned": [_tuned(name, found) for name, found in sorted(results.tuning.items())],
        "cells": len(results.cells),
        "seeds": sorted({cell.seed for cell in results.cells}),
    }


def _lines(value: Any) -> list[str]:
    """A command is one text, a list of words, or there is a list of commands."""
    if not value:
        return []
    if isinstance(value, str):
        return [value]
    return [line if isinstance(line, str) else " ".join(map(str, line)) for line in value]


def _tuned(name: str, found: Any) -> dict[str, Any]:
    """`strategy|data|partition`, what it was given, and how many settings were tried."""
    settings = found if isinstance(found, Mapping) else {"value": found}
    return {
        "name": name.split("|"),
        "settings": ", ".join(
            f"{key} {_text(value)}" for key, value in settings.items() if key != "tried"
        ),
        "tried": len(settings.get("tried") or ()),
    }


def _pairs(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [(str(key), _text(each)) for key, each in value.items()]
    return [("", _text(value))] if value else []


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
