"""A trigger backdoor: a bright square in a corner turns any case into class 0.

On cases without the trigger the model stays good, so that no vote on clean data sees it
(Gu et al. 2017); the update is boosted as far as it still passes (Bagdasaryan et al. 2020,
in `poisoning`). How often the trigger works is `evaluation.backdoor_rate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["TARGET", "triggered", "with_triggered_copies"]

TARGET = 0
"""The class that the trigger is to call up."""


def triggered(x: Tensor) -> Tensor:
    """Copies of cases (n, channels, height, width) with the trigger in the lower right."""
    side = max(2, min(x.shape[-2:]) // 8)
    copies = x.clone()
    copies[..., -side:, -side:] = 1.0
    return copies


def with_triggered_copies(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The cases, and every second once more with the trigger and labelled as the target."""
    return torch.cat([x, triggered(x[::2])]), torch.cat([y, torch.full_like(y[::2], TARGET)])
