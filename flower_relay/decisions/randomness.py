"""Every random choice derives from (seed, round, phase), never from global state."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator", "seed_from"]

_PHASES = {"deposits": 1, "tests": 2, "planted": 3, "training": 4}


def generator(seed: int, round: int, phase: str) -> np.random.Generator:
    """The generator of one phase of one round."""
    return np.random.default_rng([seed, round, _PHASES[phase]])


def seed_from(head: str) -> int:
    """A seed that nobody knows before the block with this hash is committed."""
    return int.from_bytes(hashlib.sha256(head.encode()).digest()[:8], "big")
