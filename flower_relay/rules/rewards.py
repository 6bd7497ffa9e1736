"""Rewards: what a recognised hop earns, for its trainer and for its lineage.

`contribution` pays for the rise over the lineage's own high-water mark, so that harming
and repairing earns nothing twice. `royalty` is the paper's: one coin to the owner of the
base and one to the owner of every ancestor, the base included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .coins import COIN

__all__ = ["contribution_credit", "divide", "royalties"]


def contribution_credit(level: float, mark: float, probability: float = 1.0) -> float:
    """The rise of a lineage over its high-water mark, as a fraction of the bound.

    Parameters
    ----------
    level : float
        The lineage's level with this hop.
    mark : float
        The highest level it had before.
    probability : float
        With which this hop was drawn for an audit; dividing by it makes the expected
        pay of audited and unaudited hops the same.
    """
    return max(0.0, level - mark) / probability


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


def royalties(base_owner: int | None, ancestor_owners: Iterable[int]) -> dict[int, int]:
    """One coin to the owner of the base, one more to the owner of every ancestor.

    Parameters
    ----------
    base_owner : int or None
        Owner of the model that was trained on; None where nobody owns it (genesis of a
        chain, averages).
    ancestor_owners : iterable of int
        Owners of the models before the base, and once more the owner of genesis: the
        authors' lineages begin with a root that is paid beside the genesis model.

    Returns
    -------
    dict of participant to units
    """
    paid = {} if base_owner is None else {base_owner: COIN}
    for owner in ancestor_owners:
        paid[owner] = paid.get(owner, 0) + COIN
    return paid
