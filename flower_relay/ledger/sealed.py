"""A block as the ledger stores it: numbered, linked to the one before, and signed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import NoReturn

from ..errors import LedgerDamagedError
from ..mechanism.blocks import Block, parse
from ..wire.heads import NOTHING_BEFORE, joined
from .chain import canonical_json
from .keys import OperatorKey, verify_signature

__all__ = ["MOST_CHARACTERS", "NOTHING_BEFORE", "SealedBlock", "seal"]

MOST_CHARACTERS = 2**24
"""Of a body: enough for a hundred thousand participants, and little to read in vain."""


@dataclass(frozen=True, kw_only=True)
class SealedBlock:
    """A stored block, as it was read; nothing about it is taken for granted.

    Attributes
    ----------
    index : int
        Its place in the run, 0 for genesis.
    previous : str
        Hash of the block before, zeros for genesis.
    body : str
        The block's canonical JSON.
    hash : str
        SHA-256 of `previous` and of the hash of `body`, in hex.
    producer : str
        The operator's public key, in hex.
    signature : str
        The operator's, over the 32 bytes of the hash, in hex.
    """

    index: int
    previous: str
    body: str
    hash: str
    producer: str
    signature: str

    def computed_hash(self) -> str:
        """The hash that follows from `previous` and `body`."""
        return _hash(self.previous, self.body)

    def is_signed(self) -> bool:
        """Whether the signature over the hash is the producer's."""
        try:
            data = bytes.fromhex(self.hash)
        except ValueError:
            return False
        return verify_signature(self.producer, data, self.signature)

    def block(self) -> Block:
        """The block that the body spells.

        Raises
        ------
        LedgerDamagedError
            When the body is too long, not JSON, or not its one canonical spelling.
        LedgerError
            When it spells no block.
        """
        if len(self.body) > MOST_CHARACTERS:
            raise LedgerDamagedError(
                f"block {self.index}: expected a body of at most {MOST_CHARACTERS} characters, "
                f"found {len(self.body)}."
            )
        try:
            fields = json.loads(self.body, parse_constant=_no_number)
            spelled = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        except (ValueError, RecursionError) as problem:
            raise LedgerDamagedError(
                f"block {self.index}: expected JSON, found {self.body[:60]!r} ({problem})."
            ) from problem
        if not isinstance(fields, dict):
            raise LedgerDamagedError(
                f"block {self.index}: expected the fields of a block, found {self.body[:60]!r}."
            )
        if spelled != self.body:
            raise LedgerDamagedError(
                f"block {self.index}: expected canonical JSON (sorted keys, no spaces, each key "
                f"once, shortest numbers), found another spelling in {self.body[:60]!r}."
            )
        return parse(fields)


def seal(index: int, previous: str, block: Block, key: OperatorKey) -> SealedBlock:
    """A block with its place in the chain and the operator's signature."""
    text = canonical_json(block).decode()
    found = _hash(previous, text)
    return SealedBlock(
        index=index,
        previous=previous,
        body=text,
        hash=found,
        producer=key.public,
        signature=key.sign(bytes.fromhex(found)),
    )


def _hash(previous: str, text: str) -> str:
    # What was damaged may hold anything, lone surrogates included; it still has a hash.
    return joined(previous, hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest())


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that blocks hold")
