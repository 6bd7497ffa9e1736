"""The result of an economy: typed, and recorded while it is played.

Small populations keep everybody's history, large ones keep quantiles at some points of
time. Whatever is per participant counts all the names it went by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.coins import COIN
from .policies import POLICIES
from .settings import EconomySettings

__all__ = [
    "LAGS",
    "QUANTILES",
    "EconomyResult",
    "Recorder",
    "RoundFlows",
    "Snapshot",
    "gini",
    "version_shares",
]

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""What is kept of a population that is too large to keep whole."""

LAGS = ("latest", *(f"latest-{lag}" for lag in range(1, 11)), "older", "none")
"""How old the newest model is that a participant holds; columns of the version shares."""

_Floats = NDArray[np.float64]


def gini(values: NDArray[Any]) -> float:
    """Gini coefficient: 0 when all have the same, towards 1 when one has all; 0 for nothing."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    total, size = ordered.sum(), len(ordered)
    if total <= 0:
        return 0.0
    ranks = np.arange(1, size + 1)
    return float(2 * (ranks * ordered).sum() / (size * total) - (size + 1) / size)


def version_shares(held: NDArray[np.int64]) -> _Floats:
    """Share of participants by the age of the newest model they hold, as `LAGS` lists them."""
    lag = np.minimum(held.max() - held, len(LAGS) - 2)
    lag[held < 0] = len(LAGS) - 1
    return np.bincount(lag, minlength=len(LAGS)) / len(held)


@dataclass(frozen=True, kw_only=True)
class RoundFlows:
    """One round in numbers; coins in units."""

    owners: int
    hops: int
    recognised: int
    minted: int
    burned: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everybody after a round, one entry a participant; coins in units, locked ones included."""

    coins: NDArray[np.int64]
    held_version: NDArray[np.int64]
    best: _Floats
    satisfaction: _Floats


@dataclass(frozen=True, kw_only=True)
class EconomyResult:
    """What an economy came to.

    Attributes
    ----------
    rounds : dict of name to array of shape (rounds,)
        `round` (from 1), `owners`, `hops`, `recognised`, `minted`, `burned` and
        `circulating`, the last three in coins.
    times : integer array of shape (times,)
        The rounds after which the histories below were recorded; all of them for a small
        population.
    coins, satisfaction, best : float arrays of shape (times, columns)
        Coins, cumulative utility (sum over rounds of the accuracy of the best model held)
        and performance number of the best model held (−inf for none). Columns are
        participants where `quantiles` is None, else those quantiles.
    quantiles : tuple of float, or None
    shares : float array of shape (times, 13)
        Shares of participants by the age of the newest model held: columns as in `LAGS`.
    gini : float array of shape (times,)
        Of coins.
    participants : dict of name to array of shape (participants,)
        At the end: `policy` (a position in `POLICIES`), `income` (coins), `satisfaction`,
        `best`, `held_version`, `hops`, `trained`, `recognised`, `forfeits`, `names`.
    extinct_after : int or None
        The round after which nobody owned a model any more.
    """

    settings: EconomySettings
    rounds: dict[str, NDArray[Any]]
    times: NDArray[np.int64]
    coins: _Floats
    satisfaction: _Floats
    best: _Floats
    quantiles: tuple[float, ...] | None
    shares: _Floats
    gini: _Floats
    participants: dict[str, NDArray[Any]]
    extinct_after: int | None

    @property
    def circulating(self) -> float:
        """Coins in all hands at the end."""
        return float(self.rounds["circulating"][-1])

    def income_of(self, policy: str) -> _Floats:
        """Incomes of those who play a policy, the genesis owner left out: its income is rent."""
        return self._of(policy, "income")

    def satisfaction_of(self, policy: str) -> _Floats:
        """Cumulative utilities of those who play a policy, the genesis owner left out."""
        return self._of(policy, "satisfaction")

    def _of(self, policy: str, column: str) -> _Floats:
        others = self.participants["policy"][1:] == list(POLICIES).index(policy)
        values: _Floats = self.participants[column][1:][others]
        return values


@dataclass
class Recorder:
    """Collects a result round by round."""

    settings: EconomySettings
    _flows: list[RoundFlows] = field(default_factory=list)
    _circulating: int = 0
    _balances: list[float] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)
    _rows: dict[str, list[_Floats]] = field(
        default_factory=lambda: {name: [] for name in ("coins", "satisfaction", "best", "shares")}
    )
    _gini: list[float] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether everybody's history is kept."""
        return self.settings.participants <= self.settings.full_history

    def wants(self, round: int) -> bool:
        """Whether a snapshot is to be taken after this round (from 1)."""
        every = 1 if self.whole else math.ceil(self.settings.rounds / self.settings.records)
        return round % every == 0 or round in (1, self.settings.rounds)

    def note(self, flows: RoundFlows) -> None:
        """Book a round."""
        self._flows.append(flows)
        self._circulating += flows.minted - flows.burned
        self._balances.append(self._circulating / COIN)

    def take(self, round: int, snapshot: Snapshot) -> None:
        """Record everybody, or their quantiles."""
        coins = snapshot.coins / COIN
        columns = {"coins": coins, "satisfaction": snapshot.satisfaction, "best": snapshot.best}
        for name, values in columns.items():
            # Quantiles are people's own values: between −inf and a number there is no middle.
            kept = values if self.whole else np.quantile(values, QUANTILES, method="inverted_cdf")
            self._rows[name].append(kept)
        self._rows["shares"].append(version_shares(snapshot.held_version))
        self._gini.append(gini(coins))
        self._times.append(round)

    def result(
        self, participants: dict[str, NDArray[Any]], extinct_after: int | None
    ) -> EconomyResult:
        """The result, once the last round is played."""
        flows = self._flows
        rounds: dict[str, NDArray[Any]] = {
            "round": np.arange(1, len(flows) + 1),
            "owners": np.array([row.owners for row in flows]),
            "hops": np.array([row.hops for row in flows]),
            "recognised": np.array([row.recognised for row in flows]),
            "minted": np.array([row.minted / COIN for row in flows]),
            "burned": np.array([row.burned / COIN for row in flows]),
            "circulating": np.array(self._balances),
        }
        rows = {name: np.array(values) for name, values in self._rows.items()}
        return EconomyResult(
            settings=self.settings,
            rounds=rounds,
            times=np.array(self._times),
            coins=rows["coins"],
            satisfaction=rows["satisfaction"],
            best=rows["best"],
            quantiles=None if self.whole else QUANTILES,
            shares=rows["shares"],
            gini=np.array(self._gini),
            participants=participants,
            extinct_after=extinct_after,
        )
