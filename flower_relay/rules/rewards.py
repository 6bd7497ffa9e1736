"""Rewards: what a recognised hop earns, for its trainer and for its lineage.

`contribution` pays for the rise over the lineage's own high-water mark, so that harming
and repairing earns nothing twice. `royalty` is the paper's: one coin to the owner of the
base and one to the owner of every ancestor, the base included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .coins import COIN

__all__ = ["contribution_credit", "divide", "passed_on", "royalties"]


def contribution_credit(level: Any, mark: Any, probability: float = 1.0) -> Any:
    """The rise of a lineage over its high-water mark, as a fraction of the bound.

    Parameters
    ----------
    level : float or array
        The lineage's level with each hop.
    mark : float or array
        The highest level it had before.
    probability : float
        With which this hop was drawn for an audit; dividing by it makes the expected
        pay of audited and unaudited hops the same.
    """
    return np.maximum(0.0, level - mark) / probability


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
