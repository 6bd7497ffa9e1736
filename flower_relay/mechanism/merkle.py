"""A Merkle tree over everybody's standing, so that one line of it proves one balance.

The tree is RFC 6962's: leaves and nodes are hashed under different prefixes, so that
neither passes for the other, and an odd one out moves up unchanged. A leaf is a
participant's name, balance, what it has locked, and bond in canonical JSON.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

__all__ = ["Leaf", "inclusion_proof", "leaves_of", "merkle_root", "root_of_proof"]

_LEAF, _NODE = b"\x00", b"\x01"

_spell = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One participant's standing: amounts in units of 10⁻⁹ coins."""

    participant: str
    balance: int
    locked: int
    bond: float

    @functools.cached_property
    def digest(self) -> bytes:
        """The leaf's hash."""
        spelled = _spell([self.participant, self.balance, self.locked, self.bond])
        return sha256(_LEAF + spelled.encode()).digest()


def leaves_of(
    names: Iterable[str], balances: Iterable[int], locked: Iterable[int], bonds: Iterable[float]
) -> list[Leaf]:
    """One leaf a participant, in the order of admission."""
    return list(itertools.starmap(_leaf, zip(names, balances, locked, bonds, strict=True)))


# From one settlement to the next most standings stay as they are, and with them their hashes.
@functools.lru_cache(maxsize=1 << 16, typed=True)
def _leaf(participant: str, balance: int, locked: int, bond: float) -> Leaf:
    return Leaf(participant=participant, balance=balance, locked=locked, bond=bond)


def merkle_root(leaves: Sequence[Leaf]) -> str:
    """The root over all leaves, in hex; there is at least one."""
    level = [leaf.digest for leaf in leaves]
    while len(level) > 1:
        level = _parents(level)
    return level[0].hex()


def inclusion_proof(leaves: Sequence[Leaf], index: int) -> tuple[str, ...]:
    """The hashes beside the way from a leaf up to the root, lowest first."""
    level = [leaf.digest for leaf in leaves]
    beside: list[str] = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            beside.append(level[index ^ 1].hex())
        level, index = _parents(level), index // 2
    return tuple(beside)


def root_of_proof(leaf: Leaf, index: int, size: int, proof: Sequence[str]) -> str | None:
    """The root that a proof leads to.

    Parameters
    ----------
    leaf : Leaf
        What is said to be in the tree.
    index, size : int
        The leaf's position, and the number of leaves.
    proof : sequence of str
        From `inclusion_proof`.

    Returns
    -------
    str or None
        None where the proof has too few or too many hashes for a tree of this size.
    """
    if not 0 <= index < size:
        return None
    reached, last, beside = leaf.digest, size - 1, list(proof)
    while last:
        if index % 2 or index < last:
            if not beside:
                return None
            other = bytes.fromhex(beside.pop(0))
            reached = _node(other, reached) if index % 2 else _node(reached, other)
        index, last = index // 2, last // 2
    return None if beside else reached.hex()


def _parents(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [_node(left, right) for left, right in pairs]
    return above + level[len(level) - len(level) % 2 :]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()
