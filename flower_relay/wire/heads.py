"""Heads of a chain, and the links from one to a later one: a chain that is followed unseen.

A head is the hash of a chain's last block, and made of the head before and of the block's own
hash, its link. Links tell nothing of what blocks hold, and only the right ones lead from one
head to another. So who was shown one head can see that the next one it is shown grew from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["LINK", "MOST_LINKS", "NOTHING_BEFORE", "grown", "joined"]

NOTHING_BEFORE = "0" * 64
"""The head of a chain without blocks."""

MOST_LINKS = 2**16
"""Blocks that a message may lead past: some ten thousand rounds, in 2 MB."""

LINK = 32
"""Bytes of a link."""


def joined(head: str, link: str) -> str:
    """The head after one more block.

    Parameters
    ----------
    head : str
        Hash of the block before; what was damaged may hold anything and still has a hash.
    link : str
        Hash of the block's canonical JSON, in hex.
    """
    return hashlib.sha256((head + link).encode(errors="surrogatepass")).hexdigest()


def grown(head: str, links: Sequence[str]) -> str:
    """The head that links lead to."""
    for link in links:
        head = joined(head, link)
    return head
