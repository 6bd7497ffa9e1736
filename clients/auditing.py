"""How an examiner that lies on audits only tells an audit's model from a hop.

An audit shows a probe: a model in which a hop's step is repeated, shortened, on another base
(`flower_relay.publishing.StoredSteps`). Whoever remembers the models that it was shown finds
it by that: its difference from an earlier model has the direction of a hop, and a fraction of
its length. Whose hop it was, colluders tell by their mark. Nothing is known that a node of a
real federation would not know.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from flwr.app import Array, ArrayRecord
from torch import Tensor

__all__ = ["Whose", "remember", "whose_probe"]

Whose: TypeAlias = bool | None
"""A colleague's probe, a rival's, or none at all."""

_MOST = 16
"""Models that are remembered."""
_ALIKE, _SHORT = 0.9, 0.5
"""Cosine from which two steps are one, and how much shorter the repeated one is at least."""


def remember(seen: ArrayRecord, weights: Tensor, ours: bool) -> ArrayRecord:
    """What was shown, with one more model; the oldest is forgotten."""
    number = int(list(seen)[-1].partition("-")[0]) + 1 if seen else 0
    kept = list(seen.items())[-(_MOST - 1) :]
    name = f"{number}-{'ours' if ours else 'theirs'}"
    return ArrayRecord({**dict(kept), name: Array(weights.numpy())})


def whose_probe(seen: ArrayRecord, weights: Tensor) -> Whose:
    """Whether a model is an audit's probe, and whose.

    Parameters
    ----------
    seen : ArrayRecord
        As `remember` made it, without this model.
    weights : tensor of shape (weights,)
        This model.
    """
    if len(seen) < 2:
        return None
    known = torch.stack([torch.from_numpy(array.numpy()) for array in seen.values()])
    ours = [name.endswith("-ours") for name in seen]
    places = torch.combinations(torch.arange(len(known)), 2)
    steps = known[places[:, 1]] - known[places[:, 0]]  # from an earlier one to a later one
    own = weights - known
    lengths, of_hops = own.norm(dim=1)[:, None], steps.norm(dim=1)[None]
    cosine = (own @ steps.T) / (lengths * of_hops).clamp(min=1e-12)
    short = (lengths > 0) & (lengths < _SHORT * of_hops)
    found = torch.where(short, cosine, -1.0)
    best = int(found.argmax())
    if float(found.flatten()[best]) < _ALIKE:
        return None
    return ours[int(places[best % len(places), 1])]
