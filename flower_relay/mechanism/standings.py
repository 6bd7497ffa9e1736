"""Where everybody stands: balances, bonds, debts and turns, an array each, over participants.

What a run's state holds of people; `flower_relay.mechanism.apply` alone writes to it. How
bonds and debts move is in `flower_relay.rules.standing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.audits import compared, concordance, word

__all__ = ["Standings"]

_WHOLE = (
    "coins", "locked", "version", "waits_until", "income", "accepted", "rejected", "examined",
    "steps_seen", "audits", "last_try", "lefts", "stalls", "sits_until", "silences",
    "rests_until",
)  # fmt: skip
_COHERENCE = ("part_squares", "whole_squares", "part_products", "audits")
_SUMS = ("step_squares", *_COHERENCE[:3])
_OTHER = (
    "bond", "vote_debt", "audit_debt", *_SUMS, "had_turn", "newcomer", "founder", "trains",
    "examines",
)  # fmt: skip


@dataclass
class Standings:
    """One entry a participant, in the order of admission; amounts in units.

    `last_try` is the round of its last turn, 0 before any; `lefts` are the turns in a row in
    which it left, and `stalls` those that took long and brought nothing. Before the run has had
    `sits_until` hops it has no turn. `silences` are the rounds in a row in which it was asked and
    said nothing; until the cycle `rests_until` it is not asked again.

    `vote_debt` grows by votes on hops, `audit_debt` by audits of them.

    `steps_seen` and `step_squares` are of the differences that it reported between audits'
    probes and references: how many, and the sum of their squares. Of its coherence
    `part_squares`, `whole_squares`, `part_products` and `audits` are sums of what
    `rules.audits.compared` has.
    """

    names: list[str]
    coins: NDArray[np.int64]
    locked: NDArray[np.int64]
    bond: NDArray[np.float64]
    vote_debt: NDArray[np.float64]
    audit_debt: NDArray[np.float64]
    version: NDArray[np.int64]
    waits_until: NDArray[np.int64]
    had_turn: NDArray[np.bool_]
    newcomer: NDArray[np.bool_]
    founder: NDArray[np.bool_]
    trains: NDArray[np.bool_]
    examines: NDArray[np.bool_]
    income: NDArray[np.int64]
    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]
    examined: NDArray[np.int64]
    steps_seen: NDArray[np.int64]
    last_try: NDArray[np.int64]
    lefts: NDArray[np.int64]
    stalls: NDArray[np.int64]
    sits_until: NDArray[np.int64]
    silences: NDArray[np.int64]
    rests_until: NDArray[np.int64]
    audits: NDArray[np.int64]
    step_squares: NDArray[np.float64]
    part_squares: NDArray[np.float64]
    whole_squares: NDArray[np.float64]
    part_products: NDArray[np.float64]

    @classmethod
    def of(
        cls, names: tuple[str, ...], roles: tuple[str, ...], *, founders: bool, debt: float
    ) -> Standings:
        """Fresh standings: founders have bond 1, newcomers 0; without roles all do both."""
        size = len(names)
        arrays: dict[str, NDArray[Any]] = {n: np.zeros(size, dtype=np.int64) for n in _WHOLE}
        arrays |= {name: np.zeros(size) for name in _SUMS}
        return cls(
            names=list(names),
            bond=np.full(size, float(founders)),
            vote_debt=np.full(size, debt),
            audit_debt=np.zeros(size),
            had_turn=np.zeros(size, dtype=np.bool_),
            newcomer=np.full(size, not founders),
            founder=np.full(size, founders),
            trains=np.array([role != "examine" for role in roles or names], dtype=np.bool_),
            examines=np.array([role != "train" for role in roles or names], dtype=np.bool_),
            **arrays,
        )

    def extend(self, names: tuple[str, ...], roles: tuple[str, ...], debt: float) -> None:
        """Admit newcomers at the end."""
        fresh = Standings.of(names, roles, founders=False, debt=debt)
        self.names += fresh.names
        for name in (*_WHOLE, *_OTHER):
            joined = np.concatenate([getattr(self, name), getattr(fresh, name)])
            setattr(self, name, joined)

    @property
    def debt(self) -> NDArray[np.float64]:
        """What each owes: both debts together."""
        owed: NDArray[np.float64] = self.vote_debt + self.audit_debt
        return owed

    @property
    def usual_step(self) -> NDArray[np.float64]:
        """Root mean square of the differences that each reported of audits, 0 before any."""
        usual: NDArray[np.float64] = np.sqrt(self.step_squares / np.maximum(self.steps_seen, 1))
        return usual

    @property
    def word(self) -> NDArray[np.float64]:
        """What each one's word in audits counts."""
        coherence = concordance(self.part_squares, self.whole_squares, self.part_products)
        return word(coherence, self.audits)

    @property
    def paid_for(self) -> NDArray[np.float64]:
        """The part of its points that each is paid for: its word, times a founder's bond.

        What lying gains comes from audits and not from fees, so own pay is at stake for it. Who
        joined later begins without a bond, and its votes weigh what its hops have earned.
        """
        return self.word * np.where(self.founder, self.bond, 1.0)

    def see_step(
        self,
        examiners: Sequence[int],
        seen: NDArray[np.float64],
        whole: NDArray[np.float64],
        usual: float,
    ) -> None:
        """Note what examiners reported of an audit, beside that part of their votes on the hop.

        Parameters
        ----------
        examiners : sequence of int
        seen : array of shape (examiners,)
            The differences between probe and reference; NaN is an abstention.
        whole : array of shape (examiners,)
            The audited part of their votes on the hop.
        usual : float
            The middle size of votes on hops in the round.
        """
        those = list(examiners)
        for name, added in zip(_COHERENCE, compared(seen, whole, usual), strict=True):
            getattr(self, name)[those] += added
        self.step_squares[those] += np.nan_to_num(seen) ** 2
        self.steps_seen[those] += ~np.isnan(seen)
