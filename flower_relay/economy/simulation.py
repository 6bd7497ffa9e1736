"""Playing an economy from its settings to its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..rules.coins import COIN
from .chain import ChainEconomy
from .choices import Drawn
from .fan_out import FanOut
from .policies import assign
from .result import EconomyResult, Recorder, RoundFlows, Snapshot
from .settings import EconomySettings

__all__ = ["simulate"]


class Economy(Protocol):
    """What the two topologies have in common."""

    @property
    def alive(self) -> bool:
        """Whether another round can train on anything."""
        ...

    def next_round(self) -> RoundFlows:
        """Play one round."""
        ...

    def snapshot(self) -> Snapshot:
        """Everybody as they stand now."""
        ...

    def participants(self) -> dict[str, NDArray[Any]]:
        """The closing table, one entry a participant."""
        ...


class PaperEconomy(FanOut):
    """The fan-out with choices drawn from the settings' seed."""

    def next_round(self) -> RoundFlows:
        """Play one round."""
        played = self.play(Drawn(self.settings, self.round))
        return RoundFlows(
            owners=len(played.owners),
            hops=len(played.pairs),
            recognised=len(played.settled),
            minted=played.minted,
            burned=played.burned,
        )

    def snapshot(self) -> Snapshot:
        """Everybody as they stand now, all their names together."""
        people = self.population
        return Snapshot(
            coins=self._per_participant(np.add, self.balances() + people.left_behind, 0),
            held_version=self._per_participant(np.maximum, people.held_version, -1),
            best=self._per_participant(np.maximum, people.best, -np.inf),
            satisfaction=self._per_participant(np.add, people.satisfaction, 0.0),
        )

    def participants(self) -> dict[str, NDArray[Any]]:
        """The closing table."""
        people, now = self.population, self.snapshot()
        names = self._per_participant(np.add, 1 + people.past_names, 0)
        return {
            "policy": people.policy[: self.settings.participants],
            "income": now.coins / COIN,
            "satisfaction": now.satisfaction,
            "best": now.best,
            "held_version": now.held_version,
            "hops": self._per_participant(np.add, people.hops, 0),
            "trained": self._per_participant(np.add, people.trained, 0),
            "recognised": self._per_participant(np.add, people.recognised, 0),
            "forfeits": self._per_participant(np.add, people.forfeits, 0),
            "names": names,
        }

    def _per_participant(self, combine: np.ufunc, values: NDArray[Any], empty: Any) -> NDArray[Any]:
        people, size = self.population, self.settings.participants
        if len(people) == size:  # everybody has one name
            return values.copy()
        combined = np.full(size, empty, dtype=values.dtype)
        combine.at(combined, people.participant, values)
        return combined


def simulate(
    settings: EconomySettings, on_round: Callable[[int], None] | None = None
) -> EconomyResult:
    """Play an economy; the same settings give the same result.

    Parameters
    ----------
    settings : EconomySettings
        The paper's setting by default.
    on_round : callable, optional
        Told the number of rounds played, after each.

    Examples
    --------
    >>> result = simulate(EconomySettings(participants=64, rounds=20))
    >>> result.coins.shape
    (20, 64)
    """
    policy = assign(
        settings.policies, settings.participants, np.random.default_rng([settings.seed, 2**31])
    )
    kind = PaperEconomy if settings.topology == "fan-out" else ChainEconomy
    economy: Economy = kind(settings, policy)
    recorder = Recorder(settings)
    extinct_after: int | None = None
    for round in range(1, settings.rounds + 1):
        recorder.note(economy.next_round())
        if extinct_after is None and not economy.alive:
            extinct_after = round
        if recorder.wants(round):
            recorder.take(round, economy.snapshot())
        if on_round is not None:
            on_round(round)
    return recorder.result(economy.participants(), extinct_after)
