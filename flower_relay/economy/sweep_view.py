"""A sweep for people: a table of every cell, and heat maps over two of its axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from .sweep import SweepResult

__all__ = ["heat_map", "sweep_table"]

_A_ROW = 4
"""Maps side by side."""


def sweep_table(result: SweepResult, figures: list[str]) -> Table:
    """A row for each cell: what it varies, and each figure's mean and 95 % interval."""
    axes = list(result.grid.axes)
    table = Table(
        *(_name(axis) for axis in axes), *figures,
        title=f"{len(result.studies)} settings, {_seeds(result)} each "
        "(mean ± half the 95 % interval)",
    )  # fmt: skip
    columns = [result.estimates(figure) for figure in figures]
    for found, *estimates in zip(result.studies, *columns, strict=True):
        varied = [str(getattr(found.settings, name)) for name in axes]
        table.add_row(*varied, *(str(estimate or "—") for estimate in estimates))
    return table


def heat_map(result: SweepResult, figure: str, path: Path) -> None:
    """A figure's mean over the grid's first two axes, a map for each value of a third.

    Further axes are averaged over, and the title says so. A grid of one axis is drawn as
    points with their 95 % intervals.
    """
    means = result.means(figure)
    canvas = _points(result, figure) if means.ndim == 1 else _maps(result, figure, means)
    averaged = ", ".join(_name(axis) for axis in list(result.grid.axes)[3:])
    over = f", averaged over {averaged}" if averaged else ""
    canvas.suptitle(f"{figure}: mean of {_seeds(result)}{over}")
    canvas.savefig(path, dpi=150)


def _points(result: SweepResult, figure: str) -> Figure:
    canvas = _canvas(6.0, 4.2)
    axes = canvas.subplots()
    ((name, values),) = result.grid.axes.items()
    estimates = result.estimates(figure)
    places = [place for place, estimate in enumerate(estimates) if estimate]
    known = [estimate for estimate in estimates if estimate]
    axes.errorbar(
        places, [estimate.mean for estimate in known],
        # One seed has a mean and no interval.
        yerr=[0.0 if math.isnan(e.half_width) else e.half_width for e in known],
        color="#0072B2", marker="o", linestyle=":", capsize=4,
    )  # fmt: skip
    axes.set_xticks(range(len(values)), [_value(value) for value in values])
    axes.set(xlabel=_name(name), ylabel=f"{figure} (bars: 95 % interval)")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(alpha=0.25)
    _no_overlap(axes)
    return canvas


def _maps(result: SweepResult, figure: str, means: NDArray[np.float64]) -> Figure:
    # Where a cell has no such figure, the others speak for it; where none has, it stays empty.
    known = np.ma.masked_invalid(means)
    averaged = known.mean(axis=tuple(range(3, means.ndim))) if means.ndim > 3 else known
    maps = np.ma.filled(averaged, np.nan).reshape(*means.shape[:2], -1)
    names, values = list(result.grid.axes), list(result.grid.axes.values())
    across, down = min(maps.shape[2], _A_ROW), math.ceil(maps.shape[2] / _A_ROW)
    canvas = _canvas(1.5 + 4.0 * across, 0.6 + 3.6 * down)
    panels = canvas.subplots(down, across, squeeze=False)
    scale, colours = _scale(figure, maps)
    for place, axes in enumerate(panels.ravel()):
        if place >= maps.shape[2]:
            axes.set_axis_off()
            continue
        image = _map(axes, maps[:, :, place], scale, colours)
        axes.set_xticks(range(len(values[0])), [_value(value) for value in values[0]])
        axes.set_yticks(range(len(values[1])), [_value(value) for value in values[1]])
        axes.set(xlabel=_name(names[0]), ylabel=_name(names[1]))
        _no_overlap(axes)
        if len(names) > 2:
            axes.set_title(f"{_name(names[2])} = {_value(values[2][place])}", fontsize=10)
    canvas.colorbar(image, ax=panels, label=figure)
    return canvas


def _scale(figure: str, maps: NDArray[np.float64]) -> tuple[Normalize, str]:
    """One scale for all maps; for an advantage one that shows which side of zero it is on."""
    known = maps[np.isfinite(maps)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if figure.startswith("advantage "):
        far = max(abs(low), abs(high))
        return Normalize(-far, far), "PuOr_r"
    return Normalize(low, high), "cividis"


def _map(axes: Axes, values: NDArray[np.float64], scale: Normalize, colours: str) -> Any:
    axes.set_facecolor("0.85")  # what has no value
    image = axes.imshow(values.T, origin="lower", aspect="auto", cmap=colours, norm=scale)
    for (x, y), value in np.ndenumerate(values):
        red, green, blue, _ = colormaps[colours](float(scale(value)))
        dark = math.isfinite(value) and 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axes.text(x, y, _value(float(value)), ha="center", va="center", fontsize=9,
                  color="white" if dark else "black")  # fmt: skip
    return image


def _canvas(width: float, height: float) -> Figure:
    canvas = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def _no_overlap(axes: Axes) -> None:
    """Long values, such as mixes of policies, are written aslant."""
    if any(len(label.get_text()) > 12 for label in axes.get_xticklabels()):
        axes.tick_params(axis="x", labelrotation=20)


def _seeds(result: SweepResult) -> str:
    seeds = result.studies[0].seeds
    return f"{seeds} seeds" if seeds > 1 else "1 seed"


def _name(setting: str) -> str:
    return setting.replace("_", "-")


def _value(value: object) -> str:
    """A value as people write it: no exponents for coins, a dash for what is not there."""
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
