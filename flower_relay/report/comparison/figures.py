"""The numbers behind the page: medians, intervals, costs to a target, rank correlations.

Pure functions of arrays. An interval is the 95 % percentile bootstrap over seeds, drawn
from a fixed seed, so that the same results give the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .folder import Floats

__all__ = [
    "Estimate",
    "TimeTo",
    "bootstrap",
    "cost_to_target",
    "median_of",
    "ratio_of_medians",
    "ratio_of_sums",
    "spearman",
    "step_curve",
]

_DRAWS = 2000
_SEED = 20260101
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic with its 95 % interval over `count` seeds."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class TimeTo:
    """What it cost to reach a target.

    Attributes
    ----------
    cost : Estimate
        Median over seeds; a seed that never got there counts with all it spent.
    never : int
        How many seeds never got there.
    by_seed : mapping of seed to cost
        What the median is of.
    """

    cost: Estimate
    never: int
    by_seed: Mapping[int, float]

    @property
    def mostly_never(self) -> bool:
        """Whether half of the seeds or more never got there: the median is then a bound."""
        return 2 * self.never >= self.cost.count


def bootstrap(
    values: Sequence[float] | Sequence[tuple[float, float]], statistic: Callable[[Floats], Floats],
) -> Estimate:
    """Estimate a statistic and its interval by resampling.

    Parameters
    ----------
    values : sequence of float or of rows
        One entry a seed, at least one; rows are resampled whole.
    statistic : callable
        From an array (draws, seeds, ...) to one number a draw.
    """
    sample = np.asarray(values, float)
    rng = np.random.default_rng(_SEED)
    draws = statistic(sample[rng.integers(len(sample), size=(_DRAWS, len(sample)))])
    low, high = np.percentile(draws, _INTERVAL)
    value = float(statistic(sample[None])[0])
    return Estimate(value=value, low=float(low), high=float(high), count=len(sample))


def median_of(values: Sequence[float]) -> Estimate:
    """Median over seeds."""
    return bootstrap(values, lambda draws: np.median(draws, axis=1))


def ratio_of_medians(above: Mapping[int, float], below: Mapping[int, float]) -> Estimate | None:
    """Median over median, the seeds that both have resampled together; None without any."""
    return _ratio(np.median, [(above[seed], below[seed]) for seed in above if seed in below])


def ratio_of_sums(pairs: Sequence[tuple[float, float]]) -> Estimate | None:
    """What the first of each pair got in all, over what the second got in all."""
    return _ratio(np.sum, pairs)


def _ratio(
    statistic: Callable[..., Floats], pairs: Sequence[tuple[float, float]]
) -> Estimate | None:
    """None where the lower statistic may be nothing, and so the ratio anything."""

    def ratio(draws: Floats) -> Floats:
        each = statistic(draws, axis=1)
        return np.asarray(each[:, 0] / np.where(each[:, 1] > 0, each[:, 1], np.nan))

    if not pairs:
        return None
    estimate = bootstrap(pairs, ratio)
    return estimate if np.isfinite([estimate.value, estimate.low, estimate.high]).all() else None


def cost_to_target(curves: Mapping[int, tuple[Floats, Floats]], target: float) -> TimeTo:
    """What the first record at or above a target had cost.

    Parameters
    ----------
    curves : mapping of seed to (costs, accuracies)
        At least one, each with at least one record.
    """
    by_seed, never = {}, 0
    for seed, (costs, accuracies) in curves.items():
        there = np.flatnonzero(accuracies >= target)
        never += not len(there)
        by_seed[seed] = float(costs[there[0]] if len(there) else costs[-1])
    return TimeTo(cost=median_of(list(by_seed.values())), never=never, by_seed=by_seed)


def step_curve(costs: Floats, accuracies: Floats, at: Floats) -> Floats:
    """Accuracy of the latest record at each cost; NaN before the first."""
    index = np.searchsorted(costs, at + 1e-9 * np.abs(at), side="right") - 1
    return np.where(index >= 0, accuracies[np.maximum(index, 0)], np.nan)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties sharing a rank; None where one has no ranks."""
    a, b = _ranks(np.asarray(first, float)), _ranks(np.asarray(second, float))
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Floats) -> Floats:
    less = (values[:, None] > values[None, :]).sum(axis=1)
    same = (values[:, None] == values[None, :]).sum(axis=1)
    return np.asarray(less + (same - 1) / 2, float)
