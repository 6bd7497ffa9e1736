"""Who takes part in a fan-out economy, and what each one holds: arrays over names.

A name is what the mechanism sees. A participant has one, or, if its policy is to come
back under a new one after a forfeit, one after the other; income is counted per
participant, over all its names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .settings import EconomySettings

__all__ = ["Population", "accuracy"]


def accuracy(performance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy of a model by its performance number: the sigmoid, as in the paper."""
    # The two forms of one function; each is safe where the other overflows.
    small = np.exp(-np.abs(performance))
    return np.where(performance >= 0, 1.0, small) / (1.0 + small)


@dataclass
class Population:
    """State of every name, in the order in which the names appeared.

    Attributes
    ----------
    participant : integer array
        Whose name it is.
    policy : integer array
        How that participant plays: a position in `POLICIES`.
    active : boolean array
        False for a name that was left behind.
    coins : integer array
        Free balance in units, without what the lineage's trunk still owes.
    made_version : integer array
        Version of the newest model it trained; −1 for none. Bids follow from it.
    held_version : integer array
        The newest version it holds, as trainer or as an encryption block's miner.
    best : float array
        Performance number of the best model it holds; −inf for none.
    satisfaction : float array
        Sum over the rounds of the accuracy of its best model: its cumulative utility.
    hops, trained, recognised, forfeits : integer arrays
        How often it was matched, made a model, was recognised, and lost a deposit.
    left_behind, past_names : integer arrays
        Units on the names it left, and how many, where those own nothing in the lineage:
        a name that was never recognised needs no place of its own.
    """

    participant: NDArray[np.int64]
    policy: NDArray[np.int8]
    active: NDArray[np.bool_]
    coins: NDArray[np.int64]
    made_version: NDArray[np.int64]
    held_version: NDArray[np.int64]
    best: NDArray[np.float64]
    best_accuracy: NDArray[np.float64]
    satisfaction: NDArray[np.float64]
    hops: NDArray[np.int64]
    trained: NDArray[np.int64]
    recognised: NDArray[np.int64]
    forfeits: NDArray[np.int64]
    left_behind: NDArray[np.int64]
    past_names: NDArray[np.int64]

    @classmethod
    def found(cls, policy: NDArray[np.int8], participant: NDArray[np.int64]) -> Population:
        """Names that hold nothing yet."""
        size = len(policy)
        return cls(
            participant=participant,
            policy=policy,
            active=np.ones(size, dtype=np.bool_),
            coins=np.zeros(size, dtype=np.int64),
            made_version=np.full(size, -1),
            held_version=np.full(size, -1),
            best=np.full(size, -np.inf),
            best_accuracy=np.zeros(size),
            satisfaction=np.zeros(size),
            hops=np.zeros(size, dtype=np.int64),
            trained=np.zeros(size, dtype=np.int64),
            recognised=np.zeros(size, dtype=np.int64),
            forfeits=np.zeros(size, dtype=np.int64),
            left_behind=np.zeros(size, dtype=np.int64),
            past_names=np.zeros(size, dtype=np.int64),
        )

    @classmethod
    def at_genesis(cls, settings: EconomySettings, policy: NDArray[np.int8]) -> Population:
        """Everybody before the first round; number 0 holds the genesis model."""
        population = cls.found(policy, np.arange(settings.participants))
        population.made_version[0] = population.held_version[0] = 0
        population.hold(np.array([0]), np.array([0.0]))
        return population

    def __len__(self) -> int:
        """How many names have a place: those in use, and those the lineage still pays."""
        return len(self.policy)

    def hold(self, who: NDArray[np.int64], performance: NDArray[np.float64]) -> None:
        """Give each of some names (each once) a model of some performance."""
        self.best[who] = np.maximum(self.best[who], performance)
        self.best_accuracy[who] = accuracy(self.best[who])

    def keep_newest(self, who: NDArray[np.int64], version: NDArray[np.int64]) -> None:
        """Note the version of a model that some names were given, unless they hold newer."""
        self.held_version[who] = np.maximum(self.held_version[who], version)

    def rename(self, names: NDArray[np.int64]) -> None:
        """Leave some names behind and come back under new ones, with nothing."""
        unknown = names[self.recognised[names] == 0]
        self.left_behind[unknown] += self.coins[unknown]
        self.coins[unknown] = 0
        self.made_version[unknown] = -1
        self.past_names[unknown] += 1
        names = names[self.recognised[names] > 0]
        self.active[names] = False
        fresh = Population.found(self.policy[names], self.participant[names])
        # It keeps the models it has, whatever its name; the mechanism sees none of them.
        fresh.best[:], fresh.best_accuracy[:] = self.best[names], self.best_accuracy[names]
        fresh.held_version[:] = self.held_version[names]
        for item in fields(self):
            both = [getattr(self, item.name), getattr(fresh, item.name)]
            setattr(self, item.name, np.concatenate(both))
