"""What examiners are shown of a model: its likeness, which is cheap to send and close enough.

A candidate's likeness is the likeness of its leg's base plus the change, rounded. It follows
from the two models and the setting alone, so that everybody is shown the same whoever holds
what, and anybody who has the models can make it again; its hash is on the ledger and in the
vote. A model that is no candidate of a leg (genesis, an average) is shown as it is. Where no
node runs the mod nothing is gained by rounding, and everything is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..mechanism.blocks import Commitment, Deposit
from ..wire.deltas import decode, encode
from ..wire.parcels import difference_to

if TYPE_CHECKING:
    from .run import Run

__all__ = ["bases_of", "likeness"]


def bases_of(deposit: Deposit, commitment: Commitment) -> dict[str, str]:
    """The base of the leg that each candidate of a round was made in."""
    return {
        claim.model: terms.base
        for terms, claims in zip(deposit.lanes, commitment.lanes, strict=True)
        for claim in claims
        if claim.model is not None
    }


def likeness(
    run: Run, model: str, base: str, held: Callable[[str], dict[str, NDArray[Any]]]
) -> str:
    """The name of what is shown of a model made in a leg from `base`; it is stored.

    Parameters
    ----------
    held : callable
        From a name to a stored model, for what the model is near.
    """
    known, near = run.state.likeness(model), run.state.likeness(base)
    if known != model or model == base or not run.forwarding.anybody:
        return known
    encoding, reference = run.state.settings.test_encoding, held(near)
    try:
        data = encode(run.store.get(model), reference, encoding)
        shown = run.store.put(decode(data, reference, encoding))
    except ValueError:  # a change too large to be rounded
        return model
    run.forwarding.learn(difference_to(near, shown, encoding, data))
    return shown
