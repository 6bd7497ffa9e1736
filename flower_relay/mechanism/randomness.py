"""Every random choice derives from (seed, round, phase), never from global state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

__all__ = ["generator", "seed_from"]

_PHASES = {"deposits": 1, "tests": 2, "planted": 3, "training": 4}


def generator(seed: int, round: int, phase: str) -> np.random.Generator:
    """The generator of one phase of one round."""
    return np.random.default_rng([seed, round, _PHASES[phase]])


def seed_from(head: str, nonces: Iterable[str] = ()) -> int:
    """A seed that nobody knows before the block with this hash is committed.

    Its producer could compute it for many blocks and commit the one it likes; not so where
    participants add nonces that they open for that block only.
    """
    mixed = "".join((head, *nonces))
    return int.from_bytes(hashlib.sha256(mixed.encode()).digest()[:8], "big")
