"""The pictures of a run: how it learned, and whose hands the baton went through."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..record import HopRow, RunRecord
from .outcome import RunOutcome

__all__ = ["learning_curve", "lineage_picture"]

_LANES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

_REJECTED = "#D55E00"


def learning_curve(outcome: RunOutcome, path: Path) -> None:
    """Accuracy over client-epochs; hops that were not accepted as ticks below."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if outcome.curve:
        epochs, accuracy = zip(*outcome.curve, strict=True)
        axes.plot(epochs, accuracy, color=_LANES[0], linewidth=1.8, label="test accuracy")
    hops = outcome.record.hops if outcome.record else []
    lost = [number for number, hop in enumerate(hops, start=1) if hop.outcome != "accepted"]
    if lost:
        axes.plot(
            lost, [0.01] * len(lost), "|", color=_REJECTED, markersize=9, label="hop not accepted"
        )
    axes.set(
        title=outcome.title,
        xlabel="client-epochs (local trainings so far)",
        ylabel="accuracy on the common test set",
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=True)
    figure.savefig(path, dpi=150)


def lineage_picture(record: RunRecord, path: Path, hostile: frozenset[str] = frozenset()) -> None:
    """The way of the baton: a row for each participant, a column for each hop.

    Parameters
    ----------
    record : RunRecord
        The relay to draw.
    path : Path
        A PNG file.
    hostile : frozenset of str
        Names to mark.
    """
    names = [row.name for row in record.participants]
    figure = Figure(figsize=(12, max(4.0, 1.6 + 0.28 * len(names))), layout="constrained")
    FigureCanvasAgg(figure)
    way, coins = figure.subplots(1, 2, sharey=True, width_ratios=(5, 1))
    _draw_way(way, record.hops)
    way.set_yticks(
        range(len(names)), [name + (" (hostile)" if name in hostile else "") for name in names]
    )
    way.set(xlabel="hop", title="The way of the baton")
    way.invert_yaxis()
    way.grid(axis="y", alpha=0.25)
    way.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=6, frameon=False)
    coins.barh(range(len(names)), [row.coins for row in record.participants], color="#999999")
    coins.set(title="coins", xlabel="at the end")
    figure.savefig(path, dpi=150)


def _draw_way(axes: Axes, hops: list[HopRow]) -> None:
    number = {id(hop): position for position, hop in enumerate(hops, start=1)}
    for lane in sorted({hop.lane for hop in hops}):
        kept = [hop for hop in hops if hop.lane == lane and hop.outcome == "accepted"]
        axes.plot(
            [number[id(hop)] for hop in kept],
            [hop.trainer for hop in kept],
            "-o",
            color=_LANES[lane % len(_LANES)],
            linewidth=0.5,
            markersize=3,
            label=f"lane {lane + 1}: accepted",
        )
    voided = [hop for hop in hops if hop.outcome in ("voided", "untested", "left")]
    lost = [hop for hop in hops if hop.outcome != "accepted" and hop not in voided]
    for rows, style, label in (
        (lost, {"marker": "x", "color": _REJECTED}, "rejected or failed"),
        (voided, {"marker": "o", "facecolors": "none", "edgecolors": "#555555"}, "undone"),
    ):
        if rows:
            axes.scatter(
                [number[id(hop)] for hop in rows],
                [hop.trainer for hop in rows],
                s=22,
                label=label,
                zorder=3,
                **style,  # type: ignore[arg-type]
            )
