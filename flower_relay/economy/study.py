"""Many seeds of one economy: means with intervals, and whether a policy pays.

One economy is too noisy to compare policies by: the rich of a royalty are few. A study
plays the same settings with many seeds, side by side in processes of their own (an
economy keeps one core busy and shares nothing).
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .policies import POLICIES, names_in
from .result import LAGS
from .settings import EconomySettings
from .simulation import simulate

__all__ = ["FIGURES", "Estimate", "Study", "figures_of", "study"]

_T975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14,
         2.13, 2.12, 2.11, 2.10, 2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05,
         2.05)  # fmt: skip
"""Student's t at 97.5 % for 1, 2, … degrees of freedom; the normal's 1.96 beyond."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure over seeds.

    Attributes
    ----------
    mean, half_width : float
        The mean and half its 95 % confidence interval (Student's t; NaN for one seed).
    low, high : float
        The central 95 % of single seeds.
    """

    mean: float
    half_width: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Estimate:
        """Estimate a figure from one value a seed."""
        sample = np.asarray(values, dtype=np.float64)
        size = len(sample)
        if size > 1:
            t = _T975[size - 2] if size - 2 < len(_T975) else 1.96
            half_width = t * float(sample.std(ddof=1)) / math.sqrt(size)
        else:
            half_width = math.nan
        low, high = np.quantile(sample, [0.025, 0.975])
        return cls(
            mean=float(sample.mean()), half_width=half_width, low=float(low), high=float(high)
        )

    def __str__(self) -> str:
        """Mean and half-width, for tables."""
        return f"{self.mean:,.4g} ± {self.half_width:.2g}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """The figures of one setting over seeds.

    Attributes
    ----------
    settings : EconomySettings
        Its seed is the first of the seeds.
    seeds : int
    figures : mapping of name to array of shape (seeds,)
        What `figures_of` measures.
    """

    settings: EconomySettings
    seeds: int
    figures: Mapping[str, NDArray[np.float64]]

    def estimate(self, figure: str) -> Estimate:
        """One figure over the seeds."""
        return Estimate.of(self.figures[figure])

    def advantage(self, policy: str) -> Estimate:
        """What playing a policy earns over honesty, in the same runs."""
        honest = self.figures["income honest"]
        return Estimate.of(self.figures[f"income {policy}"] - honest)

    @property
    def has_honest(self) -> bool:
        """Whether anybody is honest, to compare with."""
        return "income honest" in self.figures

    def verdict(self, policy: str) -> str:
        """Whether a policy pays, as far as these seeds tell."""
        gain = self.advantage(policy)
        if not abs(gain.mean) > gain.half_width:
            return "undecided"
        return "pays" if gain.mean > 0 else "does not pay"


FIGURES = (
    "coins", "gini", "survived", "income median", "satisfaction",
    *(f"share {lag}" for lag in LAGS),
    *(f"{what} {policy}" for what in ("income", "satisfaction") for policy in POLICIES),
)  # fmt: skip
"""Everything that `figures_of` can measure; of policies, what somebody plays."""


def figures_of(settings: EconomySettings) -> dict[str, float]:
    """Play one economy and measure it: what tables, studies and sweeps compare."""
    result = simulate(settings)
    income = result.participants["income"]
    figures = {
        "coins": result.circulating,
        "gini": float(result.gini[-1]),
        "survived": float(result.extinct_after is None),
        "income median": float(np.median(income)),
        "satisfaction": float(result.participants["satisfaction"].mean()),
    }
    figures |= {f"share {lag}": float(result.shares[-1, i]) for i, lag in enumerate(LAGS)}
    for policy in names_in(settings.policies):
        figures[f"income {policy}"] = float(result.income_of(policy).mean())
        figures[f"satisfaction {policy}"] = float(result.satisfaction_of(policy).mean())
    return figures


def study(
    settings: EconomySettings,
    seeds: int,
    *,
    workers: int | None = None,
    on_seed: Callable[[int], None] | None = None,
) -> Study:
    """Play settings with `seeds` seeds, from `settings.seed` on.

    Parameters
    ----------
    workers : int, optional
        Processes; by default one a core. 1 plays them here.
    on_seed : callable, optional
        Told the number of seeds played, after each.
    """
    every = [dataclasses.replace(settings, seed=settings.seed + n) for n in range(seeds)]
    workers = min(seeds, workers or os.cpu_count() or 1)
    rows: list[dict[str, float]] = []
    if workers == 1:
        for one in every:
            rows.append(figures_of(one))
            _tell(on_seed, rows)
    else:
        # Spawned, not forked: whoever calls us may have threads.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for row in pool.map(figures_of, every, chunksize=max(1, seeds // (8 * workers))):
                rows.append(row)
                _tell(on_seed, rows)
    figures = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Study(settings=settings, seeds=seeds, figures=figures)


def _tell(on_seed: Callable[[int], None] | None, rows: list[dict[str, float]]) -> None:
    if on_seed is not None:
        on_seed(len(rows))
