"""Rewards: what a recognised hop earns, for its trainer and for its lineage.

`contribution` pays for the rise over the high-water mark, so that harming and repairing
earns nothing twice. In a chain the rise of a cycle is divided by what each audited hop adds
to the trail (docs/contribution.md says why, and what else was tried). `royalty` is the
paper's: one coin to the owner of the base and one to the owner of every ancestor, the base
included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .coins import COIN

__all__ = [
    "LINEAGE_DECAY",
    "MINT",
    "PAID_EACH_CYCLE",
    "POINTS_KEPT",
    "TRAINER_SHARE",
    "VESTING",
    "VESTING_DELAY",
    "audit_probability",
    "contribution_credit",
    "divide",
    "faded",
    "passed_on",
    "point_shares",
    "royalties",
    "vested",
]

MINT = 100.0
"""Coins for an improvement as large as the utility's bound: what coins are counted in."""

TRAINER_SHARE, LINEAGE_DECAY = 0.75, 0.9
"""Fan-out: the part of a credit that its trainer keeps, and what each generation back receives
of what the next received."""

PAID_EACH_CYCLE = 0.5
"""Chain: the part of what is due that is divided at a cycle's end. The rest waits for the next
one's points: where most is learned in one cycle, one audited hop each would else divide it all."""

POINTS_KEPT = 0.9
"""Chain: what points count a cycle later. A rise is divided by what audited hops added, in its
own cycle and before."""

VESTING, VESTING_DELAY = 0.2, 4
"""Chain: the part of locked pay that is paid at each cycle's end, and the cycles before that."""

_INSOLVENT = 0.5
"""The debt from which nothing is paid out: less than one wholly harmful hop leaves behind."""

_LEAST_AUDITED = 6
"""Hops of a cycle that are audited, where there are as many: one alone would take it all."""


def audit_probability(audit: float, num_present: int) -> float:
    """With which probability a hop is audited: `audit`, more where few could be."""
    return max(audit, min(1.0, _LEAST_AUDITED / num_present))


def contribution_credit(level: Any, mark: Any) -> Any:
    """The rise of a lineage over its high-water mark, as a fraction of the bound.

    Parameters
    ----------
    level : float or array
        The lineage's level with each hop.
    mark : float or array
        The highest level it had before.
    """
    return np.maximum(0.0, level - mark)


def point_shares(points: Mapping[int, float]) -> dict[int, float]:
    """Who is paid what part of a rise: points as fractions of their sum, none below 0.

    Returns
    -------
    dict of participant to fraction
        Sums to 1; empty when nobody has points.
    """
    earned = {who: points[who] for who in sorted(points) if points[who] > 0}
    total = sum(earned.values())
    return {who: each / total for who, each in earned.items()}


def faded(points: Mapping[int, float], kept: float) -> dict[int, float]:
    """Points one cycle later: a rise is divided by the steps that it stands on, too, the
    further back the less.

    Points are compared across cycles as they are, so that a cycle in which next to nothing
    was added decides next to nothing.
    """
    return {who: each * kept for who, each in points.items()}


def vested(held: int, debt: float, share: float) -> int:
    """What is paid out, at a cycle's end, of units that were earned and have waited long enough.

    A share of it, and nothing to who has a debt of a half or more. Most of what a
    federation learns it learns in its first cycles: paid at once, whoever is honest for so long
    and then turns has nearly all that it would ever have had (measured: 0.79 of its head-count
    share). It is not lost to who gets out of debt.
    """
    return 0 if debt >= _INSOLVENT else math.ceil(held * share)


def divide(units: int, shares: Mapping[int, float], remainder_to: int) -> dict[int, int]:
    """Split units by shares, exactly: what rounding leaves goes to `remainder_to`.

    Parameters
    ----------
    units : int
        The whole.
    shares : mapping of participant to fraction
        Sums to 1 (or less).
    remainder_to : int
        Participant.

    Returns
    -------
    dict of participant to units
        Sums to `units`.
    """
    paid = {who: int(units * share) for who, share in shares.items()}
    paid[remainder_to] = paid.get(remainder_to, 0) + units - sum(paid.values())
    return {who: amount for who, amount in paid.items() if amount}


def passed_on(reaching: Any, decay: float) -> Any:
    """What a model that rose passes on, further up, of the credit that reaches it.

    Parameters
    ----------
    reaching : float, or integer array of shape (models,)
        A fraction of a credit, or units; of units, what cannot be divided is not passed on.
    decay : float
        What each generation back receives of what the next received.
    """
    passed = reaching * decay
    return passed if isinstance(reaching, float) else passed.astype(np.int64)


def royalties(base_owner: int | None, owned_above: Mapping[int, int]) -> dict[int, int]:
    """One coin to the owner of the base, one more to the owner of every ancestor.

    Parameters
    ----------
    base_owner : int or None
        Owner of the model that was trained on; None where nobody owns it (genesis of a
        chain, averages).
    owned_above : mapping of participant to int
        How many of the models before the base each owns, the owner of genesis one more
        than that: the authors' lineages begin with a root that is paid beside the
        genesis model.

    Returns
    -------
    dict of participant to units
    """
    paid = {owner: models * COIN for owner, models in owned_above.items()}
    if base_owner is not None:
        paid[base_owner] = paid.get(base_owner, 0) + COIN
    return paid
