"""Rewards against the truth: exact Shapley values, and identical twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import Estimate, bootstrap, ratio_of_sums, spearman
from .folder import Floats, number
from .scale import Scale, short_number

__all__ = ["SIDE", "shapley_view", "twins_view"]

SIDE = 240
_EDGE = 34

_MEASURES = {
    "replicate": "Shapley, second replicate (the ceiling)",
    "contribution": "contribution rewards",
    "royalty": "royalty rewards",
    "leave_one_out": "leave-one-out",
}


def shapley_view(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Each measure's mean Spearman correlation with exact Shapley values, and its scatter."""
    federations = (content or {}).get("federations") or []
    measures = [
        view for name, title in _MEASURES.items() if (view := _measure(federations, name, title))
    ]
    if not measures:
        return None
    ceiling = next((each["mean"].value for each in measures if each["name"] == "replicate"), None)
    for each in measures:
        each["of_ceiling"] = each["mean"].value / ceiling if ceiling else None
    return {"measures": measures, "federations": len(federations)}


def _measure(
    federations: Sequence[Mapping[str, Any]], name: str, title: str
) -> dict[str, Any] | None:
    pairs = [
        (each["shapley"], each[name])
        for each in federations
        if each.get("shapley") and len(each.get(name) or ()) == len(each["shapley"])
    ]
    correlations = [value for a, b in pairs if (value := spearman(a, b)) is not None]
    if not correlations:
        return None
    return {
        "name": name,
        "title": title,
        "mean": bootstrap(correlations, lambda draws: draws.mean(axis=1)),
        **_scatter([(_shares(a), _shares(b)) for a, b in pairs]),
    }


def _shares(values: Sequence[float]) -> Floats:
    """Each participant's share of its federation's sum; of their sizes where that is not above 0."""
    array = np.asarray(values, float)
    total = array.sum() if array.sum() > 0 else np.abs(array).sum()
    return array / total if total > 0 else array


def _scatter(shares: Sequence[tuple[Floats, Floats]]) -> dict[str, Any]:
    x, y = (np.concatenate([pair[index] for pair in shares]) for index in (0, 1))
    low, high = min(0.0, x.min(), y.min()), max(x.max(), y.max(), 0.01)
    across = Scale(low=low, high=high, start=_EDGE, end=SIDE - 8)
    up = Scale(low=low, high=high, start=SIDE - _EDGE, end=8)
    return {
        "points": list(zip(across(x).round(1).tolist(), up(y).round(1).tolist(), strict=True)),
        "x_ticks": [(float(across(tick)), f"{100 * tick:g}") for tick in across.ticks(4)],
        "y_ticks": [(float(up(tick)), f"{100 * tick:g}") for tick in up.ticks(4)],
        "diagonal": tuple(float(scale(edge)) for edge in (low, high) for scale in (across, up)),
    }


def twins_view(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the twin in the first place earned over what the one in the last place did."""
    found = [
        (number(pair.get("first")), number(pair.get("last")))
        for pair in (content or {}).get("pairs") or []
    ]
    pairs = [(a, b) for a, b in found if a is not None and b is not None]
    ratio: Estimate | None = ratio_of_sums(pairs)
    if ratio is None:
        return None
    each = np.array([a / b for a, b in pairs if a > 0 and b > 0])
    ends = [0.75, 1.35, ratio.low / 1.05, ratio.high * 1.05, *each / 1.05, *each * 1.05]
    scale = Scale(low=min(ends), high=max(ends), start=10, end=350, kind="log")
    return {
        "ratio": ratio,
        "rule": str((content or {}).get("rule") or ""),
        "within": 0.8 <= ratio.low and ratio.high <= 1.25,
        "points": scale(each).round(1).tolist(),
        "estimate": tuple(float(scale(at)) for at in (ratio.low, ratio.value, ratio.high)),
        "goal": (float(scale(0.8)), float(scale(1.25))),
        "ticks": [(float(scale(tick)), short_number(tick)) for tick in _twin_ticks(scale)],
        "nothing": len(pairs) - len(each),
    }


def _twin_ticks(scale: Scale) -> list[float]:
    usual = (0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 10.0)
    return [tick for tick in usual if scale.low <= tick <= scale.high]
