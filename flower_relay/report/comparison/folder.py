"""A folder of comparison results, read.

The folder holds `plan.json`, `cells/*.json`, and, where those were run, `tuning.json`,
`truth/shapley.json` and `truth/twins.json`. What is missing is None or empty here, and
the page then goes without it; what is there and cannot be read is an error that names
the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ResultsError

__all__ = ["SCHEMA", "Cell", "Floats", "Results", "read_results"]

Floats = NDArray[np.float64]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One finished run of one strategy.

    Attributes
    ----------
    settings : mapping of run-config key to value
        Those that differ from the defaults.
    records : tuple of mappings
        The champion over the run: client-epochs, bytes, seconds per fleet, accuracy.
    hops : tuple of mappings
        Of a relay; empty for strategies that average.
    timeline : mapping of fleet to messages
        The first messages, with the node, start and end of each, in simulated seconds.
    """

    key: str
    strategy: str
    data: str
    partition: str
    attack: str
    share: float
    seed: int
    nodes: int
    budget: int
    engine: str
    fleet: str
    settings: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    final: Mapping[str, Any]
    hops: tuple[Mapping[str, Any], ...]
    participants: tuple[Mapping[str, Any], ...]
    timeline: Mapping[str, tuple[Mapping[str, Any], ...]]

    @property
    def clean(self) -> bool:
        """Whether nobody was set to misbehave."""
        return not self.attack or self.share == 0

    @property
    def final_accuracy(self) -> float | None:
        """Mean of the last three of forty records."""
        return number(self.final.get("accuracy"))

    def curve(self, axis: str) -> tuple[Floats, Floats]:
        """Accuracy over what it cost.

        Parameters
        ----------
        axis : str
            `epochs`, `bytes`, or the name of a fleet, for its seconds.

        Returns
        -------
        (costs, accuracies)
            Of the records that have both; costs in client-epochs, bytes or seconds.
        """
        points = [(_cost(record, axis), number(record.get("accuracy"))) for record in self.records]
        both = [(cost, accuracy) for cost, accuracy in points if cost is not None and accuracy is not None]
        if not both:
            return np.empty(0), np.empty(0)
        costs, accuracies = zip(*both, strict=True)
        return np.asarray(costs, float), np.asarray(accuracies, float)


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that a folder holds; truths are None where those experiments were not run."""

    cells: tuple[Cell, ...]
    plan: Mapping[str, Any]
    tuning: Mapping[str, Any]
    shapley: Mapping[str, Any] | None
    twins: Mapping[str, Any] | None

    @property
    def fleets(self) -> tuple[str, ...]:
        """Names of the fleets that clocks were simulated for, in the plan's order."""
        found = {
            fleet: None
            for cell in self.cells
            for fleet in (cell.records[-1].get("seconds") or {} if cell.records else {})
        }
        planned = [fleet for fleet in self.plan.get("fleets") or [] if fleet in found]
        return tuple(dict.fromkeys([*planned, *found]))


def number(value: Any) -> float | None:
    """A finite number, or None."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None


def read_results(folder: Path) -> Results:
    """Read a results folder.

    Parameters
    ----------
    folder : Path
        Where a comparison was written.

    Raises
    ------
    ResultsError
        Where there is no finished cell, or a file cannot be read, saying which.
    """
    paths = sorted((folder / "cells").glob("*.json"))
    if not paths:
        raise ResultsError(
            f"{folder}: expected results of a comparison (cells/*.json), found none. "
            "Run a comparison into this folder first."
        )
    return Results(
        cells=tuple(_read_cell(path) for path in paths),
        plan=_read(folder / "plan.json") or {},
        tuning=_read(folder / "tuning.json") or {},
        shapley=_read(folder / "truth" / "shapley.json"),
        twins=_read(folder / "truth" / "twins.json"),
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    """A file's JSON object; None where there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: expected JSON, found what cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: expected a JSON object, found a {type(content).__name__}.")
    return content


def _read_cell(path: Path) -> Cell:
    content = _read(path) or {}
    if content.get("schema") != SCHEMA:
        raise ResultsError(
            f"{path}: expected a cell of schema {SCHEMA}, found {content.get('schema')!r}. "
            "Read it with the version of flower-relay that wrote it."
        )
    try:
        cell = content["cell"]
        return Cell(
            key=str(content["key"]),
            strategy=str(cell["strategy"]),
            data=str(cell["data"]),
            partition=str(cell["partition"]),
            attack=str(cell["attack"]),
            share=float(cell["share"]),
            seed=int(cell["seed"]),
            nodes=int(cell["nodes"]),
            budget=int(cell["budget"]),
            engine=str(cell["engine"]),
            fleet=str(cell["fleet"]),
            settings=dict(cell["settings"]),
            records=tuple(content["records"]),
            final=dict(content.get("final") or {}),
            hops=tuple(content.get("hops") or ()),
            participants=tuple(content.get("participants") or ()),
            timeline={name: tuple(rows) for name, rows in (content.get("timeline") or {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(
            f"{path}: expected a finished cell, found one without a usable {error}."
        ) from error


def _cost(record: Mapping[str, Any], axis: str) -> float | None:
    if axis == "epochs":
        return number(record.get("epochs"))
    if axis == "bytes":
        down, up = number(record.get("bytes_down")), number(record.get("bytes_up"))
        return None if down is None or up is None else down + up
    return number((record.get("seconds") or {}).get(axis))
