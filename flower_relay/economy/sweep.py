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
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError
from .files import make_output_folder
from .settings import EconomySettings
from .study import Study, figures_of

__all__ = ["Grid", "SweepResult", "sweep", "write_cell"]


_PATIENCE = 10.0
"""Seconds that a cluster may take to answer."""


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
        shape = [len(values) for values in self.grid.axes.values()]
        means = [
            found.estimate(figure).mean if figure in found.figures else np.nan
            for found in self.studies
        ]
        return np.array(means).reshape(shape)


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
    """
    cells = grid.cells(base)
    wanted = [dataclasses.replace(cell, seed=base.seed + n) for cell in cells for n in range(seeds)]
    finished = folder / "cells"
    make_output_folder(finished)
    open_ = [one for one in wanted if not _file(finished, one).exists()]
    done = len(wanted) - len(open_)
    for one, figures in _play(open_, address) if open_ else ():
        write_cell(finished, one, figures)
        done += 1
        if on_cell is not None:
            on_cell(done, len(wanted))
    rows = [json.loads(_file(finished, one).read_text())["figures"] for one in wanted]
    studies = []
    for place, cell in enumerate(cells):
        own = rows[place * seeds : (place + 1) * seeds]
        table = {name: np.array([row[name] for row in own]) for name in own[0]}
        studies.append(Study(settings=cell, seeds=seeds, figures=table))
    return SweepResult(grid=grid, studies=studies)


def _file(folder: Path, settings: EconomySettings) -> Path:
    text = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def write_cell(folder: Path, settings: EconomySettings, figures: dict[str, float]) -> None:
    """Keep a finished economy, whole or not at all: a sweep may be cut off at any moment."""
    path = _file(folder, settings)
    unfinished = path.with_suffix(".part")
    content = {"settings": dataclasses.asdict(settings), "figures": figures}
    unfinished.write_text(json.dumps(content) + "\n")
    os.replace(unfinished, path)


def _play(
    cells: list[EconomySettings], address: str | None
) -> Iterator[tuple[EconomySettings, dict[str, float]]]:
    """Play cells on Ray, yielding each as it ends."""
    try:
        import ray
    except ImportError:
        raise ConfigurationError(
            "sweeps run on Ray, which is not installed: pip install 'flower-relay[simulation]'."
        ) from None
    if address is not None:
        _check_address(address)
    ours = not ray.is_initialized()
    if ours:
        # Else Ray prints a tip about accelerators, which economies do not use.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    try:
        play = ray.remote(figures_of)
        waiting = {play.remote(cell): cell for cell in cells}
        while waiting:
            ready, _ = ray.wait(list(waiting))
            for reference in ready:
                yield waiting.pop(reference), ray.get(reference)
    finally:
        if ours:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Knock at a cluster's door: Ray itself would wait for minutes before it says anything."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"address = {address!r}: no Ray cluster answers there ({problem}); expected HOST:PORT "
            "as `ray start --head` prints it."
        ) from None
