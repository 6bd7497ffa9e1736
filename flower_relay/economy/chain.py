"""The chain's economy: the live relay's own decisions, with imagined training and tests.

Nothing of the mechanism is repeated here: deposits, committees, verdicts, rewards, bonds
and debts come from `flower_relay.mechanism`, and `state.apply` folds the same blocks as a
live run. Only what a node would do (train, examine, vanish, lie) is imagined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..mechanism.apply import apply
from ..mechanism.blocks import (
    Admission,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    LaneTerms,
    Publication,
    Testing,
)
from ..mechanism.deposit import decide_deposits
from ..mechanism.randomness import generator
from ..mechanism.settlement import decide_settlement
from ..mechanism.state import begin
from ..mechanism.testing import AuditTerms, TestPlan, audit_terms, decide_tests
from ..rules.audits import AUDITED_PART
from ..rules.coins import COIN, PaymentRule
from ..rules.outcomes import Fault, Outcome
from ..rules.settlement import rank
from .examiners import said_of_audit, said_of_model
from .policies import POLICIES, Examining, Policy, Training
from .population import accuracy
from .result import RoundFlows, Snapshot
from .settings import EconomySettings

__all__ = ["ChainEconomy"]

_GENESIS = np.array(0.0)
"""Its performance number: an accuracy of one half."""

_PLANTED = "planted"
_LOST = -6.0
"""Performance number of a planted model: nobody honest can vouch for it."""

_HONEST_HOPS = 3
"""Hops for which a sleeper trains."""

_REVERSED = -4.0
"""What it makes of its update after that."""

_POLICIES: tuple[Policy, ...] = tuple(POLICIES.values())


class ChainEconomy:
    """An economy of batons, legs, bonds and debts, played round by round.

    Parameters
    ----------
    settings : EconomySettings
        With `topology = "chain"`.
    policy : integer array of shape (participants,)
        How each plays: positions in `POLICIES`.
    """

    alive = True
    """A chain cannot die: when no hop passes, the base stays."""

    def __init__(self, settings: EconomySettings, policy: NDArray[np.int8]) -> None:
        self.settings = settings
        size = settings.participants
        self._policy = policy
        self._examining = np.array([_POLICIES[number].examining for number in policy])
        self._liars = sorted({*self._examining.tolist()} - {Examining.HONEST})
        self._of_name = list(range(size))
        self._active = np.ones(size, dtype=np.bool_)
        genesis = Genesis(
            settings=asdict(settings.of_relay()),
            model="genesis",
            bound=1.0,
            participants=tuple(f"participant {number}" for number in range(size)),
            utilities=tuple(self._first_utilities()),
        )
        self.state = begin(genesis)
        self._performance = {"genesis": float(_GENESIS)}
        self._version = {"genesis": 0}
        self._maker: dict[str, int] = {}
        self._found: dict[str, NDArray[np.float64]] = {}
        self._held = np.full(size, -1)
        self._best = np.full(size, -np.inf)
        self._seen_last = np.full(size, np.nan)
        self._satisfaction = np.zeros(size)
        self._hops = np.zeros(size, dtype=np.int64)
        self._trained = np.zeros(size, dtype=np.int64)
        self._forfeits = np.zeros(size, dtype=np.int64)

    def _first_utilities(self) -> list[float]:
        """What everybody makes of the genesis model, whose performance number is 0."""
        size, rng = self.settings.participants, np.random.default_rng([self.settings.seed, 0])
        noise = self.settings.examiner_noise * rng.standard_normal(size)
        return [float(value) for value in np.clip(float(accuracy(_GENESIS)) + noise, 0.0, 1.0)]

    def next_round(self) -> RoundFlows:
        """Play one round: deposits, legs, commitment, tests, settlement, publication."""
        state = self.state
        minted, burned = sum(state.minted.values()), sum(state.burned.values())
        round = state.round + 1
        rng = np.random.default_rng([self.settings.seed, round])
        deposit = decide_deposits(
            state,
            self._active,
            generator(self.settings.seed, round, "deposits"),
            most_hops=self.settings.participants,
            at_most=self._willing(),
        )
        apply(state, deposit)
        commitment = self._legs(deposit, rng)
        apply(state, commitment)
        self._examine(deposit, commitment, rng)
        settled = decide_settlement(state)
        apply(state, settled)
        self._publish()
        hops = [hop for lane in settled.lanes for hop in lane.hops]
        self._rename({p.participant for p in settled.payments if p.rule == PaymentRule.FORFEIT})
        self._satisfaction += accuracy(self._best)
        return RoundFlows(
            owners=len(deposit.lanes),
            hops=len(hops),
            recognised=sum(hop.outcome == Outcome.ACCEPTED for hop in hops),
            minted=sum(state.minted.values()) - minted,
            burned=sum(state.burned.values()) - burned,
        )

    def _summed(self, of_names: NDArray[np.int64]) -> NDArray[np.int64]:
        """What participants have under all their names together."""
        totals = np.zeros(self.settings.participants, dtype=np.int64)
        np.add.at(totals, self._of_name, of_names)
        return totals

    def snapshot(self) -> Snapshot:
        """Everybody as they stand now; pay that has not vested counts."""
        who = self.state.who
        return Snapshot(
            coins=self._summed(who.coins + who.locked),
            held_version=self._held.copy(),
            best=self._best.copy(),
            satisfaction=self._satisfaction.copy(),
        )

    def participants(self) -> dict[str, NDArray[Any]]:
        """The closing table; income is what was paid out, so that what is held back is none."""
        size = self.settings.participants
        return {
            "policy": self._policy,
            "income": self._summed(self.state.who.coins) / COIN,
            "satisfaction": self._satisfaction,
            "best": self._best,
            "held_version": self._held,
            "hops": self._hops,
            "trained": self._trained,
            "recognised": self._summed(self.state.who.accepted),
            "forfeits": self._forfeits,
            "names": np.bincount(self._of_name, minlength=size),
        }

    def _policy_of(self, name: int) -> Policy:
        return _POLICIES[int(self._policy[self._of_name[name]])]

    def _willing(self) -> NDArray[np.int64]:
        """The most that each name puts at stake: all it has, or, by policy, nothing."""
        nothing = np.array([policy.bid == "nothing" for policy in POLICIES.values()])
        miserly = nothing[self._policy[self._of_name]]
        return np.where(miserly, 0, self.state.who.coins)

    def _legs(self, deposit: Deposit, rng: np.random.Generator) -> Commitment:
        lanes = [
            self._leg(deposit.round, lane, terms, rng) for lane, terms in enumerate(deposit.lanes)
        ]
        return Commitment(round=deposit.round, lanes=tuple(lanes))

    def _leg(
        self, round: int, lane: int, terms: LaneTerms, rng: np.random.Generator
    ) -> tuple[HopClaim, ...]:
        """The hops of a leg, each on what the one before it handed on."""
        claims: list[HopClaim] = []
        baton = terms.base
        for trainer in terms.trainers:
            participant = self._of_name[trainer]
            self._hops[participant] += 1
            done, noise = rng.random() < self.settings.success, rng.standard_normal()
            if not done or self._policy_of(trainer).training == Training.VANISH:
                fault = Fault.TIMEOUT
                claims.append(HopClaim(trainer=trainer, base=baton, model=None, fault=fault))
                # Who vanishes keeps the base it was sent.
                self._hold(participant, baton)
                continue
            stride = self.state.stride(trainer)
            gained = self._performance[baton] + stride * self._gain(trainer, baton, noise)
            model = f"{round}/{lane}/{len(claims)}"
            ceiling = self.settings.ceiling
            self._performance[model] = gained if ceiling is None else min(gained, ceiling)
            self._maker[model], self._version[model] = trainer, round
            sent = f"{model} as sent" if stride < 1 else None
            claims.append(HopClaim(trainer=trainer, base=baton, model=model, fault=None, sent=sent))
            self._trained[participant] += 1
            self._seen_last[participant] = self._performance[baton]
            self._hold(participant, model)
            baton = model
        return tuple(claims)

    def _gain(self, trainer: int, baton: str, noise: float) -> float:
        """What is added to the baton's performance number, where all of the hop is taken."""
        settings, participant = self.settings, self._of_name[trainer]
        honest = settings.gain_mean + settings.gain_sd * noise
        match self._policy_of(trainer).training:
            case Training.NONE:
                return 0.0
            case Training.GAMBLE:
                return settings.gain_sd * noise
            case Training.COPY:
                earlier = float(self._seen_last[participant])
                return 0.0 if math.isnan(earlier) else earlier - self._performance[baton]
            case Training.SLEEP if self._trained[participant] >= _HONEST_HOPS:
                return _REVERSED * honest
            case _:
                return honest

    def _hold(self, participant: int, model: str) -> None:
        self._held[participant] = max(self._held[participant], self._version[model])
        self._best[participant] = max(self._best[participant], self._performance[model])

    def _examine(self, deposit: Deposit, commitment: Commitment, rng: np.random.Generator) -> None:
        """The committee's votes, as honest as its members."""
        state = self.state
        # A live run draws from the commitment's hash; here the seed is as good.
        head = f"{self.settings.seed}/{deposit.round}"
        plan = decide_tests(state, head, deposit, commitment)
        planted = (_PLANTED,) if plan.plants else ()
        self._performance[_PLANTED] = _LOST
        models = [*plan.models, *planted]
        known = {model: self._votes(model, plan, rng) for model in models}
        terms = audit_terms(state, commitment, plan.audited)
        for each in terms:
            known |= self._votes_on_audit(each, plan, rng)
        apply(state, _testing(deposit.round, plan, planted, known, terms))
        for name in plan.committee:
            for model in models:
                if model != _PLANTED:
                    self._hold(self._of_name[name], model)

    def _votes(self, model: str, plan: TestPlan, rng: np.random.Generator) -> NDArray[np.float64]:
        """Utilities by the committee; what a member has said before it says again."""
        committee = list(plan.committee)
        known = self.state.known_utilities(model)[committee]
        votes = self._find(model, plan, rng)
        maker = self._maker.get(model)
        maker_kind = None if maker is None else self._policy_of(maker).examining
        for kind in self._liars:
            lies = self._examine_as(kind, committee)
            votes = np.where(lies, said_of_model(kind, maker_kind == kind, votes), votes)
        return np.where(np.isnan(known), votes, known)

    def _find(self, model: str, plan: TestPlan, rng: np.random.Generator) -> NDArray[np.float64]:
        """What the committee finds of a model, and each of them at every visit again."""
        committee, size = list(plan.committee), self.state.num_participants
        common = float(accuracy(np.array([self._performance[model]]))[0])
        noise = self.settings.examiner_noise * rng.standard_normal(len(committee))
        before = np.full(size, np.nan)
        known = self._found.get(model, before)
        before[: len(known)] = known
        found = before[committee]
        before[committee] = np.where(np.isnan(found), np.clip(common + noise, 0.0, 1.0), found)
        self._found[model] = before
        return before[committee]

    def _examine_as(self, kind: Examining, committee: Sequence[int]) -> NDArray[np.bool_]:
        """Who of a committee examines so."""
        of_committee = self._examining[[self._of_name[name] for name in committee]]
        return np.asarray(of_committee == kind, dtype=np.bool_)

    def _votes_on_audit(
        self, terms: AuditTerms, plan: TestPlan, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float64]]:
        """Utilities of a hop's reference and probe: performance numbers add up.

        An examiner that finds more in a step than others do finds a part of that in a part of the
        step, too, beside what it finds on the other base alone.
        """
        performance, weight = self._performance, AUDITED_PART
        committee, spread = list(plan.committee), weight * self.settings.examiner_noise
        reference = performance[terms.trail]
        step = weight * (performance[terms.model] - performance[terms.base])
        before, after = accuracy(reference + np.array([0.0, step]))
        hop = accuracy(np.array([performance[terms.base], performance[terms.model]]))
        whole = self._found[terms.model][committee] - self._found[terms.base][committee]
        noise = self.settings.examiner_noise * rng.standard_normal((2, len(committee)))
        on_reference = np.clip(before + noise[0], 0.0, 1.0)
        own = weight * (whole - (hop[1] - hop[0]) + noise[1])
        on_probe = np.clip(on_reference + after - before + own, 0.0, 1.0)
        maker_kind = self._policy_of(self._maker[terms.model]).examining
        for kind in self._liars:
            lies, ours = self._examine_as(kind, plan.committee), maker_kind == kind
            said = said_of_audit(kind, ours, on_reference, on_probe, spread)
            on_reference = np.where(lies, said[0], on_reference)
            on_probe = np.where(lies, said[1], on_probe)
        return {
            f"reference of {terms.model}": on_reference,
            f"probe of {terms.model}": on_probe,
        }

    def _publish(self) -> None:
        settled = self.state.settlement
        if settled is None:
            return
        batons = tuple(settled.lanes[source].baton for source in settled.restart_from)
        scores = [math.nan if lane.score is None else lane.score for lane in settled.lanes]
        champion = batons[int(rank(scores)[0])]
        apply(
            self.state,
            Publication(
                round=self.state.round, batons=batons, merged_from=(), trails=batons,
                champion=champion,
            ),
        )  # fmt: skip
        live = {*batons, *self.state.recognised, self.state.lineage.genesis}
        self._performance = {m: p for m, p in self._performance.items() if m in live}
        self._version = {m: number for m, number in self._version.items() if m in live}
        self._maker = {m: who for m, who in self._maker.items() if m in live}
        self._found = {m: found for m, found in self._found.items() if m in live}

    def _rename(self, forfeited: set[int]) -> None:
        """Who came to forfeit anything, and plays that way, returns under a new name."""
        for name in forfeited:
            self._forfeits[self._of_name[name]] += 1
        gone = sorted(name for name in forfeited if self._policy_of(name).renames)
        if not gone:
            return
        first = self.state.num_participants
        names = tuple(f"name {first + position}" for position in range(len(gone)))
        apply(self.state, Admission(round=self.state.round + 1, participants=names))
        self._active[gone] = False
        self._active = np.append(self._active, np.ones(len(gone), dtype=np.bool_))
        self._of_name += [self._of_name[name] for name in gone]


def _testing(
    round: int,
    plan: TestPlan,
    planted: tuple[str, ...],
    known: dict[str, NDArray[np.float64]],
    terms: list[AuditTerms],
) -> Testing:
    return Testing(
        round=round,
        committee=plan.committee,
        audited=plan.audited,
        planted=planted,
        models=tuple(known),
        utilities=tuple(tuple(row.tolist()) for row in known.values()),
        references=tuple(f"reference of {each.model}" for each in terms),
        probes=tuple(f"probe of {each.model}" for each in terms),
    )
