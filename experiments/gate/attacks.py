"""What hostile participants hand in: the behaviours of `clients.hostile`, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clients.colluding import colluding_step

from .worlds import Weights

__all__ = ["COLLUDING", "against", "colluding", "creeping", "turned"]

torch.set_num_threads(1)

COLLUDING = {"alie": 1.5, "min-max": 0.0}
"""Attacks made of the colluders' honest updates, and their number."""

_FARTHEST, _HALVINGS = 16.0, 12


def turned(y: NDArray[Any], classes: int) -> NDArray[Any]:
    """Labels turned round; a regression's targets with the other sign."""
    return np.asarray(classes - 1 - y, dtype=y.dtype)


def against(attack: str, base: Weights, honest: Weights, rng: Any) -> Weights:
    """A hop made of the base and of what honest training gave."""
    if attack == "sign-flip":
        return np.asarray(base - 4 * (honest - base))
    if attack == "noise":
        return base + 0.5 * rng.standard_normal(base.shape).astype(np.float32)
    return honest


def colluding(attack: str, base: Weights, updates: NDArray[Any]) -> Weights:
    """The step that all colluders hand on, from their honest updates, one row each."""
    step = colluding_step(attack, torch.from_numpy(updates), COLLUDING[attack])
    return np.asarray(base + step.numpy(), dtype=np.float32)


def creeping(
    base: Weights, honest: Weights, utility_of: Callable[[Weights], float], allowed: float
) -> Weights:
    """The longest step back that costs the attacker's own cases less than what is allowed."""
    least = utility_of(base) - 0.93 * allowed
    short, long = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (short + long) / 2
        passes = utility_of(base - np.float32(middle) * (honest - base)) >= least
        short, long = (middle, long) if passes else (short, middle)
    return np.asarray(base - np.float32(short) * (honest - base))
