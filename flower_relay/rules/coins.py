"""Coins are integers of 10⁻⁹, so that sums are exact and ledgers replay to the bit."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["COIN", "EXAMINING_FEE", "PaymentRule", "effect_of", "to_coins", "to_units"]

EXAMINING_FEE = 0.001
"""Coins for one test; in a chain as much of it as the vote weighs."""

COIN = 10**9
"""Units in one coin."""


def to_units(coins: float) -> int:
    """Round an amount of coins to the nearest unit."""
    return round(coins * COIN)


def to_coins(units: int) -> float:
    """Units as coins, for people to read."""
    return units / COIN


class PaymentRule(StrEnum):
    """Why units move."""

    DEPOSIT = "deposit"
    REFUND = "refund"
    FORFEIT = "forfeit"
    COMPENSATION = "compensation"
    """A culprit's forfeit, for those whose work it voided."""
    CONTRIBUTION = "contribution"
    """Earned by improvement, and locked until it vests."""
    VESTING = "vesting"
    ROYALTY = "royalty"
    EXAMINING = "examining"


_EFFECTS = {
    PaymentRule.DEPOSIT: (-1, 1),
    PaymentRule.REFUND: (1, -1),
    PaymentRule.FORFEIT: (0, -1),
    PaymentRule.COMPENSATION: (1, 0),
    PaymentRule.CONTRIBUTION: (0, 1),
    PaymentRule.VESTING: (1, -1),
    PaymentRule.ROYALTY: (1, 0),
    PaymentRule.EXAMINING: (1, 0),
}
"""What a unit under a rule adds to the balance, and to what is locked.

Rules that add up to something mint it, or burn it where that is below zero.
"""


def effect_of(rule: PaymentRule) -> tuple[int, int]:
    """What a unit under a rule adds to the balance, and to what is locked."""
    return _EFFECTS[rule]
