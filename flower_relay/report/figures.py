"""The pictures of a run: how it learned, and whose hands the baton went through.

Drawn on matplotlib's objects, without pyplot: a report must not touch the figures or
the backend of the program that it is written in.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..federation.record import HopRow, RunRecord
from ..mechanism.identity import short_name
from ..rules.outcomes import Outcome
from .outcome import RunOutcome, fate

__all__ = ["learning_curve", "lineage_picture"]

_LANES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; without its red."""

_MARKERS = ("o", "s", "^", "D", "v")
"""One shape a lane besides, for prints in grey; five, so that 30 lanes differ."""

_REJECTED = "#D55E00"
_MOST_NAMES = 80
"""Rows that can all be named without the names touching."""

_Point = tuple[float, float]


def learning_curve(outcome: RunOutcome, path: Path) -> None:
    """Accuracy over client-epochs; rejected hops as ticks on the axis.

    Parameters
    ----------
    outcome : RunOutcome
        The run to draw.
    path : Path
        A PNG file.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if outcome.curve:
        epochs, accuracy = zip(*outcome.curve, strict=True)
        axes.plot(
            epochs, accuracy, color=_LANES[0], linewidth=1.8,
            marker="o" if len(epochs) <= 60 else "", markersize=3.5,
            label=f"test accuracy ({accuracy[-1]:.3f} at the end)",
        )  # fmt: skip
    hops = outcome.record.hops if outcome.record else []
    lost = [number for number, hop in enumerate(hops, start=1) if fate(hop) == Outcome.REJECTED]
    if lost:
        # Below zero, where no accuracy can be: ticks and curve never meet.
        axes.vlines(lost, -0.05, -0.01, color=_REJECTED, linewidth=1.0,
                    label=f"hop rejected or failed ({len(lost)} of {len(hops)})")  # fmt: skip
    axes.set_title(outcome.title, parse_math=False)
    axes.set(
        xlabel="client-epochs (local trainings so far)",
        ylabel="accuracy on the common test set",
        ylim=(-0.06 if lost else 0.0, 1.02),
    )
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    _legend_below(figure, axes)
    figure.savefig(path, dpi=150)


def lineage_picture(record: RunRecord, path: Path, hostile: frozenset[str] = frozenset()) -> None:
    """The way of the baton: a row for each participant, a column for each hop.

    A line joins every accepted hop to the one that made its base, so that it shows a
    lane that went on from another lane's model. Where the base is an average of several
    lanes, it joins the lane's own last hop.

    Parameters
    ----------
    record : RunRecord
        The relay to draw.
    path : Path
        A PNG file.
    hostile : frozenset of str
        Names to mark.
    """
    rows = len(record.participants)
    figure = Figure(figsize=(14, min(24.0, max(4.0, 1.8 + 0.28 * rows))), layout="constrained")
    FigureCanvasAgg(figure)
    way, coins = figure.subplots(1, 2, sharey=True, width_ratios=(7, 1))
    _draw_accepted(way, record)
    _draw_others(way, record.hops)
    way.set(xlabel="hop", title="The way of the baton", xlim=_padded(len(record.hops)))
    way.xaxis.set_major_locator(MaxNLocator(integer=True))
    way.grid(axis="y", alpha=0.25)
    _draw_coins(coins, record)
    _name_rows(way, record, hostile)
    _legend_below(figure, way)
    figure.savefig(path, dpi=150)


def _padded(hops: int) -> tuple[float, float]:
    edge = 0.5 + 0.01 * hops
    return 1 - edge, max(hops, 1) + edge


def _draw_accepted(axes: Axes, record: RunRecord) -> None:
    segments = _segments(record)
    kept: dict[int, list[_Point]] = {}
    for number, hop in enumerate(record.hops, start=1):
        if fate(hop) == Outcome.ACCEPTED:
            kept.setdefault(_lane(record, hop), []).append((number, hop.trainer))
    for lane in sorted(kept):
        colour = _LANES[lane % len(_LANES)]
        lines = LineCollection(segments.get(lane, []), colors=colour, linewidths=0.7, alpha=0.6)
        axes.add_collection(lines, autolim=False)
        x, y = zip(*kept[lane], strict=True)
        axes.scatter(
            x, y, s=13, color=colour, marker=_MARKERS[lane % len(_MARKERS)], zorder=3,
            label="accepted" if len(kept) == 1 else f"lane {lane + 1}: accepted",
        )  # fmt: skip


def _segments(record: RunRecord) -> dict[int, list[tuple[_Point, _Point]]]:
    """For each lane, from the maker of each accepted hop's base to the hop."""
    genesis = record.hops[0].base if record.hops else ""
    maker: dict[str, _Point] = {}
    last: dict[int, _Point] = {}
    segments: dict[int, list[tuple[_Point, _Point]]] = {}
    for number, hop in enumerate(record.hops, start=1):
        if fate(hop) != Outcome.ACCEPTED:
            continue
        lane, here = _lane(record, hop), (float(number), float(hop.trainer))
        origin = None if hop.base == genesis else maker.get(hop.base, last.get(lane))
        if origin is not None:
            segments.setdefault(lane, []).append((origin, here))
        last[lane] = here
        if hop.model is not None:
            maker[hop.model] = here
    return segments


def _lane(record: RunRecord, hop: HopRow) -> int:
    """A hop's lane; in a fan-out that is just its place in the round, so all share one."""
    return 0 if record.settings.topology == "fan-out" else hop.lane


def _draw_others(axes: Axes, hops: list[HopRow]) -> None:
    fates = [(number, hop.trainer, fate(hop)) for number, hop in enumerate(hops, start=1)]
    rejected = [(x, y) for x, y, what in fates if what == Outcome.REJECTED]
    spared = [(x, y) for x, y, what in fates if what in (Outcome.VOIDED, Outcome.UNTESTED)]
    if rejected:
        x, y = zip(*rejected, strict=True)
        axes.scatter(x, y, s=34, marker="x", color=_REJECTED, linewidths=1.6, zorder=5,
                     label="rejected or failed")  # fmt: skip
    if spared:
        x, y = zip(*spared, strict=True)
        axes.scatter(x, y, s=24, marker="o", facecolors="none", edgecolors="#555555",
                     linewidths=0.9, zorder=4, label="voided, untested or left")  # fmt: skip


def _draw_coins(axes: Axes, record: RunRecord) -> None:
    coins = [row.coins for row in record.participants]
    locked = [row.locked for row in record.participants]
    places, earned = range(len(coins)), [sum(both) for both in zip(coins, locked, strict=True)]
    axes.barh(places, coins, color="#777777", height=0.7)
    bars = axes.barh(places, locked, left=coins, color="#d5d5d5", height=0.7)
    if len(coins) <= _MOST_NAMES:
        axes.bar_label(bars, [f"{value:.3g}" for value in earned], padding=3, fontsize=8)
    axes.set_xlim(0, 1.35 * max(earned, default=0) or 1)  # room for the numbers
    axes.set(title="Coins", xlabel="paid, and (light)\nlocked")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines[["top", "right"]].set_visible(False)


def _name_rows(axes: Axes, record: RunRecord, hostile: frozenset[str]) -> None:
    names = [row.name for row in record.participants]
    shown = range(0, len(names), 1 + len(names) // (_MOST_NAMES + 1))
    labels = [short_name(names[i]) + (" (hostile)" if names[i] in hostile else "") for i in shown]
    axes.set_yticks(shown, labels)
    for index, label in zip(shown, axes.get_yticklabels(), strict=True):
        label.set_parse_math(False)  # a name is a name, also with a dollar in it
        if names[index] in hostile:
            label.set_color(_REJECTED)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)  # the first participant on top


def _legend_below(figure: Figure, axes: Axes) -> None:
    """Outside the axes, where it covers no data; no legend where there is nothing to name."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(handles)),
                      frameon=False, markerscale=1.5)  # fmt: skip
