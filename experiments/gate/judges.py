"""What may judge a leg: the shipped gate with parts of it changed, and gates in other units.

A judge holds debts, weights of votes and what is usual; `experiments.gate.gate` plays the rest.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flower_relay.rules.gate import EXPECTED, judge_leg, leeway, patience_with, usual_margin
from flower_relay.rules.standing import (
    BOND_GAIN,
    DEBT_ALLOWANCE,
    DEBT_SCALE,
    new_bonds,
    new_debt,
    stride_of,
)
from flower_relay.settings import RelaySettings

from .worlds import NODES

__all__ = ["SHIPPED", "Gate", "InTolerances", "InUsualVotes", "Judge", "Judged"]

SHIPPED = RelaySettings()
"""Whose defaults the shipped gate has."""


@dataclass(frozen=True)
class Judged:
    """How many hops are kept, who is to blame, and whether the whole leg passed."""

    kept: int
    culprits: tuple[int, ...]
    passed: bool


class Judge(Protocol):
    """What a relay asks of its gate."""

    debt: NDArray[Any]

    def stride(self, who: int) -> float:
        """The part of a participant's hop that is taken."""
        ...

    def allowed(self, who: int) -> float:
        """How far its hop may lower the utility, as somebody who knows the rule would say."""
        ...

    def judge(self, who: Sequence[int], rows: NDArray[Any], committee: NDArray[Any]) -> Judged:
        """Judge a leg from utilities, a row a model, and book it."""
        ...


_BEST, _LEAST_SPREAD = 0.8, 0.05
"""Of margins above the median those of the best fifth; and the least spread, in tolerances."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A variant of the gate; the defaults are what ships."""

    power: float = 0.25  # the utility is p ** power; 0: the bounded loss
    tolerance: float = SHIPPED.tolerance
    first_cycle: float = 0.0  # instead: so many times what the first hops moved a vote by
    relative: bool = True  # debts by what is usual, or by what is below zero
    scale: float = DEBT_SCALE
    spreads: float = math.inf  # or so many usual spreads, where that is less
    allowance: float = DEBT_ALLOWANCE
    leeway: bool = True  # the tolerance is wider where hops usually cost something
    bonds: float = BOND_GAIN  # what a clear vote moves its examiner's bond by
    correlated: bool = False  # instead: weights by the correlation of votes
    strides: bool = True  # debts shorten hops
    squared: bool = True  # tolerances shrink like a stride's square, or like the stride
    first_debt: float = SHIPPED.first_debt  # what everybody begins with
    proven: bool = True  # who had three hops accepted has twice the tolerance without debts
    expected: tuple[float, ...] = EXPECTED  # margins before there are others
    whole: bool = True  # only whole hops tell what is usual
    shuffled: bool = True  # each cycle in an order of its own, or by who waits longest
    waits: str = "rejected"  # or "always": whoever is in debt waits
    whole_legs: bool = False  # only a leg's end is judged, all of it only where that fails
    gate: bool = True
    trail: float = SHIPPED.trail
    line: float = 0.0  # instead of tolerances: a line in spreads of standardised scores


def usual_spread(margins: Sequence[float]) -> float:
    """How far the latest margins lie above their median: the lower limit of the best fifth.

    Only those above tell it. Hostile hops lie below, and would make room for themselves.
    """
    known = np.asarray(margins, dtype=np.float64)
    above = known - usual_margin(margins)
    return max(_LEAST_SPREAD, float(np.quantile(above[above >= 0], _BEST)))


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


class InTolerances:
    """The shipped gate, or a variant of it: everything in tolerances."""

    _FIRST = 20

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.debt = np.full(NODES, gate.first_debt)
        self._bond, self._correlation = np.ones(NODES), Correlation()
        self._accepted = np.zeros(NODES, dtype=int)
        self._margins = list(gate.expected)
        self._moved: list[float] = []

    def stride(self, who: int) -> float:
        """The part of a participant's hop that is taken."""
        return stride_of(self.debt[who]) if self.gate.strides else 1.0

    def allowed(self, who: int) -> float:
        """How far its hop may lower the utility."""
        return self._tolerance * max(1.0, self._patience(who))

    @property
    def _tolerance(self) -> float:
        if self.gate.first_cycle and self._moved:
            return max(1e-12, self.gate.first_cycle * float(np.median(self._moved)))
        return self.gate.tolerance

    def _patience(self, who: int) -> float:
        stride, accepted = self.stride(who), int(self._accepted[who])
        patience = patience_with(stride, accepted if self.gate.proven else 0)
        return patience if self.gate.squared else max(patience, stride)

    def judge(self, who: Sequence[int], rows: NDArray[Any], committee: NDArray[Any]) -> Judged:
        """Judge a leg, and book it on bonds and debts."""
        gate, strides = self.gate, [self.stride(i) for i in who]
        moved = [float(np.median(np.abs(votes))) for votes in np.diff(rows, axis=0)]
        self._moved = [*self._moved, *moved][: self._FIRST]
        patience = [self._patience(i) for i in who]
        wide = leeway(usual_margin(self._margins)) if gate.leeway else 1.0
        weights = self._correlation.weights if gate.correlated else self._bond
        seen = rows.copy()
        if gate.whole_legs:
            seen[1:-1] = np.nan
            end = judge_leg(seen, weights[committee], self._tolerance * wide, patience)
            seen = seen if end.passed else rows
        verdict = judge_leg(seen, weights[committee], self._tolerance * wide, patience)
        for place in (*verdict.culprits, *range(verdict.kept)):
            vote = verdict.votes[place]
            self._book(who[place], vote, strides[place], place < verdict.kept)
            self._weigh(committee, rows[place + 1] - rows[place], vote)
        return Judged(verdict.kept, verdict.culprits, bool(verdict.passed))

    def judge_apart(
        self, who: Sequence[int], pairs: Sequence[NDArray[Any]], committee: NDArray[Any]
    ) -> list[bool]:
        """Judge hops from one base, each by standings as they were before; which pass.

        Each hop comes as two rows of utilities, of its base and of its model.
        """
        strides = [self.stride(i) for i in who]
        tolerance = self._tolerance * leeway(usual_margin(self._margins))
        weights = self._bond[committee].copy()
        found = [
            judge_leg(rows, weights, tolerance, [self._patience(i)])
            for i, rows in zip(who, pairs, strict=True)
        ]
        for i, rows, stride, verdict in zip(who, pairs, strides, found, strict=True):
            self._book(i, verdict.votes[0], stride, bool(verdict.passed))
            self._weigh(committee, rows[1] - rows[0], verdict.votes[0])
        return [bool(verdict.passed) for verdict in found]

    def _weigh(self, committee: NDArray[Any], votes: NDArray[Any], verdict: float) -> None:
        self._correlation.note(committee, votes / self._tolerance)
        self._bond[committee] = new_bonds(
            self._bond[committee], votes, verdict, tolerance=self._tolerance, gain=self.gate.bonds
        )

    def _book(self, i: int, vote: float, stride: float, accepted: bool) -> None:
        gate, margin = self.gate, vote / (self._tolerance * stride)
        usual = usual_margin(self._margins) if gate.relative else 0.0
        scale = min(gate.scale, gate.spreads * usual_spread(self._margins))
        self.debt[i] = new_debt(self.debt[i], margin, usual, scale, gate.allowance)
        self._accepted[i] += accepted
        if stride == 1 or not gate.whole:
            self._margins = [*self._margins, margin][-40:]


class InUsualVotes:
    """A gate without a constant in the utility's unit; it did not do better.

    A vote counts in its examiner's usual one, or in that of the middle of all where that is
    larger, and at most ten of those. A hop's score is their mean by weight. The line and the
    debts are in spreads of everybody's latest two scores above their median, as hostile hops
    are below it.
    """

    _MOST, _SEEN, _LATEST, _LEAST = 10.0, 20, 2, 0.02
    _CLEAR, _FORGIVEN, _HELD_BACK_AT = 2.0, 0.5, 4.0

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.debt, self._bond = np.full(NODES, gate.first_debt), np.ones(NODES)
        self._seen = [deque[float](maxlen=self._SEEN) for _ in range(NODES)]
        self._scores = [deque[float](maxlen=self._LATEST) for _ in range(NODES)]

    def stride(self, who: int) -> float:
        """The part of a participant's hop that is taken."""
        return stride_of(self.debt[who])

    def allowed(self, who: int) -> float:
        """How far its hop may lower its own examiners' utility."""
        middle, spread = self._usual()
        unit = float(self._units(np.array([who]), np.array([[0.05]]))[0])
        return (self.gate.line * spread - min(0.0, middle)) * unit

    def _units(self, committee: NDArray[Any], votes: NDArray[Any]) -> NDArray[Any]:
        usual = [float(np.median(seen)) for seen in self._seen if len(seen) >= 3]
        middle = float(np.median(usual if len(usual) >= 5 else np.abs(votes)))
        own = [np.median(seen) if len(seen) >= 3 else middle for seen in map(self._of, committee)]
        return np.maximum(np.maximum(own, middle), 1e-12)

    def _of(self, examiner: int) -> deque[float]:
        return self._seen[examiner]

    def _usual(self) -> tuple[float, float]:
        scores = [score for latest in self._scores for score in latest]
        known = np.array(scores if len(scores) >= NODES else [*scores, -1.0, 0.0, 1.0])
        middle = float(np.median(known))
        above = known[known >= middle] - middle
        return middle, max(1.4826 * float(np.median(above)), self._LEAST)

    def judge(self, who: Sequence[int], rows: NDArray[Any], committee: NDArray[Any]) -> Judged:
        """Judge a leg, and book it on weights and debts."""
        strides = np.array([self.stride(i) for i in who])
        votes = np.diff(rows, axis=0) / strides[:, None]
        said = np.clip(votes / self._units(committee, votes), -self._MOST, self._MOST)
        weights = self._bond[committee]
        scores = said @ weights / max(float(weights.sum()), 1e-12)
        middle, spread = self._usual()
        above = scores - min(0.0, middle) + self.gate.line * spread * strides
        kept, culprits = len(who), []
        while kept and (above[:kept] < 0).any():
            kept = int(np.argmin(above[:kept]))
            culprits.append(kept)
        for place in (*culprits, *range(kept)):
            low = float(np.clip((middle - scores[place]) / spread, -self._CLEAR, self._CLEAR))
            debt = self.debt[who[place]] + (low - self._FORGIVEN) / self._HELD_BACK_AT
            self.debt[who[place]] = max(0.0, debt)
            self._scores[who[place]].append(float(scores[place]))
            self._weigh(committee, votes[place], said[place], float(scores[place]))
        return Judged(kept, tuple(culprits), not culprits)

    def _weigh(
        self, committee: NDArray[Any], votes: NDArray[Any], said: NDArray[Any], score: float
    ) -> None:
        moved = self.gate.bonds * np.clip(said, -1, 1) * np.clip(score, -1, 1)
        self._bond[committee] = np.clip(self._bond[committee] + moved, 0, 1)
        for examiner, vote in zip(committee, votes, strict=True):
            self._seen[examiner].append(abs(float(vote)))
