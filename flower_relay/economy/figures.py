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

from .policies import POLICIES
from .population import accuracy
from .result import LAGS, QUANTILES, EconomyResult

__all__ = ["best_picture", "coins_picture", "draw_all", "satisfaction_picture", "versions_picture"]

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#882255", "#000000")
"""One a policy, in their table's order, and then again from the first: Okabe and Ito's, which
colour-blind readers can tell apart, with wine for vermilion, which marks the genesis owner."""

_STYLES = ("-", (0, (6, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
"""Dashes of the medians, in turn, for prints in grey."""

_GENESIS = "#D55E00"
_MEDIAN = "#08306B"
_BANDS = ((0.0, 1.0, 0.15), (0.05, 0.95, 0.32), (0.25, 0.75, 0.52))
"""Quantiles from and to, and how dark."""

_SATURATED = 5.0
"""Performance number from which on accuracies (0.993 and more) look alike."""

_MOST_POINTS = 1200
"""Points of a line that can be told apart in a picture."""

_Floats = NDArray[np.float64]


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
    figure, (axes,) = _canvas(result, "Coins per participant over rounds")
    _histories(axes, result, result.coins, start=0.0)
    axes.set_ylabel("coins")
    if result.quantiles is None:
        axes.ticklabel_format(style="scientific", axis="y", scilimits=(-3, 5), useMathText=True)
    else:  # else the richest would squeeze everybody onto the axis
        axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    _finish(figure, axes, path)


def versions_picture(result: EconomyResult, path: Path) -> None:
    """How old the newest model is that participants hold: the paper's second figure."""
    figure, (axes,) = _canvas(result, "Newest model held, over rounds")
    blues = colormaps["Blues"](np.linspace(0.95, 0.15, len(LAGS) - 2))
    colours: list[Any] = [*blues, "0.80", "white"]
    labels = [lag.replace("-", " − ") for lag in LAGS[:-1]] + ["no model"]
    # A stacked bar without gaps: each record reaches halfway to its neighbours.
    times = result.times
    edges = np.concatenate([[times[0] - 0.5], (times[1:] + times[:-1]) / 2, [times[-1] + 0.5]])
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
    """Cumulative utility: the accuracy of the best model held, added up over the rounds.

    Below, what is missing to a perfect model in every round: without that, all lines of a
    long run are one.
    """
    figure, (top, bottom) = _canvas(
        result, "Cumulative utility (satisfaction) per participant", panels=2
    )
    _histories(top, result, result.satisfaction, start=0.0)
    missing = result.times[:, None] - result.satisfaction
    _histories(bottom, result, _as_columns(result, missing), start=0.0)
    top.plot([0, result.times[-1]], [0, result.times[-1]], color="0.4", linestyle=":",
             linewidth=1.2, label="a perfect model in every round")  # fmt: skip
    top.set(ylabel="sum of accuracies", ylim=(0, None))
    bottom.set(ylabel="missing to perfect", ylim=(0, None))
    _finish(figure, top, path)


def best_picture(result: EconomyResult, path: Path) -> None:
    """The accuracy of the best model held, or its performance number where that says more.

    Accuracy is the sigmoid of that number, and soon the same for all where models improve
    for ever; below the numbers is then how far each is behind the best of its round.
    """
    if not (result.best >= _SATURATED).any():
        figure, (axes,) = _canvas(result, "Best model per participant")
        start = np.zeros(result.best.shape[1])
        if result.settings.topology == "fan-out":  # the one model before the first round
            start[0 if result.quantiles is None else -1] = accuracy(np.zeros(1))[0]
        _histories(axes, result, accuracy(result.best), start=start, genesis=False)
        axes.set(ylabel="accuracy of the best model held (0: no model)", ylim=(-0.02, 1.02))
        _finish(figure, axes, path)
        return
    figure, (top, bottom) = _canvas(result, "Best model per participant", panels=2)
    _histories(top, result, result.best, genesis=False)
    held = np.isfinite(result.best)
    leader = result.best.max(axis=1, keepdims=True)
    behind = np.where(held, leader - np.where(held, result.best, 0.0), np.inf)
    _histories(bottom, result, _as_columns(result, behind), genesis=False)
    top.set_ylabel("performance number")
    bottom.set(ylabel="behind the leader", ylim=(0, None))
    _finish(figure, top, path)


def _as_columns(result: EconomyResult, turned: _Floats) -> _Floats:
    """What was subtracted from something: its quantiles run the other way."""
    return turned if result.quantiles is None else turned[:, ::-1]


def _canvas(result: EconomyResult, title: str, panels: int = 1) -> tuple[Figure, list[Axes]]:
    settings = result.settings
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [3, 2][:panels]
    column = list(figure.subplots(panels, sharex=True, squeeze=False, height_ratios=ratios)[:, 0])
    about = (
        f"{settings.participants:,} participants, {settings.topology}, {settings.rewards}, "
        f"seed {settings.seed}"
    )
    column[0].set_title(f"{title}\n{about}", fontsize=11)
    column[-1].set_xlabel("round")
    column[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in column:
        axes.set_xlim(0, result.times[-1])
        if result.extinct_after is not None:
            axes.axvline(
                result.extinct_after, color="black", linewidth=1.2, linestyle="--",
                label=f"nobody owns a model\nafter round {result.extinct_after}",
            )  # fmt: skip
    return figure, column


def _histories(
    axes: Axes,
    result: EconomyResult,
    values: _Floats,
    *,
    start: float | _Floats | None = None,
    genesis: bool = True,
) -> None:
    """A line for each participant, or bands of quantiles where those are what was kept.

    `start` is what everybody has before the first round, where that is known; infinite
    values are those of who has no model, and not drawn.
    """
    times = result.times
    if start is not None:
        times = np.append(0, times)
        values = np.vstack([np.full(values.shape[1], start), values])
    if result.quantiles is not None:
        _bands(axes, times, dict(zip(QUANTILES, values.T, strict=True)), _BANDS)
        return
    points = np.unique(np.linspace(0, len(times) - 1, _MOST_POINTS).astype(np.int64))
    times, values = times[points], values[points]
    playing = np.unique(result.participants["policy"])
    if len(playing) == 1:
        edges = np.quantile(values, [0.05, 0.5, 0.95], axis=1, method="inverted_cdf")
        edges = _drawable(edges)  # whose line there is none of has no band either
        _bands(axes, times, dict(zip([0.05, 0.5, 0.95], edges, strict=True)), _BANDS[1:2])
        _lines(axes, times, values, _colour(playing[0]), alpha=(0.25, 0.6))
    else:
        for number in playing:
            _policy(axes, times, values[:, result.participants["policy"] == number], number)
    # In a chain nobody owns the genesis model.
    if genesis and result.settings.topology == "fan-out":
        axes.plot(times, values[:, 0], color=_GENESIS, linewidth=1.6, linestyle="--",
                  label="genesis owner")  # fmt: skip


def _policy(axes: Axes, times: NDArray[np.int64], theirs: _Floats, number: int) -> None:
    """Those who play one policy of several."""
    _lines(axes, times, theirs, _colour(number), alpha=(0.1, 0.3))
    middle = np.quantile(theirs, 0.5, axis=1, method="inverted_cdf")
    name = list(POLICIES)[number]
    axes.plot(
        times, _drawable(middle), color=_colour(number), linewidth=2.2,
        linestyle=_STYLES[number % len(_STYLES)], zorder=3,
        label=f"{name}: median of {theirs.shape[1]}",
    )  # fmt: skip


def _colour(policy: int) -> str:
    return _COLOURS[policy % len(_COLOURS)]


def _lines(
    axes: Axes,
    times: NDArray[np.int64],
    values: _Floats,
    colour: str,
    alpha: tuple[float, float],
) -> None:
    lines = [np.column_stack([times, column]) for column in _drawable(values).T]
    # Few people's lines can be read one by one, many people's only as a whole.
    opaque = float(np.clip(40 / len(lines), *alpha))
    axes.add_collection(
        LineCollection(lines, colors=colour, alpha=opaque, linewidths=0.8, zorder=1)
    )
    axes.autoscale_view(scalex=False)


def _bands(
    axes: Axes,
    times: NDArray[np.int64],
    quantile: dict[float, _Floats],
    bands: tuple[tuple[float, float, float], ...],
) -> None:
    """The median on bands, the widest below; who has no model is at the edge."""
    finite = np.concatenate([values[np.isfinite(values)] for values in quantile.values()])
    least, most = finite.min(), finite.max()
    blues = colormaps["Blues"]
    for low, high, dark in bands:
        axes.fill_between(
            times, np.clip(quantile[low], least, most), np.clip(quantile[high], least, most),
            color=blues(dark), linewidth=0, label=f"{100 * low:g} to {100 * high:g} %", zorder=0.5,
        )  # fmt: skip
    middle = _drawable(quantile[0.5])
    axes.plot(times, middle, color=_MEDIAN, linewidth=2.0, label="median", zorder=3)


def _drawable(values: _Floats) -> _Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _finish(figure: Figure, axes: Axes, path: Path, *, reverse: bool = False) -> None:
    for panel in figure.axes:
        panel.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    if reverse:  # as they are stacked: the topmost first
        handles, labels = handles[::-1], labels[::-1]
    axes.legend(handles, labels, bbox_to_anchor=(1.01, 0.5), loc="center left", frameon=False)
    figure.savefig(path, dpi=150)
