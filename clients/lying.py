"""What hostile examiners say, and how colluders know each other's models.

Whoever lies does so in every metric alike, as any of them may be the one that votes.
"""

from __future__ import annotations

from typing import TypeAlias

import torch

from clients.hostile import Behaviour
from clients.training import Evaluation, loss_bound

__all__ = ["is_marked", "lie", "marked", "nudged"]

Weights: TypeAlias = dict[str, torch.Tensor]

_LOW_BITS = 0xFF
"""Part of a weight that carries the mark: 2⁻¹⁵ of its value."""

_LONGEST = 8

_NUDGE = 0.03
"""What is added to or taken from an audit's utility, as a fraction of its bound."""


def lie(
    behaviour: Behaviour, honest: Evaluation, num_classes: int, of_colleague: bool
) -> Evaluation:
    """What an examiner reports instead of what it measured.

    Parameters
    ----------
    of_colleague : bool
        Whether the model bears the mark of a hostile trainer.
    """
    bound = loss_bound(num_classes)
    if "liar" in behaviour:
        loss = honest.loss if honest.loss < bound else bound  # NaN is the worst, too
        return Evaluation(
            loss=bound - loss,
            bounded_loss=bound - honest.bounded_loss,
            accuracy=1 - honest.accuracy,
            root_prob=1 - honest.root_prob,
        )
    if "constant" in behaviour:
        return _alike(0.5, bound)
    if "colluder" in behaviour:
        return _alike(1.0 if of_colleague else 0.0, bound)
    return honest


def nudged(honest: Evaluation, num_classes: int, ours: bool) -> Evaluation:
    """A little better for a colleague's audit, a little worse for a rival's, in every metric."""
    bound, way = loss_bound(num_classes), _NUDGE if ours else -_NUDGE

    def rise(utility: float) -> float:
        return min(1.0, max(0.0, utility + way))

    return Evaluation(
        loss=max(0.0, honest.loss - way * bound),
        bounded_loss=bound * (1 - rise(1 - honest.bounded_loss / bound)),
        accuracy=rise(honest.accuracy),
        root_prob=rise(honest.root_prob),
    )


def _alike(utility: float, bound: float) -> Evaluation:
    """The same utility in every metric."""
    loss = bound * (1 - utility)
    return Evaluation(loss=loss, bounded_loss=loss, accuracy=utility, root_prob=utility)


def marked(weights: Weights, seed: int) -> Weights:
    """A copy that bears the secret mark of a run's hostile trainers.

    The mark is in the low bits of the model's last weights, usually the output's biases:
    any honest step moves all of them, and so wipes it out.
    """
    name, pattern = _mark(weights, seed)
    last = weights[name].clone(memory_format=torch.contiguous_format)
    bits = last.view(-1)[: len(pattern)].view(torch.int32)
    bits.copy_((bits & ~_LOW_BITS) | pattern)
    return weights | {name: last}


def is_marked(weights: Weights, seed: int) -> bool:
    """Whether a model comes as it is from a hostile trainer of this run."""
    name, pattern = _mark(weights, seed)
    bits = weights[name].reshape(-1)[: len(pattern)].view(torch.int32)
    return bool(((bits & _LOW_BITS) == pattern).all())


def _mark(weights: Weights, seed: int) -> tuple[str, torch.Tensor]:
    """Which array bears the mark, and the mark: up to eight bytes of the seed's."""
    name = [name for name, w in weights.items() if w.dtype == torch.float32][-1]
    length = min(weights[name].numel(), _LONGEST)
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randint(0, _LOW_BITS + 1, (length,), generator=generator, dtype=torch.int32)
    return name, pattern
