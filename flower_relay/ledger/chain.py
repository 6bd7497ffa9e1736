"""The chain of blocks: append, read back, and a hash that binds each to all before it.

`Chain` is what a run needs of a ledger; `MemoryChain` keeps it in memory. The hash of a
block is SHA-256 over the previous hash and the hash of the block's canonical JSON (its link):
who knows one head can follow the links to a later one without any of the blocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..mechanism.blocks import Block, body
from ..wire.heads import NOTHING_BEFORE, joined
from .keys import OperatorKey

__all__ = [
    "Chain",
    "MemoryChain",
    "block_hash",
    "canonical_json",
    "closes_its_chain",
]

_Strategy = TypeVar("_Strategy")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def canonical_json(block: Block) -> bytes:
    """A block's one spelling: sorted keys, no spaces, shortest floats, no NaN.

    Raises
    ------
    ValueError
        On NaN or infinity, which blocks never hold.
    """
    return json.dumps(body(block), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def block_hash(previous: str, block: Block) -> str:
    """SHA-256 of the previous block's hash and this block's link, in hex."""
    return joined(previous, hashlib.sha256(canonical_json(block)).hexdigest())


class Chain(Protocol):
    """An append-only sequence of blocks."""

    @property
    def head(self) -> str:
        """Hash of the last block."""

    @property
    def key(self) -> OperatorKey:
        """The operator's key, which signs the blocks."""

    def append(self, block: Block) -> str:
        """Put a block on the record, durably where the chain is durable; its hash."""

    def __iter__(self) -> Iterator[Block]:
        """All blocks, genesis first."""
        ...

    def __len__(self) -> int:
        """How many blocks there are."""
        ...


@cache
def _key_of_this_process() -> OperatorKey:
    """One key for all runs of a process: participants with lasting keys trust one operator."""
    return OperatorKey(Ed25519PrivateKey.generate())


class MemoryChain:
    """A chain that lives as long as the process.

    Parameters
    ----------
    key : OperatorKey, optional
        The operator's; by default one that this process drew for all its chains, and never keeps.
        Participants with lasting keys trust one operator. So who runs again in another process
        names a file: `MemoryChain(OperatorKey.load_or_create(path))`.
    """

    def __init__(self, key: OperatorKey | None = None) -> None:
        self.key = _key_of_this_process() if key is None else key
        self._blocks: list[Block] = []
        self._head = NOTHING_BEFORE

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
