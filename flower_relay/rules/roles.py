"""Roles: who may train now, and in which order (DeRelayL step 1).

The fan-out draws trainers among those who do not own; the chain gives everybody one
turn a cycle. A participant that is waiting off its debt has no turn, and neither has one
that only examines, by its own policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BOTH",
    "MOST_TURNS_TAKEN",
    "PROBATION_TRIES",
    "ROLES",
    "draw_trainers",
    "next_cycle",
    "next_on_probation",
    "turns_left",
]

BOTH = "both"

ROLES = (BOTH, "train", "examine")
"""What a participant may be willing to do."""

MOST_TURNS_TAKEN = 3
"""Cycles that a trainer sits out at most for how long a turn of its took."""

PROBATION_TRIES = 3
"""Newcomers that may try for the one probation slot of a cycle: who hands in nothing that can be
tested leaves it to the next."""


def draw_trainers(
    present: NDArray[np.bool_],
    owners: NDArray[np.int64],
    fraction_train: float,
    rng: np.random.Generator,
    willing: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Draw fan-out trainers until owners + trainers fill their share of those present.

    Parameters
    ----------
    present : boolean array of shape (participants,)
        Who is connected.
    owners : integer array
        Present owners.
    fraction_train : float
        Owners + trainers as a share of those present; the rest examines.
    rng : numpy.random.Generator
        Draws the trainers.
    willing : boolean array of shape (participants,), optional
        Who does not only examine; all by default.

    Returns
    -------
    integer array
        At least one trainer, and at least one participant left to examine, whenever
        three are present.
    """
    free = present.copy()
    free[owners] = False
    candidates = np.flatnonzero(free if willing is None else free & willing)
    spared = int(len(candidates) == int(free.sum()))  # else somebody is left in any case
    wanted = int(fraction_train * int(present.sum())) - len(owners)
    size = min(max(wanted, 1), max(len(candidates) - spared, 0))
    return np.sort(rng.choice(candidates, size=size, replace=False))


def turns_left(
    present: NDArray[np.bool_],
    had_turn: NDArray[np.bool_],
    waits_until: NDArray[np.int64],
    cycle: int,
) -> NDArray[np.bool_]:
    """Who may still train in this cycle: here, not yet had a turn, not waiting."""
    may: NDArray[np.bool_] = present & ~had_turn & (waits_until <= cycle)
    return may


def next_on_probation(
    waiting: NDArray[np.int64], failed: NDArray[np.int64], last_try: NDArray[np.int64]
) -> int | None:
    """The newcomer whose try is next: the fewest failed ones, then the longest wait.

    A queue by lot, or by bid, is one that many names stuff.

    Parameters
    ----------
    waiting : integer array
        Newcomers who may train now, in the order of admission.
    failed : integer array of shape (participants,)
        Tries of each that failed.
    last_try : integer array of shape (participants,)
        The round of each one's last try; 0 for none.
    """
    if not len(waiting):
        return None
    order = np.lexsort((waiting, last_try[waiting], failed[waiting]))
    return int(waiting[order[0]])


def next_cycle(present: NDArray[np.bool_], waits_until: NDArray[np.int64], cycle: int) -> int:
    """The next cycle in which somebody who is present may train.

    Usually the one after this; later ones when all who are present are still waiting,
    so that a federation of debtors pauses for nobody.
    """
    return int(max(cycle + 1, waits_until[present].min()))
