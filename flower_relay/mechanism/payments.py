"""The tally of a settlement in the making: payments and standings, collected hop by hop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.coins import PaymentRule, effect_of
from ..rules.evidence import harm_of
from ..rules.outcomes import Fault
from ..rules.settlement import is_forgiven
from ..rules.standing import NEWCOMER_BOND, new_bonds, new_debt, waiting_cycles
from .blocks import (
    Payment,
    Standing,
)
from .state import State

__all__ = ["move_units", "Tally"]


class Tally:
    """Collects what one settlement moves; reads the state, never writes it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.payments: list[Payment] = []
        self._bond: dict[int, float] = {}
        self._vote_debt: dict[int, float] = {}
        self._audit_debt: dict[int, float] = {}
        self._waits_until: dict[int, int] = {}
        self.examined: Counter[int] = Counter()
        self.agreed: Counter[int] = Counter()

    def pay(self, participant: int, units: int, rule: PaymentRule) -> None:
        """Move units under a rule; nothing moves nothing."""
        if units:
            self.payments.append(Payment(participant=participant, units=units, rule=rule))

    def judge_hop(
        self, trainer: int, score: float, audit_score: float | None = None, *, rejected: bool
    ) -> None:
        """Book a hop on its trainer's debts, and the wait that follows a rejection.

        Parameters
        ----------
        trainer : int
        score : float
            What votes on the hop say (`rules.evidence.score_of`).
        audit_score : float, optional
            The same of its audit, if there was one.
        rejected : bool
            Whether it was rejected or gave no candidate: whole harm, whatever its rank.
        """
        state = self._state
        by_votes, by_audits = state.debts(trainer)
        allowance = state.forgiven
        harm = 1.0 if rejected else harm_of(score, state.scores)
        self._vote_debt[trainer] = new_debt(by_votes, harm, allowance)
        if audit_score is not None:
            harm = harm_of(audit_score, state.audit_scores)
            self._audit_debt[trainer] = new_debt(by_audits, harm, allowance)
        wait = waiting_cycles(self.debt_of(trainer)) if rejected else 0
        self._waits_until[trainer] = state.cycle + 1 + wait

    def debt_of(self, participant: int) -> float:
        """What a participant owes, with what was booked so far."""
        return sum(self._debts_of(participant))

    def _debts_of(self, participant: int) -> tuple[float, float]:
        who = self._state.who
        return (
            self._vote_debt.get(participant, float(who.vote_debt[participant])),
            self._audit_debt.get(participant, float(who.audit_debt[participant])),
        )

    def sit_out(self, trainer: int, cycles: int) -> None:
        """Have a trainer sit out so many cycles after this one."""
        if cycles:
            before = self._waits_until.get(trainer, int(self._state.who.waits_until[trainer]))
            self._waits_until[trainer] = max(before, self._state.cycle + 1 + cycles)

    def forgives(self, trainer: int, fault: Fault) -> bool:
        """Whether a fault of a trainer's is nobody's."""
        return is_forgiven(fault, int(self._state.who.lefts[trainer]))

    def welcome(self, trainer: int) -> None:
        """A newcomer's first accepted hop gives it a bond, unless its votes gave it more."""
        if self._state.who.newcomer[trainer]:
            self._bond[trainer] = max(NEWCOMER_BOND, self._bond_of(trainer))

    def judge_votes(
        self, committee: tuple[int, ...], votes: NDArray[np.float64], verdict: float, line: float
    ) -> None:
        """Book a committee's votes on their bonds; who was on the verdict's side of the line."""
        settings = self._state.settings
        before = np.array([self._bond_of(index) for index in committee])
        after = new_bonds(before, votes, verdict, tolerance=settings.tolerance)
        for index, bond, vote in zip(committee, after.tolist(), votes.tolist(), strict=True):
            if not np.isnan(vote):
                self._bond[index] = bond
                self.agreed[index] += (vote >= line) == (verdict >= line)

    def standings(self) -> tuple[Standing, ...]:
        """The new standing of everybody whom this round touched."""
        who = self._state.who
        touched = sorted({*self._bond, *self._vote_debt, *self._waits_until, *self.examined})
        return tuple(
            Standing(
                participant=index,
                bond=self._bond_of(index),
                vote_debt=self._debts_of(index)[0],
                audit_debt=self._debts_of(index)[1],
                waits_until=self._waits_until.get(index, int(who.waits_until[index])),
                examined=self.examined[index],
            )
            for index in touched
        )

    def _bond_of(self, index: int) -> float:
        return self._bond.get(index, float(self._state.who.bond[index]))


def move_units(payments: Iterable[Payment], coins: Any, locked: Any) -> None:
    """Book payments on balances and what is locked (deposits, pay not vested), in place."""
    for payment in payments:
        to_balance, to_locked = effect_of(payment.rule)
        coins[payment.participant] += to_balance * payment.units
        locked[payment.participant] += to_locked * payment.units
