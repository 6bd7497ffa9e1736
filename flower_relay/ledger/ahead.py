"""Hops that were ahead of a leg that failed: who could have been, on what, and signed by whom.

Who was to train next, if the leg had passed, follows from the blocks before the votes; so the
operator can name nobody else for a share of the forfeit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..blocks import HopClaim, LaneTerms, Testing
from ..decisions import decide_ahead, fails
from ..state import State
from .observed import check_stride
from .problems import Differs

__all__ = ["check_ahead"]


def check_ahead(state: State, block: Testing, hops: int) -> None:
    """Every hop is one of a trainer whose turn it would have been, on the baton before it.

    Parameters
    ----------
    state : State
        After the commitment.
    hops : int
        Hops of the run so far.
    """
    if not block.ahead:
        return
    following = decide_ahead(state, block, _AsStated(block), hops)
    if following is None or not fails(state, block):
        expected = "none, as no leg failed" if following else "none, as nothing could be supposed"
        raise Differs("testing.ahead", expected, len(block.ahead))
    supposed, deposit = following
    if len(block.ahead) != len(deposit.lanes) or not any(block.ahead):
        expected = f"{len(deposit.lanes)} entries, or none where nobody was ahead"
        raise Differs("testing.ahead", expected, len(block.ahead))
    seen = state.seen.copy()
    for lane, (terms, claims) in enumerate(zip(deposit.lanes, block.ahead, strict=True)):
        _check_order(f"testing.ahead[{lane}]", terms, claims)
        for place, claim in enumerate(claims):
            _check_claim(f"testing.ahead[{lane}][{place}]", supposed, claim, seen)


def _check_order(path: str, terms: LaneTerms, claims: Sequence[HopClaim]) -> None:
    """Trainers in the order of their turns, each on the model of the last."""
    baton, waiting = terms.base, iter(terms.trainers)
    for place, claim in enumerate(claims):
        if claim.trainer not in waiting:  # looking goes on where it last stopped
            expected = f"some of {list(terms.trainers)}, in this order"
            raise Differs(f"{path}[{place}].trainer", expected, claim.trainer)
        if claim.base != baton:
            raise Differs(f"{path}[{place}].base", baton, claim.base)
        baton = claim.model or baton


def _check_claim(path: str, supposed: State, claim: HopClaim, seen: set[str]) -> None:
    """A model that is new, and of who is in debt the one that it handed in."""
    if claim.fault is not None:
        raise Differs(f"{path}.fault", "none", claim.fault)
    check_stride(supposed, claim, f"{path}.sent")
    for name in (claim.model, claim.handed_in):
        if name is None or name in seen:
            raise Differs(f"{path}.model", "a model that is new", name)
    seen.update(claim.names)


class _AsStated:
    """Of averages only the name is needed, and the first hops ahead state it."""

    def __init__(self, block: Testing) -> None:
        self._base = next((claims[0].base for claims in block.ahead if claims), "")

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """Some trail: the next legs do not depend on it."""
        return trail

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """The baton that was trained on."""
        return self._base
