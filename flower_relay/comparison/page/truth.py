"""Rewards against the truth: exact Shapley values, and identical twins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigurationError
from ..shapley import rank_correlation
from ..statistics import Interval, ratio
from .scale import Floats, Scale, short_number

__all__ = ["SIDE", "read_truth", "shapley_view", "twins_view"]

_RESAMPLES, _SEED = 4000, 7

SIDE = 240
_EDGE = 34

_EVEN = (0.8, 1.25)
"""Within which the ratio's interval should be."""

_MEASURES = {
    "replicate": "Shapley, second replicate (the ceiling)",
    "contribution": "contribution rewards",
    "royalty": "royalty rewards",
    "leave_one_out": "leave-one-out",
}


def read_truth(folder: Path, name: str) -> Mapping[str, Any] | None:
    """One of the truth experiments' files; None where it was not run.

    Raises
    ------
    ConfigurationError
        Where there is such a file and it cannot be read.
    """
    path = folder / "truth" / name
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as problem:
        raise ConfigurationError(
            f"{path} cannot be read: {problem}. Remove it, and run that experiment again."
        ) from problem


def shapley_view(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Each measure's mean Spearman correlation with exact Shapley values, and its scatter."""
    federations = (content or {}).get("federations") or []
    measures = [
        view for name, title in _MEASURES.items() if (view := _measure(federations, name, title))
    ]
    if not measures:
        return None
    ceiling = next((each["mean"].median for each in measures if each["name"] == "replicate"), None)
    for each in measures:
        each["of_ceiling"] = each["mean"].median / ceiling if ceiling else None
    return {"measures": measures, "federations": len(federations)}


def _measure(
    federations: Sequence[Mapping[str, Any]], name: str, title: str
) -> dict[str, Any] | None:
    pairs = [
        (each["shapley"], each[name])
        for each in federations
        if each.get("shapley") and len(each.get(name) or ()) == len(each["shapley"])
    ]
    correlations = [rank_correlation(np.asarray(a, float), np.asarray(b, float)) for a, b in pairs]
    if not correlations:
        return None
    return {
        "name": name,
        "title": title,
        "mean": _mean(correlations),
        **_scatter([(_shares(a), _shares(b)) for a, b in pairs]),
    }


def _mean(values: Sequence[float]) -> Interval:
    """The mean over federations, with the percentile bootstrap's 95 % interval."""
    sample = np.asarray(values)
    drawn = np.random.default_rng(_SEED).integers(len(sample), size=(_RESAMPLES, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), (0.025, 0.975))
    return Interval(
        median=float(sample.mean()), low=float(low), high=float(high), count=len(sample)
    )


def _shares(values: Sequence[float]) -> Floats:
    """Each one's share of its federation's sum, or of all sizes where that is not above 0."""
    array = np.asarray(values, float)
    total = array.sum() if array.sum() > 0 else np.abs(array).sum()
    return array / total if total > 0 else array


def _scatter(shares: Sequence[tuple[Floats, Floats]]) -> dict[str, Any]:
    """Each axis on a scale of its own, and the line on which both are the same."""
    x, y = (np.concatenate([pair[index] for pair in shares]) for index in (0, 1))
    across = Scale(low=min(0.0, x.min()), high=max(x.max(), 0.01), start=_EDGE, end=SIDE - 8)
    up = Scale(low=min(0.0, y.min()), high=max(y.max(), 0.01), start=SIDE - _EDGE, end=8)
    same = [max(across.low, up.low), min(across.high, up.high)]
    return {
        "points": list(zip(across(x).round(1).tolist(), up(y).round(1).tolist(), strict=True)),
        "x_ticks": [(float(across(tick)), f"{100 * tick:g}") for tick in across.ticks(4)],
        "y_ticks": [(float(up(tick)), f"{100 * tick:g}") for tick in up.ticks(4)],
        "same": [float(scale(edge)) for edge in same for scale in (across, up)],
    }


def twins_view(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the twin in the first place earned over what the one in the last place did."""
    pairs = (content or {}).get("pairs") or []
    first, last = (
        {pair["seed"]: float(pair[name]) for pair in pairs} for name in ("first", "last")
    )
    found = ratio(first, last)
    if not (found.known and np.isfinite([found.low, found.high]).all() and found.low > 0):
        return None
    each = np.array([first[s] / last[s] for s in first if first[s] > 0 and last[s] > 0])
    ends = [0.75, 1.35, found.low / 1.05, found.high * 1.05, *each / 1.05, *each * 1.05]
    scale = Scale(low=min(ends), high=max(ends), start=10, end=350, kind="log")
    return {
        "ratio": found,
        "rule": str((content or {}).get("rule") or ""),
        "within": found.low >= _EVEN[0] and found.high <= _EVEN[1],
        "points": scale(each).round(1).tolist(),
        "estimate": [float(scale(at)) for at in (found.low, found.median, found.high)],
        "goal": [float(scale(at)) for at in _EVEN],
        "ticks": [(float(scale(tick)), short_number(tick)) for tick in _twin_ticks(scale)],
        "nothing": len(pairs) - len(each),
    }


def _twin_ticks(scale: Scale) -> list[float]:
    usual = (0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 10.0)
    return [tick for tick in usual if scale.low <= tick <= scale.high]
