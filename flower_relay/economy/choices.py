"""What an economy leaves to chance, or to a recording: the choices of a round.

The fan-out's round is the same function whether the choices are drawn (`Drawn`) or read
from the authors' trace (`replay.Recorded`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..rules.auction import auction_order
from ..rules.roles import draw_trainers
from .policies import POLICIES
from .settings import EconomySettings

__all__ = ["Choices", "Drawn"]


class Choices(Protocol):
    """Everything about a round that the rules do not determine."""

    def trainers(self, active: NDArray[np.bool_], owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """Who trains in this round."""
        ...

    def order(self, bids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the trainers by bid, highest first."""
        ...

    def training(self, policy: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Whether each pair's training succeeds, and what it gains where it does."""
        ...

    def testers(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """Who ranks the candidates."""
        ...

    def miners(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """Miners of the deposit, encryption, testing and settlement block."""
        ...


class Drawn:
    """Choices drawn from a seed; the same (seed, round) draws the same."""

    def __init__(self, settings: EconomySettings, round: int) -> None:
        self._settings = settings
        self._rng = np.random.default_rng([settings.seed, round])
        training = [policy.training for policy in POLICIES.values()]
        self._vanishes = np.array([kind == "vanish" for kind in training])
        self._mean = np.array(
            [settings.gain_mean if kind == "honest" else 0.0 for kind in training]
        )
        self._sd = np.array([0.0 if kind == "none" else settings.gain_sd for kind in training])

    def trainers(self, active: NDArray[np.bool_], owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """A draw among those who do not own."""
        return draw_trainers(active, owners, self._settings.fraction_train, self._rng)

    def order(self, bids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Highest bid first, ties shuffled."""
        return auction_order(bids, self._rng)

    def training(self, policy: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Success by probability, gains by normal deviates, both as the policy has it."""
        done = self._rng.random(len(policy)) < self._settings.success
        noise = self._rng.standard_normal(len(policy))
        gain = self._mean[policy] + self._sd[policy] * noise
        return done & ~self._vanishes[policy], gain

    def testers(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """Examiners of the round, each at most once."""
        size = min(self._settings.testers, len(free))
        return self._rng.choice(free, size=size, replace=False, shuffle=False)

    def miners(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """Four miners, independently of each other, as in the paper."""
        return self._rng.choice(free, size=4)
