"""Seals: that a stored block is where it should be, unchanged, and signed."""

from __future__ import annotations

import re

from .differences import Differs
from .sealed import NOTHING_BEFORE, SealedBlock

__all__ = ["check_link", "check_signature"]

_HEX = re.compile("[0-9a-f]*")


def check_link(sealed: SealedBlock, before: SealedBlock | None) -> None:
    """The block's index follows, it names the block before it, and its hash is of its body."""
    index = 0 if before is None else before.index + 1
    previous = NOTHING_BEFORE if before is None else before.hash
    if sealed.index != index:
        raise Differs("seal.index", index, sealed.index)
    if sealed.previous != previous:
        raise Differs("seal.previous", previous, sealed.previous)
    if sealed.hash != (computed := sealed.computed_hash()):
        raise Differs("seal.hash", f"{computed}, the hash of this body", sealed.hash)


def check_signature(sealed: SealedBlock) -> None:
    """The signature is the producer's, over the block's hash."""
    # Hex has two cases, and Python reads either: the ledger's spelling is the lower one.
    spelled = all(_HEX.fullmatch(text) for text in (sealed.producer, sealed.signature))
    if not (spelled and sealed.is_signed()):
        expected = f"one by {sealed.producer} over {sealed.hash}"
        raise Differs("seal.signature", expected, sealed.signature)
