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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, RelayError
from .policies import POLICIES
from .result import LAGS, EconomyResult
from .settings import EconomySettings
from .simulation import simulate

__all__ = ["FIGURES", "MEASURE", "Estimate", "Study", "figures_of", "student_t", "study"]

MEASURE = 1
"""Which version of `figures_of` measured; raise it when that changes what is measured."""

_T975 = (12.7062, 4.3027, 3.1824, 2.7764)
"""Student's t at 97.5 % for 1, 2, … degrees of freedom, where the series below is too short."""


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
        half_width = math.nan
        if size > 1:
            half_width = student_t(size - 1) * float(sample.std(ddof=1)) / math.sqrt(size)
        low, high = np.quantile(sample, [0.025, 0.975])
        return cls(
            mean=float(sample.mean()), half_width=half_width, low=float(low), high=float(high)
        )

    def __str__(self) -> str:
        """Mean and half-width, to two digits of the half-width; for tables."""
        if not self.half_width > 0:  # one seed, or all seeds alike
            return f"{self.mean:,.4f}" + ("" if math.isnan(self.half_width) else " ± 0")
        digits = max(0, 1 - math.floor(math.log10(self.half_width)))
        return f"{self.mean:,.{digits}f} ± {self.half_width:,.{digits}f}"


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.001: the normal's, corrected for few seeds.

    References
    ----------
    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom <= len(_T975):
        return _T975[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    corrections = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    quantile: float = z + sum(
        term / freedom**power for power, term in enumerate(corrections, start=1)
    )
    return quantile


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

    @property
    def played(self) -> list[str]:
        """The policies that anybody plays, the genesis owner apart."""
        return [name for name in POLICIES if f"income {name}" in self.figures]

    def estimate(self, figure: str) -> Estimate:
        """One figure over the seeds."""
        return Estimate.of(self.figures[figure])

    def advantage(self, policy: str) -> Estimate:
        """What playing a policy earns over honesty, in the same runs.

        The same as the figure `advantage POLICY`.

        Raises
        ------
        ConfigurationError
            When there is nothing to compare: nobody plays it, or nobody plays honestly.
        """
        if f"advantage {policy}" not in self.figures:
            raise ConfigurationError(
                f"policies = {self.settings.policies!r}: nothing to compare {policy!r} with "
                f"honesty by; somebody plays: {', '.join(self.played) or 'none of them'}. Give "
                "both a share."
            )
        return self.estimate(f"advantage {policy}")

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
    *(f"advantage {policy}" for policy in POLICIES if policy != "honest"),
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
    return figures | _figures_by_policy(result)


def _figures_by_policy(result: EconomyResult) -> dict[str, float]:
    """Means of those who play each policy; nothing where a share is too small for anybody."""
    figures: dict[str, float] = {}
    for policy in POLICIES:
        income = result.income_of(policy)
        if len(income):
            figures[f"income {policy}"] = float(income.mean())
            figures[f"satisfaction {policy}"] = float(result.satisfaction_of(policy).mean())
            if policy != "honest" and "income honest" in figures:
                gain = figures[f"income {policy}"] - figures["income honest"]
                figures[f"advantage {policy}"] = gain
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

    Raises
    ------
    RelayError
        When a process dies before it is done, which is mostly for want of memory.
    """
    every = [dataclasses.replace(settings, seed=settings.seed + n) for n in range(seeds)]
    workers = min(seeds, workers or os.cpu_count() or 1)
    rows: list[dict[str, float]] = []
    for row in _play(every, workers):
        rows.append(row)
        if on_seed is not None:
            on_seed(len(rows))
    figures = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Study(settings=settings, seeds=seeds, figures=figures)


def _play(every: list[EconomySettings], workers: int) -> Iterator[dict[str, float]]:
    """The figures of each economy, in their order."""
    if workers == 1:
        yield from map(figures_of, every)
        return
    # Spawned, not forked: whoever calls us may have threads. Not Ray: it takes longer to
    # start than most studies take to run, and is not everybody's.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(figures_of, every, chunksize=max(1, len(every) // (8 * workers)))
    except BrokenProcessPool as problem:
        raise RelayError(
            f"expected {workers} processes to play {len(every)} economies, but one of them died, "
            "mostly for want of memory; nothing was written. Ask for fewer workers, or for 1 to "
            "play them one after the other. A script that calls this with several workers needs "
            "`if __name__ == '__main__':` around it."
        ) from problem
