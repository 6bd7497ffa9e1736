"""What hostile trainers hand on: one function of the base and of what training gave."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch

from clients.hostile import Behaviour

__all__ = ["distort", "stepped"]

Weights: TypeAlias = dict[str, torch.Tensor]

_NOISE, _SLIGHT = 0.5, 1e-3
_GARBAGE = {"nan", "wrong-shape", "huge"}
_CREEP = 0.93
"""How much of the tolerance is used at every hop by those who want to pass."""

_FAR, _BOOST = 16.0, 5.0
"""How many times their update creeping attackers and backdoors go at most."""


def distort(
    behaviour: Behaviour,
    base: Weights,
    trained: Weights,
    generator: torch.Generator,
    seen: Weights | None,
    utility_of: Callable[[Weights], float],
    tolerance: float,
) -> Weights:
    """What a hostile trainer returns instead of what training gave.

    Parameters
    ----------
    base, trained : dict of name to tensor
        Before and after training.
    generator : torch.Generator
        Of the noise.
    seen : dict of name to tensor, optional
        A model received in an earlier message, for the copycat.
    utility_of : callable
        What votes, of a model on the participant's own held-out cases, as a fraction of its
        bound (0 worst, 1 best), for creeping and backdoor.
    tolerance : float
        How far that utility may fall unseen.
    """
    if "sign-flip" in behaviour:
        return _along(base, trained, -4.0)
    if "scale" in behaviour:
        return _along(base, trained, behaviour.amount)
    if "noise" in behaviour:
        return _noised(base, _NOISE, generator)
    if "free-ride" in behaviour:
        return base
    if "free-ride-noise" in behaviour:
        return _noised(base, _SLIGHT, generator)
    if "copycat" in behaviour:
        return seen if seen is not None else base
    if behaviour.parts & _GARBAGE:
        return _garbage(behaviour, trained, generator)
    if "backdoor" in behaviour:
        return _just_passing(base, trained, _BOOST, utility_of, tolerance)
    if "creeping" in behaviour:
        # Training on turned labels is the harmful way already, honest training the way back.
        most = _FAR if "label-flip" in behaviour else -_FAR
        return _just_passing(base, trained, most, utility_of, tolerance)
    return trained


def _garbage(behaviour: Behaviour, trained: Weights, generator: torch.Generator) -> Weights:
    if "nan" in behaviour:
        return {name: w * math.nan if w.is_floating_point() else w for name, w in trained.items()}
    if "wrong-shape" in behaviour:
        return {name: w.flatten()[:1] for name, w in trained.items()}
    # Random, as Flower sends blocks that are alike only once.
    return {"w": torch.rand(behaviour.megabytes * 250_000, generator=generator)}


def _along(base: Weights, trained: Weights, step: float) -> Weights:
    return {
        name: base[name] + step * (w - base[name]) if w.is_floating_point() else w
        for name, w in trained.items()
    }


def stepped(base: Weights, step: torch.Tensor) -> Weights:
    """The base moved by a step that holds its real numbers one after the other."""
    real = [name for name, w in base.items() if w.is_floating_point()]
    pieces = torch.split(step, [base[name].numel() for name in real])
    moved = {n: base[n] + p.view_as(base[n]) for n, p in zip(real, pieces, strict=True)}
    return base | moved


def _noised(base: Weights, scale: float, generator: torch.Generator) -> Weights:
    return {
        name: w + scale * torch.randn(w.shape, generator=generator) if w.is_floating_point() else w
        for name, w in base.items()
    }


def _just_passing(
    base: Weights,
    trained: Weights,
    most: float,
    utility_of: Callable[[Weights], float],
    tolerance: float,
) -> Weights:
    """The longest step, up to `most` updates, that costs no more utility than passes."""
    limit = utility_of(base) - _CREEP * tolerance
    short, long = 0.0, most
    for _ in range(12):
        middle = (short + long) / 2
        if utility_of(_along(base, trained, middle)) >= limit:
            short = middle
        else:
            long = middle
    return _along(base, trained, short)
