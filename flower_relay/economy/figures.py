"""The pictures of an economy: the paper's two, and two that its authors planned.

Drawn on matplotlib's objects, without pyplot: a program that simulates must not have its
figures or its backend touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .policies import POLICIES, names_in
from .result import LAGS, QUANTILES, EconomyResult

__all__ = ["best_picture", "coins_picture", "draw_all", "satisfaction_picture", "versions_picture"]

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; one a policy."""

_GENESIS = "#D55E00"
_BANDS = ((0.0, 1.0, 0.12), (0.05, 0.95, 0.22), (0.25, 0.75, 0.35))


def draw_all(result: EconomyResult, folder: Path) -> list[Path]:
    """Draw every picture into a folder; their paths."""
    pictures = {
        "coins.png": coins_picture,
        "versions.png": versions_picture,
        "satisfaction.png": satisfaction_picture,
        "best_model.png": best_picture,
    }
    for name, draw in pictures.items():
        draw(result, folder / name)
    return [folder / name for name in pictures]


def coins_picture(result: EconomyResult, path: Path) -> None:
    """Coins per participant over the rounds: the paper's first figure."""
    figure, axes = _canvas(result, "Coins per participant over rounds")
    _histories(axes, result, result.coins, mark_genesis=True)
    axes.set_ylabel("coins")
    if result.quantiles is None:
        axes.ticklabel_format(style="scientific", axis="y", scilimits=(-3, 5), useMathText=True)
    else:  # else the richest would squeeze everybody onto the axis
        axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    _finish(figure, axes, path)


def versions_picture(result: EconomyResult, path: Path) -> None:
    """How old the newest model is that participants hold: the paper's second figure."""
    figure, axes = _canvas(result, "Newest model held, over rounds")
    blues = colormaps["Blues"](np.linspace(0.95, 0.15, len(LAGS) - 2))
    colours: list[Any] = [*blues, "0.80", "white"]
    labels = [lag.replace("-", " − ") for lag in LAGS[:-1]] + ["no model"]
    # Every round is a step as wide as itself: a stacked bar without gaps.
    edges = np.append(result.times - 0.5, result.times[-1] + 0.5)
    shares = 100 * np.vstack([result.shares, result.shares[-1:]])
    tops = np.cumsum(shares, axis=1)
    for column, (colour, label) in enumerate(zip(colours, labels, strict=True)):
        axes.fill_between(
            edges, tops[:, column] - shares[:, column], tops[:, column], step="post",
            facecolor=colour, edgecolor="0.55" if label == "no model" else "none",
            linewidth=0.3, label=label,
        )  # fmt: skip
    axes.set(ylabel="participants (%)", ylim=(0, 100), xlim=(edges[0], edges[-1]))
    _finish(figure, axes, path, reverse=True)


def satisfaction_picture(result: EconomyResult, path: Path) -> None:
    """Cumulative utility: the accuracy of the best model held, added up over the rounds."""
    figure, axes = _canvas(result, "Cumulative utility (satisfaction) per participant")
    _histories(axes, result, result.satisfaction, mark_genesis=True)
    times = np.asarray(result.times, dtype=np.float64)
    axes.plot(times, times, color="0.4", linestyle=":", linewidth=1.2,
              label="a perfect model in every round")  # fmt: skip
    axes.set(ylabel="sum of the accuracy of the best model held", ylim=(0, None))
    _finish(figure, axes, path)


def best_picture(result: EconomyResult, path: Path) -> None:
    """The performance number of the best model held; accuracy is its sigmoid."""
    figure, axes = _canvas(result, "Best model per participant")
    best = np.where(np.isneginf(result.best), np.nan, result.best)
    _histories(axes, result, best, mark_genesis=False)
    axes.set_ylabel("performance number (accuracy = its sigmoid)")
    _finish(figure, axes, path)


def _canvas(result: EconomyResult, title: str) -> tuple[Figure, Axes]:
    settings = result.settings
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    about = (
        f"{settings.participants:,} participants, {settings.topology}, {settings.rewards}, "
        f"seed {settings.seed}"
    )
    axes.set_title(f"{title}\n{about}", fontsize=11)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if result.extinct_after is not None:
        axes.axvline(result.extinct_after, color="black", linewidth=1.2, linestyle="--",
                     label=f"nobody owns a model from round {result.extinct_after} on")  # fmt: skip
    return figure, axes


def _histories(
    axes: Axes, result: EconomyResult, values: NDArray[np.float64], *, mark_genesis: bool
) -> None:
    """A line for each participant, or bands of quantiles where those are what was kept."""
    if result.quantiles is not None:
        _bands(axes, result.times, values, _COLOURS[0])
        return
    playing = names_in(result.settings.policies)
    numbers = [list(POLICIES).index(name) for name in playing]
    for name, number, colour in zip(playing, numbers, _COLOURS, strict=False):
        theirs = values[:, result.participants["policy"] == number]
        lines = [np.column_stack([result.times, column]) for column in theirs.T]
        alpha = float(np.clip(40 / max(1, len(lines)), 0.12, 0.6))
        axes.add_collection(LineCollection(lines, colors=colour, alpha=alpha, linewidths=0.7))
        label = "median" if len(playing) == 1 else f"{name}: median of {theirs.shape[1]}"
        colour = "black" if len(playing) == 1 else colour
        axes.plot(result.times, _middle(theirs), color=colour, linewidth=2.2, label=label)
    if mark_genesis:
        axes.plot(result.times, values[:, 0], color=_GENESIS, linewidth=1.6, linestyle="--",
                  label="genesis owner")  # fmt: skip
    axes.autoscale_view()


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median at each time, of those who have anything."""
    known = ~np.isnan(values)
    return np.array(
        [np.median(row[have]) if have.any() else np.nan
         for row, have in zip(values, known, strict=True)]
    )  # fmt: skip


def _bands(axes: Axes, times: NDArray[np.int64], values: NDArray[np.float64], colour: str) -> None:
    column = {quantile: values[:, place] for place, quantile in enumerate(QUANTILES)}
    for low, high, alpha in _BANDS:
        axes.fill_between(times, column[low], column[high], color=colour, alpha=alpha,
                          linewidth=0, label=f"{100 * low:g} to {100 * high:g} %")  # fmt: skip
    axes.plot(times, column[0.5], color="black", linewidth=2.0, label="median")


def _finish(figure: Figure, axes: Axes, path: Path, *, reverse: bool = False) -> None:
    axes.margins(x=0)
    axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    if reverse:  # as they are stacked: the topmost first
        handles, labels = handles[::-1], labels[::-1]
    axes.legend(handles, labels, bbox_to_anchor=(1.01, 0.5), loc="center left", frameon=False)
    figure.savefig(path, dpi=150)
