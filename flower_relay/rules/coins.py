"""Coins are integers of 10⁻⁹, so that sums are exact and ledgers replay to the bit."""

from __future__ import annotations

__all__ = ["EXAMINING_FEE", "effect_of", "COIN", "to_coins", "to_units"]

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


_EFFECTS = {
    "deposit": (-1, 1),
    "refund": (1, -1),
    "forfeit": (0, -1),
    "contribution": (0, 1),
    "vesting": (1, -1),
}
"""What a unit under a rule adds to the balance and to what is locked, where it is not (1, 0).

Rules that add up to something mint it, or burn it where that is below zero.
"""


def effect_of(rule: str) -> tuple[int, int]:
    """What a unit under a rule adds to the balance, and to what is locked."""
    return _EFFECTS.get(rule, (1, 0))
