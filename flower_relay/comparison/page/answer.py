"""The answer first: one sentence, three figures, and where relay loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..contests import Contest, best_rival, has_learned_there
from ..statistics import (
    CLOSE,
    ENOUGH,
    NEARLY_EVEN,
    Interval,
    Standing,
    difference,
    median,
    ratio,
)
from .panels import RELAY, Panel, title_of
from .scale import cost, signed

__all__ = ["answer"]

Row = dict[str, Any]

_TIMES = "of the best averaging strategy's"


def answer(panels: Sequence[Panel], fleets: Sequence[str]) -> dict[str, Any] | None:
    """What relay costs and gives against the best averaging rival of each panel.

    Returns
    -------
    dict or None
        None where no panel has relay and a rival, both clean.
    """
    both = [panel for panel in panels if RELAY in panel.clean.cells and panel.rivals]
    if not both:
        return None
    epochs = [row for panel in both if (row := _cost_row(panel, "epochs", panel.title))]
    moved = [row for panel in both if (row := _cost_row(panel, "bytes", panel.title))]
    finals = [_final_row(panel) for panel in both]
    clocks = [
        {**row, "fleet": fleet, "panel": panel.title}
        for fleet in fleets
        for panel in both
        if (row := _cost_row(panel, f"seconds {fleet}", fleet))
    ]
    everything = [
        *((row, "client-epochs") for row in epochs),
        *((row, "bytes moved") for row in moved),
        *((row, f"seconds on {row['fleet']}") for row in clocks),
        *((row, "final accuracy, points") for row in finals),
    ]
    return {
        "sentence": _sentence(epochs, finals, clocks, fleets),
        "few": _few(both),
        "cards": [
            _card("Client-epochs to target", epochs, _TIMES),
            _card("Final accuracy, equal budget", finals, "points against the best of them"),
            _card("Time on the clock to target", _by_fleet(clocks), _TIMES),
        ],
        "losses": [
            {**row, "label": f"{row.get('panel', row['label'])}: {name}"}
            for row, name in everything
            if row["loses"]
        ],
        "ties": sum(row["tie"] for row, _ in everything),
        "compared": len(everything),
    }


def _few(panels: Sequence[Panel]) -> str:
    """That some of it is of few seeds, where it is."""
    least = min(len(by_seed) for panel in panels for by_seed in panel.clean.cells.values())
    if least >= ENOUGH:
        return ""
    return f"Few seeds: some of this is of {least} only, and {ENOUGH} are the least to rely on."


def _cost_row(panel: Panel, axis: str, label: str) -> Row | None:
    """Relay's cost as a multiple of the cheapest rival's; None where one was not measured."""
    contest, target = panel.clean, panel.target
    rival = best_rival(contest, axis, target)
    if rival is None or math.isnan(target):
        return None
    relay, theirs = (contest.spent(name, axis, target) for name in (RELAY, rival))
    times = ratio(relay, theirs)
    if not times.known:
        return None
    own, other = median(relay).median, median(theirs).median
    longest = max(own, other)
    never, nor = ("" if contest.arrives(name, target) else " (never)" for name in (RELAY, rival))
    standing = times.beside(1.0, NEARLY_EVEN)
    return {
        "label": label,
        "value": times.median,
        "text": _times(times.median),
        "detail": f"to {100 * target:.3g}\u00a0% accuracy",
        "interval": _interval(times, _times),
        "bars": [
            ("Relay", cost(own, axis, longest) + never, _width(own, other)),
            (title_of(rival), cost(other, axis, longest) + nor, _width(other, own)),
            *(_evaluations(contest, (RELAY, rival)) if axis == "epochs" else ()),
        ],
        "tie": standing is Standing.TIE and not never,
        "loses": standing is Standing.ABOVE or bool(never),
    }


def _evaluations(contest: Contest, names: Sequence[str]) -> list[tuple[str, str, None]]:
    """What was examined beside the training; nothing where it was not counted."""
    found = {name: median(contest.evaluations(name)) for name in names}
    return [
        (f"{title_of(name)}, evaluations", f"{each.median:.3g} a client-epoch", None)
        for name, each in found.items()
        if each.known
    ]


def _final_row(panel: Panel) -> Row:
    contest = panel.clean
    finals = {name: contest.final(name) for name in (RELAY, *panel.rivals)}
    middles = {name: median(values).median for name, values in finals.items()}
    rival = max(panel.rivals, key=lambda name: middles[name])
    gain = difference(finals[RELAY], finals[rival])
    own, other = middles[RELAY], middles[rival]
    standing = gain.beside(0.0, CLOSE)
    lost = [title_of(name) for name in (RELAY, rival) if not has_learned_there(contest, name)]
    nothing = f"; nothing was learned by {' and '.join(lost)}" if lost else ""
    return {
        "label": panel.title,
        "value": 100 * gain.median,
        "text": _points(gain.median),
        "detail": f"median of the difference, seed by seed{nothing}",
        "interval": _interval(gain, _points),
        "bars": [
            ("Relay", f"{100 * own:.1f}\u00a0%", None),
            (title_of(rival), f"{100 * other:.1f}\u00a0%", None),
        ],
        "tie": standing is Standing.TIE and not lost,
        "loses": standing is Standing.BELOW or title_of(RELAY) in lost,
    }


def _times(value: float) -> str:
    return f"{value:.1f}×" if value >= 2 else f"{value:.2f}×"


def _points(value: float) -> str:
    return signed(100 * value, 1)


def _interval(found: Interval, spelled: Any) -> str:
    """Its ends; nothing for a single seed."""
    if not math.isfinite(found.low):
        return ""
    return f"{spelled(found.low)} to {spelled(found.high)}"


def _width(value: float, other: float) -> float:
    return 100 * value / max(value, other) if max(value, other) > 0 else 0.0


def _by_fleet(clocks: Sequence[Row]) -> list[Row]:
    """One row a fleet: its panel where relay does worst, with the span over all of them."""
    rows = []
    for fleet in dict.fromkeys(row["fleet"] for row in clocks):
        own = sorted((row for row in clocks if row["fleet"] == fleet), key=lambda row: row["value"])
        where = f"{own[-1]['panel']}, the worst for relay, " if len(own) > 1 else ""
        rows.append(
            {
                **own[-1],
                "text": _span_text(own),
                "detail": where + own[-1]["detail"],
                "ends": own,
                "loses": any(row["loses"] for row in own),
                "tie": all(row["tie"] for row in own),
            }
        )
    return rows


def _card(title: str, rows: list[Row], unit: str) -> Row:
    """The lowest and the highest of all make the big figure; a single one is itself."""
    ends = [each for row in rows for each in row.get("ends", [row])]
    return {"title": title, "figure": _span_text(ends), "unit": unit, "rows": rows}


def _span_text(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    ordered = sorted(rows, key=lambda row: float(row["value"]))
    texts = list(dict.fromkeys([ordered[0]["text"], ordered[-1]["text"]]))
    points = texts[0][0] in "+−"
    return (" to " if points else "–").join(texts).replace("×–", "–")


def _sentence(
    epochs: Sequence[Row], finals: Sequence[Row], clocks: Sequence[Row], fleets: Sequence[str]
) -> str:
    parts = []
    if epochs:
        times = _span_text(epochs).rstrip("×").replace("–", " to ")
        parts.append(f"needs {times} times the client-epochs of the best averaging strategy")
    parts.append(f"ends {_above_or_below([row['value'] for row in finals])}")
    if clocks:
        parts.append(_on_the_clock(clocks, fleets))
    return f"Relay {_listed(parts)}."


def _above_or_below(points: Sequence[float]) -> str:
    low, high = min(points), max(points)
    if low < 0 <= high:
        return f"between {-low:.1f} points below and {high:.1f} points above it"
    ends = sorted({f"{abs(low):.1f}", f"{abs(high):.1f}"}, key=float)
    return f"{' to '.join(ends)} points {'above' if low >= 0 else 'below'} it"


def _on_the_clock(clocks: Sequence[Row], fleets: Sequence[str]) -> str:
    slower = [f for f in fleets if any(row["fleet"] == f and row["loses"] for row in clocks)]
    if not slower:
        return "is no slower on the clock on any fleet"
    worst = max(clocks, key=lambda row: float(row["value"]))
    where = "every fleet" if len(slower) == len(fleets) else _listed(slower)
    times = worst["text"].rstrip("×")
    return f"loses on the clock on {where} (up to {times} times as long, on {worst['fleet']})"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
