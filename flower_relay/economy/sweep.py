"""Sweeps: a grid of settings times seeds, on Ray, resumable.

Each cell is one economy. A finished cell is a small file named by the hash of its
settings, so that a sweep that was cut off goes on where it stopped, and a larger grid
only plays what is new.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..destinations import check_folder
from ..errors import ConfigurationError
from ..files.durable import write_whole
from .on_ray import play_on_ray
from .settings import EconomySettings
from .study import MEASURE, Estimate, Study

__all__ = ["Grid", "SweepResult", "sweep", "write_cell"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What a sweep varies: settings by name, each with its values."""

    axes: dict[str, tuple[Any, ...]]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Grid:
        """Read axes such as `recognised-share=0.25,0.5`; several policies mixes by `;`.

        Raises
        ------
        ConfigurationError
            On a name that is no setting, or an axis without values.
        """
        known = {item.name: str(item.type) for item in dataclasses.fields(EconomySettings)}
        axes: dict[str, tuple[Any, ...]] = {}
        for text in texts:
            name, _, values = text.partition("=")
            name = name.strip().replace("-", "_")
            if name in axes:
                raise ConfigurationError(
                    f"vary {text!r}: {name} is varied twice; give all its values at once, as in "
                    f"`{name.replace('_', '-')}=VALUE,VALUE`."
                )
            if name not in known or name == "seed":
                raise ConfigurationError(
                    f"vary {text!r}: {name!r} is not a setting to vary; there are: "
                    f"{', '.join(sorted(set(known) - {'seed'}))}."
                )
            if name in axes:
                raise ConfigurationError(f"vary {text!r}: {name} is varied twice.")
            separator = ";" if name == "policies" else ","
            parts = [part.strip() for part in values.split(separator) if part.strip()]
            if not parts:
                raise ConfigurationError(f"vary {text!r}: expected NAME=VALUE,VALUE,...")
            axes[name] = tuple(_typed(text, part, known[name]) for part in parts)
        return cls(axes=axes)

    def cells(self, base: EconomySettings) -> list[EconomySettings]:
        """Every combination, on top of a base."""
        names = list(self.axes)
        return [
            dataclasses.replace(base, **dict(zip(names, values, strict=True)))
            for values in itertools.product(*self.axes.values())
        ]


def _typed(text: str, part: str, kind: str) -> Any:
    if kind == "str":
        return part
    if part.lower() == "none" and "None" in kind:
        return None
    try:
        return int(part) if kind == "int" else float(part)
    except ValueError:
        raise ConfigurationError(f"vary {text!r}: {part!r} is not a number.") from None


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """Every cell of a grid over its seeds, in the grid's order."""

    grid: Grid
    studies: list[Study]

    def means(self, figure: str) -> NDArray[np.float64]:
        """A figure's mean over seeds, one axis of the array for each of the grid's.

        NaN where a cell has no such figure: the income of a policy that nobody plays.
        """
        means = [estimate.mean if estimate else math.nan for estimate in self.estimates(figure)]
        return np.array(means).reshape([len(values) for values in self.grid.axes.values()])

    def estimates(self, figure: str) -> list[Estimate | None]:
        """A figure in every cell; None where it has none."""
        return [
            found.estimate(figure) if figure in found.figures else None for found in self.studies
        ]


def sweep(
    base: EconomySettings,
    grid: Grid,
    seeds: int,
    folder: Path,
    *,
    address: str | None = None,
    on_cell: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Play every cell with every seed that the folder does not have yet.

    Parameters
    ----------
    base : EconomySettings
        What the grid does not vary; its seed is the first.
    folder : pathlib.Path
        Where finished cells are kept.
    address : str, optional
        Of a Ray cluster; by default Ray is started here, and ended.
    on_cell : callable, optional
        Told how many are done, and of how many.

    Raises
    ------
    ConfigurationError
        Without Ray, or when no cluster answers at `address`.
    RelayError
        When Ray fails; what is finished is kept, and the same sweep goes on from there.

    Notes
    -----
    `cells.parquet` in the folder has, in the end, a row for each cell and seed of this grid.
    """
    cells = grid.cells(base)
    wanted = [dataclasses.replace(cell, seed=base.seed + n) for cell in cells for n in range(seeds)]
    finished = folder / "cells"
    check_folder(finished)
    open_ = [one for one in wanted if not _file(finished, one).exists()]
    done = len(wanted) - len(open_)
    for one, figures in play_on_ray(open_, address) if open_ else ():
        write_cell(finished, one, figures)
        done += 1
        if on_cell is not None:
            on_cell(done, len(wanted))
    rows = [json.loads(_file(finished, one).read_text())["figures"] for one in wanted]
    _write_table(folder / "cells.parquet", grid, wanted, rows)
    studies = []
    for place, cell in enumerate(cells):
        own = rows[place * seeds : (place + 1) * seeds]
        table = {name: np.array([row[name] for row in own]) for name in own[0]}
        studies.append(Study(settings=cell, seeds=seeds, figures=table))
    return SweepResult(grid=grid, studies=studies)


def _write_table(
    path: Path, grid: Grid, wanted: list[EconomySettings], rows: list[dict[str, float]]
) -> None:
    """All that was asked for in one table: what is varied, the seed, every figure."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, list[Any]] = {
        name: [getattr(one, name) for one in wanted] for name in (*grid.axes, "seed")
    }
    columns |= {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), path)


def _file(folder: Path, settings: EconomySettings) -> Path:
    content = [MEASURE, dataclasses.asdict(settings)]
    text = json.dumps(content, sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def write_cell(folder: Path, settings: EconomySettings, figures: dict[str, float]) -> None:
    """Keep a finished economy, whole or not at all: a sweep may be cut off at any moment."""
    content = {"settings": dataclasses.asdict(settings), "figures": figures}
    write_whole(_file(folder, settings), (json.dumps(content) + "\n").encode())
