"""The paper's economy: a round of the fan-out with imagined training, all at once.

Every rule is called from `flower_relay.rules`; this file is the order in which they
apply and the arrays they apply to. A round costs a few sorts of the participants and
one pass over the lineage below its trunk, however many rounds were played before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rules.auction import match, owner_bids, slots_filled, trainer_bids
from ..rules.coins import COIN, to_units
from ..rules.rewards import contribution_credit
from ..rules.settlement import num_recognised, rank
from .choices import Choices
from .generations import Generations
from .policies import POLICIES
from .population import Population, accuracy
from .settings import EconomySettings

__all__ = ["FanOut", "FanOutRound"]

_Ints = NDArray[np.int64]
_GENESIS_OWNER = 0


@dataclass(frozen=True, kw_only=True)
class FanOutRound:
    """What happened in a round. Bids and flows in units.

    Attributes
    ----------
    owners, owner_performance, owner_stakes : arrays of shape (owners,)
        In matching order, their models' performance numbers, and what each bids per slot.
    trainers, bids : arrays of shape (trainers,)
        In auction order, and what each bids.
    pairs : integer array of shape (pairs, 2)
        Owner and trainer, in matching order.
    settled : integer array of shape (recognised, 2)
        Owner and trainer of each recognised model, best first.
    minted, burned : int
        Units that came into and left circulation.
    """

    owners: _Ints
    owner_performance: NDArray[np.float64]
    owner_stakes: _Ints
    trainers: _Ints
    bids: _Ints
    pairs: _Ints
    settled: _Ints
    minted: int
    burned: int


@dataclass
class _Offers:
    """The bases of a round: who owns them, how they rank, where they stand in the lineage."""

    owner: _Ints
    performance: NDArray[np.float64]
    score: NDArray[np.float64]
    place: _Ints
    version: _Ints


class FanOut:
    """An economy of the paper's kind, played round by round.

    Parameters
    ----------
    settings : EconomySettings
        With `topology = "fan-out"`.
    policy : integer array of shape (participants,)
        How each plays: positions in `POLICIES`.
    """

    def __init__(self, settings: EconomySettings, policy: NDArray[np.int8]) -> None:
        self.settings = settings
        self.population = Population.at_genesis(settings, policy)
        self.round = 0
        genesis = np.array([0.0])
        self.lineage = Generations(len(policy), _GENESIS_OWNER, float(accuracy(genesis)[0]))
        self._offers = _Offers(
            np.array([_GENESIS_OWNER]), genesis, genesis, np.array([0]), np.array([0])
        )
        self._bids_nothing = self._trait("bid", "nothing")
        self._bids_everything = self._trait("bid", "everything")
        self._colludes = self._trait("colludes", True)
        self._renames = self._trait("renames", True)
        self._vanishes = self._trait("training", "vanish")

    @staticmethod
    def _trait(name: str, value: object) -> NDArray[np.bool_]:
        """Which policies have a trait, by their number."""
        return np.array([getattr(policy, name) == value for policy in POLICIES.values()])

    @property
    def alive(self) -> bool:
        """Whether anybody owns a model that the next round can train on."""
        return len(self._offers.owner) > 0

    def balances(self, who: _Ints | slice = slice(None)) -> _Ints:
        """Free coins in units, what the trunk owes included; of all names by default."""
        return self.population.coins[who] + self.lineage.owed(who)

    @property
    def circulating(self) -> int:
        """Units in all hands, those on names left behind included."""
        amounts: list[int] = [*self.balances().tolist(), *self.population.left_behind.tolist()]
        return sum(amounts)

    def play(self, choices: Choices) -> FanOutRound:
        """Play one round of the paper: roles, auction, deposits, training, tests, settlement."""
        people, settings = self.population, self.settings
        offers = self._ranked_offers()
        trainers = choices.trainers(people.active, offers.owner)
        bids = self._bids(trainers)
        order = choices.order(bids)
        trainers, bids = trainers[order], bids[order]
        stakes = owner_bids(
            self.balances(offers.owner), to_units(settings.owner_budget), settings.slots
        )
        pairs = match(offers.owner, trainers, settings.slots)
        base = slots_filled(len(offers.owner), len(trainers), settings.slots)
        stake, bid = stakes[base], bids[: len(pairs)]
        np.subtract.at(people.coins, pairs[:, 0], stake)
        people.coins[pairs[:, 1]] -= bid
        trained, performance = self._train(choices, offers, base, pairs[:, 1])
        free = people.active.copy()
        free[offers.owner] = free[trainers] = False
        minted = self._mine(choices, np.flatnonzero(free), len(pairs), trained, performance, pairs)
        score = self._score(choices, np.flatnonzero(free), pairs[trained, 1], performance)
        best = rank(score)
        best = best[: num_recognised(
            len(score), settings.recognised_share, at_least=settings.least_recognised
        )]  # fmt: skip
        won = np.flatnonzero(trained)[best]
        people.coins[pairs[won, 1]] += bid[won]
        np.add.at(people.coins, pairs[won, 0], stake[won])
        burned = int(bid.sum() + stake.sum() - bid[won].sum() - stake[won].sum())
        minted += self._reward(offers.place[base[won]], pairs[won, 1], performance[best])
        self._next_owners(offers, base[won], pairs[won, 1], performance[best], score[best])
        self._count(pairs, trained, won)
        self.round += 1
        return FanOutRound(
            owners=offers.owner, owner_performance=offers.performance, owner_stakes=stakes,
            trainers=trainers, bids=bids, pairs=pairs, settled=pairs[won], minted=minted,
            burned=burned,
        )  # fmt: skip

    def _ranked_offers(self) -> _Offers:
        """The bases in matching order: by tested quality, ties as they were settled."""
        offers = self._offers
        order = rank(offers.score)
        return _Offers(
            offers.owner[order],
            offers.performance[order],
            offers.score[order],
            offers.place[order],
            offers.version[order],
        )

    def _bids(self, trainers: _Ints) -> _Ints:
        """What each trainer puts at stake: by the rule, or as its policy has it."""
        people = self.population
        coins, policy = self.balances(trainers), people.policy[trainers]
        bids: _Ints = trainer_bids(coins, people.made_version[trainers], self.round, COIN)
        bids = np.where(self._bids_everything[policy], coins, bids)
        return np.where(self._bids_nothing[policy], 0, bids)

    def _train(
        self, choices: Choices, offers: _Offers, base: _Ints, trainers: _Ints
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which pairs made a model, and the performance numbers of those models."""
        people = self.population
        trained, gain = choices.training(people.policy[trainers])
        performance = (offers.performance[base] + gain)[trained]
        if self.settings.ceiling is not None:
            performance = np.minimum(performance, self.settings.ceiling)
        takers = self._vanishes[people.policy[trainers]]  # who keep the base they were sent
        people.hold(trainers[takers], offers.performance[base[takers]])
        people.keep_newest(trainers[takers], offers.version[base[takers]])
        makers = trainers[trained]
        people.made_version[makers] = people.held_version[makers] = self.round + 1
        people.hold(makers, performance)
        return trained, performance

    def _mine(
        self,
        choices: Choices,
        free: _Ints,
        num_pairs: int,
        trained: NDArray[np.bool_],
        performance: NDArray[np.float64],
        pairs: _Ints,
    ) -> int:
        """Pay the four blocks' miners; the encryption block's holds every model from then on."""
        settings, people, made = self.settings, self.population, int(trained.sum())
        if len(free) == 0:
            return 0
        miners = choices.miners(free)
        fees = np.array([
            to_units(settings.deposit_fee) * num_pairs,
            to_units(settings.hash_fee) * made,
            to_units(settings.case_fee) * settings.cases + to_units(settings.tested_fee) * made,
            (to_units(settings.settled_fee) + to_units(settings.test_fee) * settings.cases) * made,
        ])  # fmt: skip
        np.add.at(people.coins, miners, fees)
        if made:
            people.held_version[miners[1]] = self.round + 1
            people.hold(miners[1:2], performance.max(keepdims=True))
        return int(fees.sum())

    def _score(
        self,
        choices: Choices,
        free: _Ints,
        makers: _Ints,
        performance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """How the examiners rank the candidates: truthfully, unless most of them collude.

        A median over the committee follows whichever side has more than half of it.
        """
        policy = self.population.policy
        if not self._colludes[policy].any() or len(free) == 0:
            return performance
        liars = self._colludes[policy[choices.testers(free)]]
        if liars.mean() <= 0.5:
            return performance
        spread = 1.0 + np.ptp(performance) if len(performance) else 1.0
        return performance + np.where(self._colludes[policy[makers]], spread, 0.0)

    def _reward(self, bases: _Ints, trainers: _Ints, performance: NDArray[np.float64]) -> int:
        """Pay everybody the recognised models descend from; units minted."""
        settings, coins = self.settings, self.population.coins
        if settings.rewards == "royalty":
            return self._pay_royalties(bases)
        mark = self.lineage.newest.mark[bases]
        credit = contribution_credit(accuracy(performance), mark)
        units = np.rint(credit * settings.mint * COIN).astype(np.int64)
        own = (units * settings.trainer_share).astype(np.int64)
        coins[trainers] += own
        self.lineage.pay_lineage(coins, bases, trainers, units - own, settings.lineage_decay)
        return int(units.sum())

    def _pay_royalties(self, bases: _Ints) -> int:
        # One coin for the base and each ancestor, one more for the root above genesis.
        depth = self.lineage.depth + 1
        self.lineage.pay_royalties(self.population.coins, bases)
        return len(bases) * depth * COIN

    def _next_owners(
        self,
        offers: _Offers,
        bases: _Ints,
        trainers: _Ints,
        performance: NDArray[np.float64],
        score: NDArray[np.float64],
    ) -> None:
        """The recognised trainers own the next round; without any, the owners stay or all ends."""
        if len(trainers):
            self.lineage.extend(offers.place[bases], trainers, accuracy(performance))
            places = np.arange(len(trainers))
            versions = np.full(len(trainers), self.round + 1)
            self._offers = _Offers(trainers, performance, score, places, versions)
        elif self.settings.least_recognised == 0:
            nobody = np.zeros(0, dtype=np.int64)
            nothing = np.zeros(0)
            self._offers = _Offers(nobody, nothing, nothing, nobody, nobody)

    def _count(self, pairs: _Ints, trained: NDArray[np.bool_], won: _Ints) -> None:
        """Keep count, add up satisfaction, and let those who rename after a forfeit do so."""
        people = self.population
        lost = np.delete(pairs[:, 1], won)
        people.hops[pairs[:, 1]] += 1
        people.trained[pairs[trained, 1]] += 1
        people.recognised[pairs[won, 1]] += 1
        people.forfeits[lost] += 1
        people.satisfaction[people.active] += people.best_accuracy[people.active]
        gone = lost[self._renames[people.policy[lost]]]
        if len(gone):
            people.rename(gone)
            self.lineage.grow(len(people))
