"""Coins are integers of 10⁻⁹, so that sums are exact and ledgers replay to the bit."""

from __future__ import annotations

__all__ = ["COIN", "to_coins", "to_units"]

COIN = 10**9
"""Units in one coin."""


def to_units(coins: float) -> int:
    """Round an amount of coins to the nearest unit."""
    return round(coins * COIN)


def to_coins(units: int) -> float:
    """Units as coins, for people to read."""
    return units / COIN
