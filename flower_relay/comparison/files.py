"""A comparison's folder: what was asked, every finished cell, what was tuned, the tables.

    plan.json            the grids that were asked for, joined
    cells/<key>.json     one finished cell
    tuning.json          settings by strategy, data and partition, and everything tried
    tuning/<key>.json    finished runs of the tuning
    tables/              Markdown and Parquet

Every file is there whole or not at all, so that a run may be ended at any instruction and
goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..files.durable import make_folder, write_whole
from .command import commands_of
from .devices import FLEETS
from .plan import SCHEMA, Cell, Plan, tuned_settings

__all__ = [
    "Results",
    "read_cells",
    "read_results",
    "read_tuning",
    "write_cell",
    "write_plan",
]

_PLACE = ("data", "partition", "attack", "share", "strategy", "seed")
"""What tells a cell from the others of a folder; its settings follow from the tuning."""

_TERMS = ("nodes", "budget", "engine", "fleet")
"""What all cells of a folder have in common."""

_JOINED = ("strategies", "data", "partitions", "attacks", "shares", "seeds")


@dataclass(frozen=True, kw_only=True)
class Results:
    """A folder that was read: the plan as it stands, every finished cell, the tuning."""

    plan: dict[str, Any]
    cells: list[dict[str, Any]]
    tuning: dict[str, dict[str, Any]]


def cell_file(folder: Path, cell: Cell) -> Path:
    """Where a finished cell is, or will be."""
    return folder / f"{cell.key}.json"


def write_cell(folder: Path, cell: Cell, found: Mapping[str, Any], wall_seconds: float) -> None:
    """Keep a finished cell."""
    content = {
        "schema": SCHEMA,
        "key": cell.key,
        "cell": cell.as_dict(),
        **found,
        "wall_seconds": round(wall_seconds, 2),
    }
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    write_whole(cell_file(folder, cell), text.encode())


def write_plan(folder: Path, plan: Plan, **how: Any) -> None:
    """Note what was asked, joined with what was asked of this folder before.

    Parameters
    ----------
    **how
        What belongs to the command and not to the plan: player, app, whether it was tuned.

    Raises
    ------
    ConfigurationError
        When the folder holds a comparison with other nodes, budget, engine or fleet: its
        cells could not be put in one table with these.
    """
    asked = {key: _plain(value) for key, value in dataclasses.asdict(plan).items()}
    commands = commands_of(asked | how)
    asked |= how | {"fleets": list(FLEETS)}
    path = folder / "plan.json"
    before = _read_object(path, *_TERMS, *_JOINED) if path.exists() else asked
    for key in _TERMS:
        if before[key] != asked[key]:
            raise ConfigurationError(
                f"{key} = {asked[key]!r}: {folder} holds a comparison with {key} = "
                f"{before[key]!r}. Take another folder, or the same {key}."
            )
    if before.get("app_code") != asked.get("app_code"):
        raise ConfigurationError(
            f"out = {str(folder)!r}: it holds a comparison of {_whose(before)}, and this one is of "
            f"{_whose(asked)}; their figures could not stand in one table. Take another folder."
        )
    joined = {key: list(dict.fromkeys([*before[key], *asked[key]])) for key in _JOINED}
    joined["command"] = list(dict.fromkeys([*(before.get("command") or ()), *commands]))
    make_folder(folder)
    write_whole(path, (json.dumps(asked | joined, indent=1) + "\n").encode())


def _whose(plan: Mapping[str, Any]) -> str:
    if not plan.get("app"):
        return "the line-up's own clients"
    return f"the app {plan['app']} with code {plan['app_code']}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def write_tuning(folder: Path, tuning: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what was tuned, beside what was tuned in this folder before."""
    make_folder(folder)
    merged = read_tuning(folder) | dict(tuning)
    write_whole(folder / "tuning.json", (json.dumps(merged, indent=1) + "\n").encode())


def read_tuning(folder: Path) -> dict[str, dict[str, Any]]:
    """What was tuned; nothing where there is no tuning."""
    path = folder / "tuning.json"
    return _read_object(path) if path.exists() else {}


def read_cells(folder: Path, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Those of some cells that are finished, in their order."""
    paths = (cell_file(folder, cell) for cell in cells)
    return [_read_json(path) for path in paths if path.exists()]


def read_results(folder: Path) -> Results:
    """Read a comparison's folder: every finished cell in it.

    Raises
    ------
    ConfigurationError
        When it holds none, or a file of it cannot be read.
    """
    paths = sorted((folder / "cells").glob("*.json"))
    if not paths or not (folder / "plan.json").exists():
        raise ConfigurationError(
            f"{folder} holds no comparison: expected plan.json and finished cells in cells/, as "
            "`flower-relay compare run` writes them."
        )
    plan, tuning = _read_object(folder / "plan.json"), read_tuning(folder)
    paths.sort(key=lambda path: path.stat().st_mtime_ns)
    cells: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in paths:
        found = _read_object(path, "schema", "cell")
        place = tuple(found["cell"][name] for name in _PLACE)
        # Played twice, before and after a tuning say: the one that would be played now.
        outdated = place in cells and not _as_asked(found["cell"], plan, tuning)
        if found["schema"] == SCHEMA and not outdated:
            cells[place] = found
    return Results(plan=plan, cells=[cells[place] for place in sorted(cells)], tuning=tuning)


def _as_asked(
    cell: Mapping[str, Any], plan: Mapping[str, Any], tuning: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether a cell has the settings that the folder's plan and tuning give it now."""
    tuned = tuned_settings(tuning, cell["strategy"], cell["data"], cell["partition"])
    return bool(cell["settings"] == {**tuned, **plan.get("settings", {})})


def _read_object(path: Path, *keys: str) -> dict[str, Any]:
    """A file's JSON object, with these keys at least."""
    found = _read_json(path)
    wrong = [key for key in keys if not isinstance(found, dict) or key not in found]
    if wrong or not isinstance(found, dict):
        raise ConfigurationError(
            f"{path} is none of a comparison's files: expected a JSON object"
            f"{f' with {wrong[0]!r} in it' if wrong else ''}. Nothing was changed; remove that "
            "file, and it is made anew."
        )
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"{path} cannot be read: {problem}. Nothing was changed; remove that file, and its "
            "cell is played again."
        ) from problem
