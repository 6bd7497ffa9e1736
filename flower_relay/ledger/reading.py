"""Reading a ledger for people: its blocks, and what they add up to after each.

Nothing is verified here; what cannot be read is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import LedgerError
from ..mechanism.apply import Progress
from ..mechanism.blocks import Block, Genesis
from ..mechanism.state import State, begin
from .sealed import SealedBlock

__all__ = ["Step", "steps"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A block, and the state after it; the state is the same object at every step."""

    sealed: SealedBlock
    block: Block
    state: State


def steps(blocks: Iterable[SealedBlock]) -> Iterator[Step]:
    """Fold a ledger, block by block.

    Raises
    ------
    LedgerError
        When it has no blocks, or one that cannot be read or cannot follow.
    """
    progress: Progress | None = None
    for sealed in blocks:
        block = sealed.block()
        if progress is None and not isinstance(block, Genesis):
            break
        progress = _folded(progress, block, sealed.index)
        yield Step(sealed=sealed, block=block, state=progress.state)
    if progress is None:
        raise LedgerError(
            "expected a ledger that begins with a genesis block, found none. Nothing was changed; "
            "`flower-relay ledger verify` says what is there instead."
        )


def _folded(progress: Progress | None, block: Block, index: int) -> Progress:
    """One block further, or an error that names the block."""
    try:
        if progress is not None:
            progress.fold(block)
            return progress
        assert isinstance(block, Genesis)
        return Progress(state=begin(block), last=block)
    except Exception as problem:  # no rule was checked: it may hold whatever breaks a rule
        raise LedgerError(
            f"block {index} cannot follow those before it ({type(problem).__name__}: {problem}). "
            "Nothing was changed; `flower-relay ledger verify` says where the ledger departs."
        ) from problem
