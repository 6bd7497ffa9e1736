"""The auction: what a place in the relay is worth to whom, and who gets it.

DeRelayL step 2 (bids, matching) and step 3 (deposits). Bids grow with the staleness of
a trainer's newest model, bounded by what it owns. All amounts may be floats (the authors'
own arithmetic) or integer units (everything else); the arithmetic is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SLOTS",
    "auction_order",
    "match",
    "owner_bids",
    "slots_filled",
    "trainer_bids",
    "version_in",
]

SLOTS = 4
"""Trainers that one owner may serve."""


def trainer_bids(
    coins: NDArray[Any], version: NDArray[np.int64], round: int, coin: int = 1
) -> NDArray[Any]:
    """Bid min(coins, round − version + 1): the staler your model, the more you want in.

    Parameters
    ----------
    coins : array of shape (participants,)
        Free balances, in units of 1/`coin`.
    version : integer array of shape (participants,)
        Version of the newest model each participant made; below 0 for none, which
        counts as version 0.
    round : int
        The current round; in a chain, versions and this are cycles, counted from 1.
    coin : int
        Units in a coin.

    Returns
    -------
    array of shape (participants,)
        Bids in the unit of `coins`.
    """
    staleness = round - np.maximum(version, 0) + 1
    bids: NDArray[Any] = np.minimum(coins, staleness * coin)
    return bids


def version_in(cycle: int) -> int:
    """The version of what is made in a chain's cycle: from 1, as 0 is never."""
    return cycle + 1


def owner_bids(coins: NDArray[Any], most: float, slots: int) -> NDArray[Any]:
    """What each owner bids for each of its slots: min(coins, most) / slots."""
    bids: NDArray[Any] = np.minimum(coins, most)
    if np.issubdtype(bids.dtype, np.integer):
        return bids // slots
    return bids / slots


def auction_order(bids: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions by bid, highest first, ties shuffled."""
    shuffled = rng.permutation(len(bids))
    order: NDArray[np.int64] = shuffled[np.argsort(-bids[shuffled], kind="stable")]
    return order


def match(owners: NDArray[np.int64], trainers: NDArray[np.int64], slots: int) -> NDArray[np.int64]:
    """Greedy matching: the best owner serves the highest `slots` bidders, and so on.

    Parameters
    ----------
    owners : integer array
        Owners, best model first.
    trainers : integer array
        Trainers, highest bid first.
    slots : int
        Trainers an owner may serve.

    Returns
    -------
    integer array of shape (pairs, 2)
        Owner and trainer, in matching order; trainers beyond the last slot stay unmatched.
    """
    served = owners[slots_filled(len(owners), len(trainers), slots)]
    return np.stack([served, trainers[: len(served)]], axis=1)


def slots_filled(owners: int, trainers: int, slots: int) -> NDArray[np.int64]:
    """For each pair of the matching, the position of its owner."""
    return np.arange(min(trainers, owners * slots)) // slots
