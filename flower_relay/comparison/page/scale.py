"""From numbers to places in a drawing, and the ticks between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Scale", "cost", "path", "short_number", "signed"]

Floats = NDArray[np.float64]

_ACCURACIES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)
_FLOOR = 1e-3
"""An error of nothing has no logarithm; accuracies end at 0.999."""

_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
"""A duration is given in the longest unit that it is at least two of."""

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A straight line from [low, high] to [start, end].

    `kind` says of what: the number itself, its logarithm, or, for an accuracy, the
    logarithm of the error, so that 0.90 to 0.95 takes as much room as 0.80 to 0.90.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Literal["linear", "log", "error"] = "linear"

    def __call__(self, values: Floats | float) -> Floats:
        """Places of values; those beyond the ends stay at the ends."""
        low, high = (float(self._bent(np.asarray(edge))) for edge in (self.low, self.high))
        share = (self._bent(np.asarray(values, float)) - low) / ((high - low) or 1.0)
        return np.asarray(self.start + np.clip(share, 0, 1) * (self.end - self.start))

    def _bent(self, values: Floats) -> Floats:
        if self.kind == "log":
            return np.asarray(np.log(np.maximum(values, 1e-12)))
        if self.kind == "error":
            return np.asarray(-np.log(np.maximum(1 - values, _FLOOR)))
        return values

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the scale, at most so many."""
        if self.kind == "log":
            return _log_ticks(self.low, self.high, most)
        if self.kind == "error":
            return self._accuracies(most)
        raw = (self.high - self.low) / most
        if raw <= 0:
            return [self.low]
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * size for size in (1, 2, 5, 10) if unit * size >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(step * index, 12) for index in range(first, last + 1)]

    def _accuracies(self, most: int) -> list[float]:
        """Of the usual accuracies those that keep apart, the upper ones first."""
        kept: list[float] = []
        gap = abs(self.end - self.start) / most / 1.6
        for value in reversed(_ACCURACIES):
            place = float(self(value))
            inside = self.low - 1e-9 <= value <= self.high + 1e-9
            if inside and all(abs(place - float(self(other))) >= gap for other in kept):
                kept.append(value)
        return kept[::-1]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 5), (1, 3), (1,)):
        ticks = [part * 10.0**decade for decade in decades for part in parts]
        inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def short_number(value: float, unit: str = "") -> str:
    """A number with three figures, a prefix for thousands and more, and its unit."""
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}\u00a0{prefix}{unit}"
    return f"{value:.3g}\u00a0{unit}".rstrip("\u00a0")


def cost(value: float, axis: str, beside: float | None = None) -> str:
    """A cost on an axis, with its unit; client-epochs have none.

    Parameters
    ----------
    value : float
        Client-epochs, bytes or seconds.
    axis : str
        As `flower_relay.comparison.figures.AXES` names it.
    beside : float, optional
        A duration that this one stands beside, and shares the unit of.
    """
    if axis in ("epochs", "evaluations", "bytes"):
        return short_number(value, "B" if axis == "bytes" else "")
    longest = value if beside is None else beside
    size, unit = next((each for each in _DURATIONS if longest >= 2 * each[0]), (1.0, "s"))
    return f"{value / size:.3g}\u00a0{unit}"


def signed(value: float, digits: int) -> str:
    """A number with its sign, as printers set it; nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if not text.strip("+-0.") else text.replace("-", "−")


def path(x: Floats, y: Floats, *, closed: bool = False) -> str:
    """An SVG path through points with one decimal; those without a number are left out."""
    points: Sequence[tuple[float, float]] = [
        (float(a), float(b)) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)
    ]
    text = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    return f"M{text}{'Z' if closed else ''}" if text else ""
