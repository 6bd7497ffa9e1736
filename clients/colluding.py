"""Attacks by colluders who know each other's data, as they were published.

Each is one function of the colluders' own honest updates from the same base: what the ALIE
and min-max papers call the case without knowledge of the others (their omniscient versions
use everybody's updates). Every colluder of a round hands on the same step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["a_little_is_enough", "against_the_mean", "colluding_step", "farthest_unseen"]

_HALVINGS = 40


def colluding_step(name: str, updates: Tensor, amount: float) -> Tensor:
    """The step that a colluding behaviour hands on.

    Parameters
    ----------
    name : str
        `alie`, `ipm` or `min-max`.
    updates : tensor of shape (colluders, weights)
        What honest training would have changed, one row a colluder.
    amount : float
        ALIE's z, or the strength of inner-product manipulation.

    Returns
    -------
    tensor of shape (weights,)
    """
    if name == "alie":
        return a_little_is_enough(updates, amount)
    if name == "ipm":
        return against_the_mean(updates, amount)
    return farthest_unseen(updates)


def a_little_is_enough(updates: Tensor, z: float) -> Tensor:
    """Mean − z · σ of each weight (Baruch et al., "A Little Is Enough", 2019)."""
    spread = updates.std(dim=0, correction=0)
    step: Tensor = updates.mean(dim=0) - z * spread
    return step


def against_the_mean(updates: Tensor, strength: float) -> Tensor:
    """−strength · mean: inner-product manipulation (Xie et al., "Fall of Empires", 2019)."""
    step: Tensor = -strength * updates.mean(dim=0)
    return step


def farthest_unseen(updates: Tensor) -> Tensor:
    """Min-max (Shejwalkar and Houmansadr 2021), against the mean's direction.

    Mean − γ · mean / |mean| with the largest γ at which the step is no farther from any honest
    update than two of these are from each other.
    """
    mean = updates.mean(dim=0)
    length = float(mean.norm())
    if length == 0:
        return mean
    widest = float(torch.cdist(updates, updates).max())
    back = -mean / length

    def unseen(gamma: float) -> bool:
        return float((mean + gamma * back - updates).norm(dim=1).max()) <= widest

    # No step further than the widest distance can be that near to the mean's own updates.
    short, long = 0.0, 2 * widest + math.ulp(1.0)
    for _ in range(_HALVINGS):
        middle = (short + long) / 2
        short, long = (middle, long) if unseen(middle) else (short, middle)
    return mean + short * back
