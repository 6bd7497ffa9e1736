"""What judges a leg: the shipped gate, or with parts of it changed.

A judge holds debts, weights of votes and what is usual; `experiments.gate.gate` plays the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_relay.rules.evidence import RECENT, harm_of, score_of
from flower_relay.rules.gate import (
    EXPECTED,
    MOST_SAID,
    allowed,
    judge_leg,
    said_by,
    squared,
    usual_cost,
    usual_margin,
)
from flower_relay.rules.planted import REGAINED, SPREADS, votes_on_planted
from flower_relay.rules.standing import (
    BOND_GAIN,
    DEBT_ALLOWANCE,
    forgiven,
    is_cautious,
    new_bonds,
    new_debt,
    stride_of,
)
from flower_relay.rules.votes import FEW, mean_vote, weighted_median
from flower_relay.settings import RelaySettings

from .worlds import NODES

__all__ = ["SHIPPED", "Gate", "Judge", "Judged"]

SHIPPED = RelaySettings()
"""Whose defaults the shipped gate has."""


@dataclass(frozen=True)
class Judged:
    """How many hops are kept, who is to blame, and whether the whole leg passed."""

    kept: int
    culprits: tuple[int, ...]
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A variant of the gate; the defaults are what ships."""

    power: float = 0.25  # the utility is p ** power; 0: the bounded loss
    tolerance: float = SHIPPED.tolerance
    votes: bool = True  # debts by votes on hops
    audits: bool = True  # debts by audits of hops
    audit: float = SHIPPED.audit  # the part of hops that is audited, after the first twenty
    score: Callable[..., float] = score_of  # what votes say, before it is ranked
    recent: int = RECENT  # scores that a hop is ranked among
    wary: bool = True  # in a cautious run all hops are audited
    allowance: float = DEBT_ALLOWANCE  # where examiners hold all of their bonds
    lenient: bool = False  # as much is forgiven, whatever the bonds
    usual: bool = True  # a hop is allowed what hops usually cost
    bonds: float = BOND_GAIN  # what a clear vote moves its examiner's bond by
    correlated: bool = False  # instead: weights by the correlation of votes
    strides: bool = True  # debts shorten hops
    evenly: bool = True  # strides fall evenly between whole debts, or stay until the next
    added: bool = True  # both debts together count, or the larger
    says: str = "lower"  # of a committee: the lower of its median and its mean, or one of them
    allows: str = "both"  # what shrinks how with a stride (`ALLOWINGS`)
    first_debt: float = SHIPPED.first_debt  # what everybody begins with
    waived: bool = True  # of who had no hop yet, once examiners agree and the run has risen
    expected: tuple[float, ...] = EXPECTED  # margins before there are others
    planted: float = SHIPPED.planted  # the part of tests in which two noised models are planted
    anchored: bool = True  # they are made from the genesis model, or from the base of the leg
    noise: float = SPREADS  # of them, in spreads
    worse: bool = False  # the worse of the two votes on them counts, or their mean
    regained: float = REGAINED  # what seeing harm gains beside what seeing none costs
    early: bool = True  # in the first cycle, they are planted in every test
    few: bool = True  # five examine where the run is not cautious
    shuffled: bool = True  # each cycle in an order of its own, or by who waits longest
    waits: str = "rejected"  # or "always": whoever is in debt waits
    whole_legs: bool = False  # only a leg's end is judged, all of it only where that fails
    gate: bool = True
    trail: float = SHIPPED.trail


def middle(votes: NDArray[Any], weights: NDArray[Any]) -> float:
    """A score with a unit: the weighted median, as the verdict has it."""
    return weighted_median(votes, weights)


def _median(votes: NDArray[Any], weights: NDArray[Any], line: float) -> float:
    return weighted_median(votes, weights)


def _mean(votes: NDArray[Any], weights: NDArray[Any], line: float) -> float:
    return mean_vote(votes, weights, MOST_SAID * line)


def _cut_at_whole_hops(votes: NDArray[Any], weights: NDArray[Any], line: float) -> float:
    return said_by(votes, weights, max(line, SHIPPED.tolerance))


SAYINGS = {"lower": said_by, "median": _median, "mean": _mean, "whole": _cut_at_whole_hops}

ALLOWINGS = {
    "both": allowed,
    "square": lambda stride, usual: squared(stride) * (1 + usual),
    "stride": lambda stride, usual: stride * (1 + usual),
}
"""The tolerance like the stride's square and what is usual like the stride, or both like one."""


class Correlation:
    """Weights by how votes went together with those of the others, each head counted once.

    A vote counts as at most four tolerances. Up to a correlation of zero nobody loses weight; at
    −0.3 nothing is left. Who lies has −0.3 to −0.9 in every world that was tried, who is honest
    and holds nearly one class of two −0.1 or more.
    """

    MOST, NOTHING_AT, PRIOR = 4.0, 0.3, 0.05

    def __init__(self) -> None:
        self._sums = np.zeros((3, NODES))

    def note(self, committee: NDArray[Any], votes: NDArray[Any]) -> None:
        """Note a committee's votes on a hop, in tolerances."""
        said = np.clip(votes, -self.MOST, self.MOST)
        others = (said.sum() - said) / (len(said) - 1)
        self._sums[:, committee] += [said * others, said**2, others**2]

    @property
    def weights(self) -> NDArray[Any]:
        """What everybody's votes weigh."""
        both, own, others = self._sums
        found = both / np.sqrt((own + self.PRIOR) * (others + self.PRIOR))
        return np.asarray(np.clip(1 + found / self.NOTHING_AT, 0, 1))


class Judge:
    """The shipped gate, or a variant of it."""

    def __init__(self, gate: Gate, start: float) -> None:
        self.gate, self._start = gate, start
        self._risen, self.cycle = 0.0, 0
        self._tried, self._examined = np.zeros((2, NODES), dtype=bool)
        self._debts = np.zeros((2, NODES))  # by votes, by audits
        self._debts[0] = gate.first_debt
        self._scores: tuple[list[float], list[float]] = ([], [])
        self._bond, self._correlation = np.ones(NODES), Correlation()
        self._margins = list(gate.expected)

    @property
    def debt(self) -> NDArray[Any]:
        """What everybody owes."""
        owed = self._owed
        return np.asarray(owed.sum(axis=0) if self.gate.added else owed.max(axis=0))

    @property
    def _owed(self) -> NDArray[Any]:
        """Everybody's debts by votes and by audits; first debts may be waived."""
        if not self.gate.waived or self.cautious:
            return self._debts
        return np.where(self._tried, self._debts, 0.0)

    @property
    def cautious(self) -> bool:
        """Whether first debts count, all seats are taken, and every hop is audited."""
        bonds = self._bond[self._examined]
        return is_cautious(bonds, self._risen, self.gate.tolerance, self.cycle)

    @property
    def forgiven(self) -> float:
        """Debt that a hop is forgiven now."""
        held = forgiven(self._bond[self._examined]) / DEBT_ALLOWANCE
        return self.gate.allowance * (1.0 if self.gate.lenient else held)

    def stride(self, who: int) -> float:
        """The part of a participant's hop that is taken."""
        debt = float(self.debt[who]) if self.gate.evenly else float(int(self.debt[who]))
        return stride_of(debt) if self.gate.strides else 1.0

    @property
    def seats(self) -> int:
        """How many examine."""
        most = SHIPPED.examiners
        return min(most, FEW) if self.gate.few and not self.cautious else most

    def judge(
        self,
        who: Sequence[int],
        rows: NDArray[Any],
        committee: NDArray[Any],
        audits: Sequence[NDArray[Any] | None] = (),
    ) -> Judged:
        """Judge a leg, and book it on bonds and debts.

        Parameters
        ----------
        who : sequence of int
            Its trainers.
        rows : array of shape (hops + 1, examiners)
            Utilities, a row a model; row 0 is the base.
        committee : array of shape (examiners,)
        audits : sequence of arrays of shape (examiners,), or None
            For each hop what a part of it adds to the trail, where it is audited.
        """
        gate, strides = self.gate, [self.stride(i) for i in who]
        usual = usual_cost(usual_margin(self._margins)) if gate.usual else 0.0
        judged = partial(judge_leg, says=SAYINGS[gate.says], allows=ALLOWINGS[gate.allows])
        weights = (self._correlation.weights if gate.correlated else self._bond)[committee].copy()
        seen = rows.copy()
        if gate.whole_legs:
            seen[1:-1] = np.nan
            end = judged(seen, weights, gate.tolerance, strides, usual)
            seen = seen if end.passed else rows
        verdict = judged(seen, weights, gate.tolerance, strides, usual)
        owed = self._owed
        for place in (*verdict.culprits, *range(verdict.kept)):
            vote, votes = verdict.votes[place], rows[place + 1] - rows[place]
            audit = audits[place] if audits else None
            self._debts[:, who[place]] = owed[:, who[place]]
            self._book(who[place], (votes, audit), weights, rejected=place >= verdict.kept)
            margin = vote / (gate.tolerance * strides[place])
            self._margins = [*self._margins, margin][-40:]
            self._weigh(committee, votes, vote)
        levels = [weighted_median(row, weights) - self._start for row in rows[: verdict.kept + 1]]
        self._risen = max(self._risen, *levels[1:], 0.0)
        self._examined[committee] = True
        return Judged(verdict.kept, verdict.culprits, bool(verdict.passed))

    def fault(self, who: int) -> float:
        """Book a hop that gave no candidate; what its trainer owes now."""
        self._debts[:, who] = self._owed[:, who]
        self._debts[0, who] = new_debt(self._debts[0, who], 1.0, self.forgiven)
        self._tried[who] = True
        return float(self.debt[who])

    def see_planted(self, committee: NDArray[Any], votes: NDArray[Any]) -> None:
        """Book what is seen in planted models."""
        most, bonds = self.gate.tolerance, self._bond[committee]
        told = votes_on_planted(votes, bonds, most)
        told = np.where(told < 0, -self.gate.regained * most, told)
        self._bond[committee] = new_bonds(bonds, told, -most, tolerance=most)

    def _weigh(self, committee: NDArray[Any], votes: NDArray[Any], verdict: float) -> None:
        self._correlation.note(committee, votes / self.gate.tolerance)
        self._bond[committee] = new_bonds(
            self._bond[committee],
            votes,
            verdict,
            tolerance=self.gate.tolerance,
            gain=self.gate.bonds,
        )

    def _book(
        self, i: int, seen: Sequence[NDArray[Any] | None], weights: NDArray[Any], *, rejected: bool
    ) -> None:
        """Debts by votes and by audits, each by the rank of its score."""
        gate, allowance = self.gate, self.forgiven
        for kind, (votes, counts) in enumerate(zip(seen, (gate.votes, gate.audits), strict=True)):
            if votes is None or not counts:
                continue
            score, known = gate.score(votes, weights), self._scores[kind]
            harm = 1.0 if rejected and kind == 0 else harm_of(score, known[-gate.recent :])
            self._debts[kind, i] = new_debt(self._debts[kind, i], harm, allowance)
            known.append(score)
        self._tried[i] = True
