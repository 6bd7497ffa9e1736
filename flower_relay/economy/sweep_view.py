"""A sweep for people: a table of every cell, and heat maps over two of its axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from .study import Study
from .sweep import SweepResult

__all__ = ["heat_map", "sweep_table"]

_MAPS_A_ROW = 4


def sweep_table(result: SweepResult, figures: list[str]) -> Table:
    """A row for each cell: what it varies, and each figure's mean and 95 % interval."""
    axes = list(result.grid.axes)
    table = Table(
        *(name.replace("_", "-") for name in axes), *figures,
        title=f"{len(result.studies)} settings, {result.studies[0].seeds} seeds each "
        "(mean ± half the 95 % interval)",
    )  # fmt: skip
    for found in result.studies:
        varied = [str(getattr(found.settings, name)) for name in axes]
        table.add_row(*varied, *(_cell(found, figure) for figure in figures))
    return table


def _cell(found: Study, figure: str) -> str:
    return str(found.estimate(figure)) if figure in found.figures else "—"


def heat_map(result: SweepResult, figure: str, path: Path) -> None:
    """A figure's mean over the grid's first two axes, a map for each value of a third.

    Further axes are averaged over, and the title says so.
    """
    names, values = list(result.grid.axes), list(result.grid.axes.values())
    means = result.means(figure)
    if len(names) == 1:
        means, names, values = means[:, None], [*names, ""], [*values, ("",)]
    averaged = names[3:]
    means = means.mean(axis=tuple(range(3, means.ndim))) if averaged else means
    maps = means[:, :, None] if means.ndim == 2 else means
    shown = maps.shape[2]
    columns, rows = min(shown, _MAPS_A_ROW), math.ceil(shown / _MAPS_A_ROW)
    canvas = Figure(figsize=(1.5 + 4.6 * columns, 4.6 * rows), layout="constrained")
    FigureCanvasAgg(canvas)
    panels = list(canvas.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[shown:]:
        unused.remove()
    panels = panels[:shown]
    limits = (float(np.nanmin(maps)), float(np.nanmax(maps)))
    for place, axes in enumerate(panels):
        image = _map(axes, maps[:, :, place], names, values, limits)
        if len(names) > 2:
            axes.set_title(f"{names[2].replace('_', '-')} = {values[2][place]}")
    canvas.colorbar(image, ax=list(panels), label=figure)
    title = f"{figure}: mean of {result.studies[0].seeds} seeds"
    canvas.suptitle(title + (f", averaged over {', '.join(averaged)}" if averaged else ""))
    canvas.savefig(path, dpi=150)


def _map(
    axes: Axes,
    values: NDArray[np.float64],
    names: list[str],
    ticks: list[tuple[Any, ...]],
    limits: tuple[float, float],
) -> Any:
    image = axes.imshow(values.T, origin="lower", aspect="auto", cmap="cividis",
                        vmin=limits[0], vmax=limits[1])  # fmt: skip
    axes.set_xticks(range(len(ticks[0])), [str(tick) for tick in ticks[0]])
    axes.set_yticks(range(len(ticks[1])), [str(tick) for tick in ticks[1]])
    axes.set(xlabel=names[0].replace("_", "-"), ylabel=names[1].replace("_", "-"))
    middle = (limits[0] + limits[1]) / 2
    for (x, y), value in np.ndenumerate(values):
        axes.text(x, y, f"{value:.3g}", ha="center", va="center",
                  color="white" if value < middle else "black")  # fmt: skip
    return image
