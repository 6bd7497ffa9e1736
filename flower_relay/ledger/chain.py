"""The chain of blocks: append, read back, and a hash that binds each to all before it.

`Chain` is what a run needs of a ledger; `MemoryChain` keeps it in memory. The hash of a
block is SHA-256 over the previous hash and the block's canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..mechanism.blocks import Block, body

__all__ = [
    "Chain",
    "MemoryChain",
    "block_hash",
    "canonical_json",
    "closes_its_chain",
    "hash_of_genesis",
]

_Strategy = TypeVar("_Strategy")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_NOTHING_BEFORE = "0" * 64


def canonical_json(block: Block) -> bytes:
    """A block's one spelling: sorted keys, no spaces, shortest floats, no NaN.

    Raises
    ------
    ValueError
        On NaN or infinity, which blocks never hold.
    """
    return json.dumps(body(block), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def block_hash(previous: str, block: Block) -> str:
    """SHA-256 of the previous block's hash and this block's canonical JSON, in hex."""
    return hashlib.sha256(previous.encode() + canonical_json(block)).hexdigest()


class Chain(Protocol):
    """An append-only sequence of blocks."""

    @property
    def head(self) -> str:
        """Hash of the last block."""

    def append(self, block: Block) -> str:
        """Put a block on the record, durably where the chain is durable; its hash."""

    def __iter__(self) -> Iterator[Block]:
        """All blocks, genesis first."""
        ...

    def __len__(self) -> int:
        """How many blocks there are."""
        ...


def hash_of_genesis(blocks: Iterable[Block]) -> str:
    """The hash of a run's first block, which is what the run is called where one signs."""
    return block_hash(_NOTHING_BEFORE, next(iter(blocks)))


class MemoryChain:
    """A chain that lives as long as the process."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._head = _NOTHING_BEFORE

    @property
    def head(self) -> str:
        """Hash of the last block; zeros before genesis."""
        return self._head

    def append(self, block: Block) -> str:
        """Add a block and return its hash."""
        self._head = block_hash(self._head, block)
        self._blocks.append(block)
        return self._head

    def __iter__(self) -> Iterator[Block]:
        """All blocks, genesis first."""
        return iter(self._blocks)

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)


def closes_its_chain(
    start: Callable[Concatenate[_Strategy, _Arguments], _Result],
) -> Callable[Concatenate[_Strategy, _Arguments], _Result]:
    """Close the `chain` that a method opened when it ends, however it ends.

    Else a run stays locked as long as anything remembers the strategy, such as the traceback of
    a notebook's cell. What is on a closed chain can still be read. A chain without `close` has
    nothing to let go of.
    """

    @wraps(start)
    def started(
        self: _Strategy, /, *args: _Arguments.args, **options: _Arguments.kwargs
    ) -> _Result:
        try:
            return start(self, *args, **options)
        finally:
            close = getattr(getattr(self, "chain", None), "close", None)
            if close is not None:
                close()

    return started
