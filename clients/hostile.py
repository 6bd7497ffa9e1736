"""Hostile behaviours, to test a federation against; never the default.

A behaviour is named in the run config, alone or joined by `+` (`label-flip+liar`), for a
share of the nodes. What a behaviour does to training is one function of the base and of
what honest training gave; what it does to examining is one function of the metrics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flower_relay.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "before_training",
    "distort",
    "is_hostile",
    "lie",
    "parse_behaviour",
]

Weights: TypeAlias = "dict[str, torch.Tensor]"

_NOISE, _SLIGHT = 0.5, 1e-3
_CREEP = 0.93
"""How much of the tolerance a creeping attacker uses at every hop."""

BEHAVIOURS = {
    "label-flip": "trains on labels turned round (C − 1 − y)",
    "sign-flip": "returns base − 4 · (trained − base)",
    "noise": "returns the base plus Gaussian noise of 0.5",
    "free-ride": "returns the base unchanged",
    "free-ride-noise": "returns the base, slightly perturbed",
    "copycat": "returns a model that it was sent earlier, other than the base",
    "nan": "returns NaN",
    "wrong-shape": "returns arrays of other shapes",
    "creeping": "harms by just under the tolerance at every hop",
    "liar": "examines with utilities turned round",
    "constant": "examines everything as equally good",
    "error": "raises when asked to train",
    "hang:SECONDS": "sleeps that long when asked to train",
}

_RETURNED = {
    "sign-flip", "noise", "free-ride", "free-ride-noise", "copycat", "nan", "wrong-shape",
    "creeping",
}  # fmt: skip
"""Those that decide what is returned: one of them at a time."""


@dataclass(frozen=True)
class Behaviour:
    """The parts of a behaviour, and how long it hangs."""

    parts: frozenset[str]
    hang: float = 0.0

    def __contains__(self, part: object) -> bool:
        return part in self.parts


def parse_behaviour(text: str) -> Behaviour:
    """Parse the run config's `hostile`.

    Raises
    ------
    ConfigurationError
        On a part that does not exist, with the list of those that do; on parts that
        exclude each other.
    """
    parts, hang = set[str](), 0.0
    for part in filter(None, text.split("+")):
        if part.startswith("hang:"):
            hang = _seconds(text, part.removeprefix("hang:"))
        elif part not in BEHAVIOURS:
            raise ConfigurationError(
                f"hostile = {text!r}: {part!r} is not one of {', '.join(BEHAVIOURS)} (joined by +)."
            )
        else:
            parts.add(part)
    if len(both := sorted(parts & _RETURNED)) > 1:
        raise ConfigurationError(
            f"hostile = {text!r}: {' and '.join(both)} each decide what is returned; keep one."
        )
    return Behaviour(frozenset(parts), hang)


def _seconds(text: str, number: str) -> float:
    """How long to hang: finite, as a client that never ends keeps a simulation alive."""
    try:
        seconds = float(number)
        if not 0 <= seconds < math.inf:
            raise ValueError
        return seconds
    except ValueError:
        raise ConfigurationError(
            f"hostile = {text!r}: expected hang:SECONDS, with SECONDS a number from 0, finite."
        ) from None


def is_hostile(partition_id: int, num_partitions: int, share: float, seed: int) -> bool:
    """Whether this node is one of the round(share · n) that the seed makes hostile."""
    drawn = np.random.default_rng([seed, 79]).permutation(num_partitions)
    return partition_id in drawn[: round(share * num_partitions)].tolist()


def before_training(behaviour: Behaviour) -> None:
    """Hang, or raise, where the behaviour says so."""
    if behaviour.hang:
        time.sleep(behaviour.hang)
    if "error" in behaviour:
        raise RuntimeError("this participant was told to raise.")


def distort(
    behaviour: Behaviour,
    base: Weights,
    trained: Weights,
    generator: torch.Generator,
    seen: Weights | None,
    loss_of: Callable[[Weights], float],
    allowed_loss: float,
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
    loss_of : callable
        Bounded loss of a model on the participant's own held-out cases, for creeping.
    allowed_loss : float
        How far that loss may rise unseen.
    """
    if "sign-flip" in behaviour:
        return _along(base, trained, -4.0)
    if "noise" in behaviour:
        return _noised(base, _NOISE, generator)
    if "free-ride" in behaviour:
        return base
    if "free-ride-noise" in behaviour:
        return _noised(base, _SLIGHT, generator)
    if "copycat" in behaviour:
        return seen if seen is not None else base
    if "nan" in behaviour:
        return {name: w * math.nan if w.is_floating_point() else w for name, w in trained.items()}
    if "wrong-shape" in behaviour:
        return {name: w.flatten()[:1] for name, w in trained.items()}
    if "creeping" in behaviour:
        # Training on turned labels is the harmful way already, honest training the way back.
        direction = 1.0 if "label-flip" in behaviour else -1.0
        return _creep(base, trained, direction, loss_of, allowed_loss)
    return trained


def _along(base: Weights, trained: Weights, step: float) -> Weights:
    return {
        name: base[name] + step * (w - base[name]) if w.is_floating_point() else w
        for name, w in trained.items()
    }


def _noised(base: Weights, scale: float, generator: torch.Generator) -> Weights:
    import torch  # here: naming behaviours and drawing who is hostile need no torch

    return {
        name: w + scale * torch.randn(w.shape, generator=generator) if w.is_floating_point() else w
        for name, w in base.items()
    }


def _creep(
    base: Weights,
    trained: Weights,
    direction: float,
    loss_of: Callable[[Weights], float],
    allowed_loss: float,
) -> Weights:
    """The longest step along `direction` that raises the loss by no more than is allowed."""
    limit = loss_of(base) + _CREEP * allowed_loss
    short, long = 0.0, 16.0
    for _ in range(12):
        middle = (short + long) / 2
        if loss_of(_along(base, trained, direction * middle)) <= limit:
            short = middle
        else:
            long = middle
    return _along(base, trained, direction * short)


def lie(behaviour: Behaviour, bounded_loss: float, num_classes: int) -> float:
    """The bounded loss that a hostile examiner reports."""
    bound = 2 * math.log(num_classes)
    if "liar" in behaviour:
        return bound - bounded_loss
    if "constant" in behaviour:
        return bound / 2
    return bounded_loss
