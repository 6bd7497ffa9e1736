"""The answer first: one sentence, three figures, and where relay loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .figures import Estimate, median_of, ratio_of_medians
from .panels import RELAY, Contestant, Panel
from .scale import short_number

__all__ = ["answer"]

_AXES = {"epochs": "client-epochs", "bytes": "bytes moved"}


def answer(panels: Sequence[Panel], fleets: Sequence[str]) -> dict[str, Any] | None:
    """What relay costs and gives against the best averaging rival of each panel.

    Returns
    -------
    dict or None
        None where no panel has relay and a rival, both clean.
    """
    both = [panel for panel in panels if panel.contestant(RELAY) and panel.rivals]
    if not both:
        return None
    epochs = [row for panel in both if (row := _cost_row(panel, "epochs", panel.title))]
    finals = [row for panel in both if (row := _final_row(panel))]
    clocks = [
        {**row, "fleet": fleet, "panel": panel.title}
        for fleet in fleets
        for panel in both
        if (row := _cost_row(panel, fleet, fleet if len(both) == 1 else f"{fleet} · {panel.title}"))
    ]
    return {
        "sentence": _sentence(epochs, finals, clocks, fleets),
        "cards": [
            _card("Client-epochs to target", epochs, "times the best averaging strategy's"),
            _card("Final accuracy, equal budget", finals, "points against the best of them"),
            _card("Time on the clock to target", clocks, "times the best averaging strategy's"),
        ],
        "losses": _losses(both, fleets),
    }


def _relay(panel: Panel) -> Contestant:
    relay = panel.contestant(RELAY)
    assert relay is not None  # only asked of panels that have one
    return relay


def _cost_row(panel: Panel, axis: str, label: str) -> dict[str, Any] | None:
    """Relay's cost as a multiple of the cheapest rival's that got there."""
    target = panel.target
    relay = _relay(panel).cost(axis, target)
    rivals = [(each, cost) for each in panel.rivals if (cost := each.cost(axis, target))]
    if relay is None or not rivals:
        return None
    rival, cost = min(rivals, key=lambda pair: (pair[1].mostly_never, pair[1].cost.value))
    ratio = ratio_of_medians(relay.by_seed, cost.by_seed)
    if ratio is None:
        return None
    never = " (never)" if relay.mostly_never else ""
    return {
        "label": label,
        "ratio": ratio,
        "text": f"{ratio.value:.2f}×",
        "interval": f"{ratio.low:.2f}–{ratio.high:.2f}",
        "detail": f"to {100 * target:g} %: {short_number(relay.cost.value)}{never} against "
        f"{short_number(cost.cost.value)} ({rival.title})",
        "loses": ratio.value > 1 or relay.mostly_never,
    }


def _final_row(panel: Panel) -> dict[str, Any] | None:
    relay = _relay(panel)
    rivals = [(each, final) for each in panel.rivals if (final := each.final)]
    if not relay.finals or not rivals:
        return None
    rival, _ = max(rivals, key=lambda pair: pair[1].value)
    shared = [seed for seed in relay.finals if seed in rival.finals]
    if not shared:
        return None
    gain = median_of([100 * (relay.finals[seed] - rival.finals[seed]) for seed in shared])
    own, other = median_of(list(relay.finals.values())), median_of(list(rival.finals.values()))
    return {
        "label": panel.title,
        "ratio": gain,
        "text": f"{gain.value:+.1f}".replace("-", "−"),
        "interval": f"{gain.low:+.1f} to {gain.high:+.1f}".replace("-", "−"),
        "detail": f"{100 * own.value:.1f} % against {100 * other.value:.1f} % ({rival.title})",
        "loses": gain.value < 0,
    }


def _card(title: str, rows: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    """The worst and the best panel make the big figure; a single one is itself."""
    ordered = sorted(rows, key=lambda row: row["ratio"].value)
    texts = list(dict.fromkeys([ordered[0]["text"], ordered[-1]["text"]])) if rows else []
    figure = " to ".join(texts) if any("+" in text or "−" in text for text in texts) else (
        "–".join(text.rstrip("×") for text in texts) + "×" if texts else ""
    )  # fmt: skip
    return {
        "title": title, "figure": figure, "unit": unit, "rows": rows,
        "loses": sum(row["loses"] for row in rows),
    }  # fmt: skip


def _span(rows: Sequence[dict[str, Any]]) -> tuple[Estimate, Estimate]:
    ratios = sorted((row["ratio"] for row in rows), key=lambda ratio: ratio.value)
    return ratios[0], ratios[-1]


def _sentence(
    epochs: list[dict[str, Any]],
    finals: list[dict[str, Any]],
    clocks: list[dict[str, Any]],
    fleets: Sequence[str],
) -> str:
    parts = []
    if epochs:
        low, high = (f"{each.value:.2f}" for each in _span(epochs))
        times = low if low == high else f"{low} to {high}"
        parts.append(f"needs {times} times the client-epochs of the best averaging strategy")
    if finals:
        parts.append(f"ends {_points(finals)}")
    if clocks:
        parts.append(_clock_words(clocks, fleets))
    return f"Relay {_listed(parts)}." if parts else ""


def _points(finals: list[dict[str, Any]]) -> str:
    low, high = (each.value for each in _span(finals))
    if low < 0 <= high:
        return f"between {-low:.1f} points below and {high:.1f} points above it"
    side = "above" if low >= 0 else "below"
    ends = sorted(f"{abs(value):.1f}" for value in (low, high))
    return f"{' to '.join(dict.fromkeys(ends))} points {side} it"


def _clock_words(clocks: list[dict[str, Any]], fleets: Sequence[str]) -> str:
    slower = [fleet for fleet in fleets if any(r["fleet"] == fleet and r["loses"] for r in clocks)]
    if not slower:
        return "is no slower on the clock on any fleet"
    worst = max(clocks, key=lambda row: row["ratio"].value)
    where = "every fleet" if len(slower) == len(fleets) else _listed(slower)
    return (
        f"loses on the clock on {where} "
        f"(up to {worst['ratio'].value:.1f} times as long, on {worst['fleet']})"
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _losses(panels: Sequence[Panel], fleets: Sequence[str]) -> list[dict[str, Any]]:
    """Every comparison that relay does not win, in the order of panels."""
    losses = []
    for panel in panels:
        for axis in (*_AXES, *fleets):
            row = _cost_row(panel, axis, panel.title)
            if row and row["loses"]:
                name = _AXES.get(axis, f"seconds on {axis}")
                losses.append({**row, "label": f"{panel.title}: {name}"})
        row = _final_row(panel)
        if row and row["loses"]:
            losses.append({**row, "label": f"{panel.title}: final accuracy, points"})
    return losses
