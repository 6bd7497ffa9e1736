"""Medians over seeds with 95 % intervals, and differences and ratios seed by seed.

Intervals are percentile bootstraps (Efron and Tibshirani 1993, chapter 13) over seeds. The
resamples are the same in every call and process, so that a table comes out the same again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLOSE",
    "ENOUGH",
    "NEARLY_EVEN",
    "Interval",
    "Standing",
    "difference",
    "median",
    "ratio",
    "worst",
]

_RESAMPLES, _SEED = 4000, 7
_TAILS = (0.025, 0.975)

_LEAST = 3
"""Seeds that an interval needs: two only say how far they are from each other."""
CLOSE = 0.005
"""Accuracy within which two ends are a tie where no interval can tell."""
NEARLY_EVEN = 0.03
"""The same of a ratio of costs, around 1."""
ENOUGH = 5
"""Seeds from which a result is not flagged as one of few."""

BySeed = Mapping[int, float]


class Standing(StrEnum):
    """How one side stands against the other."""

    ABOVE = "above"
    BELOW = "below"
    TIE = "tie"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A median over seeds and its 95 % interval; NaN for an interval of one seed or two.

    Attributes
    ----------
    median, low, high : float
    count : int
        Seeds that it is of.
    """

    median: float
    low: float
    high: float
    count: int

    @property
    def known(self) -> bool:
        """Whether there is anything to show."""
        return math.isfinite(self.median)

    @property
    def ranged(self) -> bool:
        """Whether it has an interval: of one seed or two there is none."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def few(self) -> bool:
        """Whether it is of too few seeds to be relied on."""
        return 0 < self.count < ENOUGH

    def beside(self, even: float, close: float) -> Standing:
        """Whether it is above or below an even value, or a tie.

        Parameters
        ----------
        even : float
            What a difference or ratio of equals would be.
        close : float
            Without an interval, how near to it is a tie.
        """
        if not self.known:
            return Standing.TIE
        tie = self.low <= even <= self.high if self.ranged else abs(self.median - even) <= close
        if tie:
            return Standing.TIE
        return Standing.ABOVE if self.median > even else Standing.BELOW

    def shown(self, spelling: str) -> str:
        """For people, each number spelled by a format such as `.3f`."""
        if not self.known:
            return "–"
        text = format(self.median, spelling)
        if not self.ranged:
            return text
        return f"{text} ({format(self.low, spelling)} to {format(self.high, spelling)})"


def median(values: Sequence[float] | Mapping[int, float]) -> Interval:
    """The median of one value a seed; those that are NaN are left out."""
    given = values.values() if isinstance(values, Mapping) else values
    sample = np.array([value for value in given if math.isfinite(value)], dtype=np.float64)
    return _interval(len(sample), lambda drawn: np.median(sample[drawn], axis=-1))


def worst(values: Mapping[int, float]) -> Interval:
    """The lowest of one value a seed."""
    known = [value for value in values.values() if math.isfinite(value)]
    return median([min(known)] if known else [])


def difference(values: BySeed, base: BySeed) -> Interval:
    """The median, over the seeds that both have, of value minus base."""
    return median([values[seed] - base[seed] for seed in sorted(values.keys() & base.keys())])


def ratio(values: BySeed, base: BySeed) -> Interval:
    """The ratio of the medians over the seeds that both have, resampled together."""
    seeds = sorted(
        seed
        for seed in values.keys() & base.keys()
        if math.isfinite(values[seed]) and math.isfinite(base[seed])
    )
    above = np.array([values[seed] for seed in seeds])
    below = np.array([base[seed] for seed in seeds])

    def of(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: NDArray[np.float64] = np.median(above[drawn], axis=-1) / np.median(
                below[drawn], axis=-1
            )
        return found

    return _interval(len(seeds), of)


def _interval(count: int, of: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Interval:
    """A statistic of the seeds themselves, and its spread over resamples of them."""
    if count == 0:
        return Interval(median=math.nan, low=math.nan, high=math.nan, count=0)
    middle = float(of(np.arange(count)))
    if count < _LEAST:
        return Interval(median=middle, low=math.nan, high=math.nan, count=count)
    drawn = np.random.default_rng(_SEED).integers(count, size=(_RESAMPLES, count))
    low, high = np.nanquantile(of(drawn), _TAILS)
    return Interval(median=middle, low=float(low), high=float(high), count=count)
