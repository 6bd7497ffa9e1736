"""How an examiner that lies on audits only tells an audit's model from a hop, and whose it is.

An audit shows a probe: a model in which a hop's step is repeated, shortened, on another base
(`flower_relay.mechanism.averages.audited`). Whoever remembers the models that it was shown
finds it by that: its difference from an earlier model has the direction of a hop, and a fraction of
its length. Which are colleagues' colluders know from what they tell each other: here, in the
memory of the process in which all of them run, so that under Flower's simulation only those
of one worker do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import torch
from flwr.app import Array, ArrayRecord
from torch import Tensor

__all__ = ["Whose", "forget", "is_colleagues", "remember", "tell", "told_steps", "whose_probe"]

Whose: TypeAlias = bool | None
"""A colleague's probe, a rival's, or none at all."""

_MOST, _MOST_TOLD = 16, 64
"""Models that are remembered, and steps that colleagues told."""
_ALIKE, _SHORT = 0.9, 0.5
"""Cosine from which two steps are one, and how much shorter the repeated one is at least."""

_NEAR = 0.1
"""Of a hop's length: nearer to its end is only what an encoding made of it."""

_TOLD: dict[int, deque[tuple[Tensor, Tensor]]] = {}
"""By a run's seed the newest hops of its colluders: where each ended, and what it changed."""


def tell(seed: int, base: Tensor, model: Tensor) -> None:
    """Tell one's colleagues what one hands on."""
    _TOLD.setdefault(seed, deque(maxlen=_MOST_TOLD)).append((model, model - base))


def forget(seed: int) -> None:
    """Begin anew: what was told in an earlier run of this process is about other models."""
    _TOLD.pop(seed, None)


def told_steps(seed: int) -> list[Tensor]:
    """The newest steps of colleagues."""
    return [step for _, step in _TOLD.get(seed, ())]


def is_colleagues(seed: int, weights: Tensor) -> bool:
    """Whether a model is a colleague's hop, as it is or as a lossy encoding shows it."""
    return any(
        float((weights - model).norm()) <= _NEAR * float(step.norm())
        for model, step in _TOLD.get(seed, ())
        if model.shape == weights.shape
    )


def remember(seen: ArrayRecord, weights: Tensor) -> ArrayRecord:
    """What was shown, with one more model; the oldest is forgotten."""
    number = int(list(seen)[-1]) + 1 if seen else 0
    kept = dict(list(seen.items())[-(_MOST - 1) :])
    return ArrayRecord({**kept, str(number): Array(weights.numpy())})


def whose_probe(seen: ArrayRecord, weights: Tensor, ours: Sequence[Tensor]) -> Whose:
    """Whether a model is an audit's probe, and whose.

    Parameters
    ----------
    seen : ArrayRecord
        As `remember` made it, without this model.
    weights : tensor of shape (weights,)
        This model.
    ours : sequence of tensor
        Steps that colleagues made.
    """
    if not seen:
        return None
    known = torch.stack([torch.from_numpy(array.numpy()) for array in seen.values()])
    places = torch.combinations(torch.arange(len(known)), 2)
    of_anybody = known[places[:, 1]] - known[places[:, 0]]  # from an earlier to a later one
    if ours and _repeats(weights - known, torch.stack(list(ours))):
        return True
    return False if _repeats(weights - known, of_anybody) else None


def _repeats(differences: Tensor, steps: Tensor) -> bool:
    """Whether some difference is some step, shortened."""
    if not len(steps):
        return False
    lengths, of_steps = differences.norm(dim=1)[:, None], steps.norm(dim=1)[None]
    cosine = (differences @ steps.T) / (lengths * of_steps).clamp(min=1e-12)
    short = (lengths > 0) & (lengths < _SHORT * of_steps)
    return bool((short & (cosine >= _ALIKE)).any())
