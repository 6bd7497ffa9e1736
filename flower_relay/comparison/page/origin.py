"""How the results were made: commands, what was compared, tuned settings, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answer import measured
from ..command import commands_of
from ..files import Results
from ..plan import TUNING_NOTES

__all__ = ["origin_view"]


def origin_view(results: Results) -> dict[str, Any]:
    """Of the plan and the tuning all that there is, as texts."""
    plan = results.plan
    return {
        "commands": _commands(plan.get("command")) or commands_of(plan),
        "asked": [
            (key, _text(value))
            for key, value in plan.items()
            if key not in ("command", "versions") and value not in ({}, [], "")
        ],
        "measured": measured(results),
        "versions": [(str(key), _text(each)) for key, each in (plan.get("versions") or {}).items()],
        "tuned": [_tuned(name, found) for name, found in sorted(results.tuning.items())],
        "cells": len(results.cells),
        "seeds": sorted({found["cell"]["seed"] for found in results.cells}),
    }


def _commands(noted: Any) -> list[str]:
    """A plan notes its commands as one text or as several."""
    return [noted] if isinstance(noted, str) and noted else list(map(str, noted or ()))


def _tuned(name: str, found: Any) -> dict[str, Any]:
    """`strategy|data|partition`, what it was given, and how many settings were tried."""
    settings = found if isinstance(found, Mapping) else {"value": found}
    return {
        "name": name.split("|"),
        "settings": ", ".join(
            f"{key} {_text(value)}" for key, value in settings.items() if key not in TUNING_NOTES
        ),
        "tried": len(settings.get("tried") or ()),
        "runs": _cost(settings, "runs"),
        "epochs": _cost(settings, "client-epochs"),
    }


def _cost(settings: Mapping[str, Any], what: str) -> str:
    """What a tuning cost; nothing where it was not noted."""
    noted = settings.get("cost")
    value = noted.get(what) if isinstance(noted, Mapping) else None
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(each) or "none" for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
