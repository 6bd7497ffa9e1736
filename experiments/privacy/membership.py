"""Was this case in the data that an update was made from?

Scores per case, higher for a member: the loss afterwards (Yeom et al. 2018), its fall from
base to candidate, the cosine of the case's gradient with the update (Nasr et al. 2019 look at
the like), and the latter two against what updates made without the case give: the attacker
trains shadow updates from the same base on cases of its own, as many of each class as the
victim has, and asks how unusual the case's score is (Carlini et al. 2022, offline). Attackers
are given the victim's class counts, so that these tell no member from a non-member.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from .world import BATCH, Cases, World, local

__all__ = ["SCORES", "Rates", "attack", "loss_only", "rates", "shadows_of"]

SCORES = (
    "loss",
    "fall",
    "gradient",
    "fall, shadows",
    "gradient, shadows",
    "filter",
    "filter, shadows",
)
RIDGE = 0.03
"""Of the matched filter; chosen on seed 1000, which no table uses."""
FALSE = 0.01
"""The false-positive rate at which true positives are counted."""


@dataclass(frozen=True)
class Rates:
    """Area under the curve, and true positives at 1 % false ones."""

    auc: float
    true: float


def rates(members: Tensor, others: Tensor, weights: Tensor) -> Rates:
    """How well scores tell members from others, who count by weights that sum to 1."""
    above = (members[:, None] > others).float() + 0.5 * (members[:, None] == others).float()
    auc = float((above @ weights).mean())
    order = others.argsort(descending=True)
    # The highest that may be taken for members, and then whatever is above the next.
    wrong = weights[order].cumsum(0) > FALSE + 1e-6
    threshold = others[order][wrong][0]
    return Rates(auc, float((members > threshold).float().mean()))


def shadows_of(
    world: World, base: Tensor, cases: Cases, seed: int, *, count: int = 16, epochs: int = 1,
    batch: int = BATCH,
) -> Tensor:  # fmt: skip
    """Updates from the base on the attacker's cases, class for class, (count, weights)."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for shadow in range(count):
        drawn = torch.cat([_drawn(world.pool, int(y), int((cases.y == y).sum()), generator)
                           for y in cases.y.unique()])  # fmt: skip
        pool = Cases(world.pool.x[drawn], world.pool.y[drawn])
        made.append(local(world, base, pool, seed + shadow, epochs, batch) - base)
    return torch.stack(made)


def _drawn(pool: Cases, label: int, count: int, generator: torch.Generator) -> Tensor:
    """Cases of a class: all different where there are enough."""
    rows = torch.nonzero(pool.y == label).flatten()
    repeats = -(-count // len(rows))
    order = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(repeats)]
    return torch.cat(order)[:count]


def attack(
    world: World, victim: Cases, base: Tensor, update: Tensor, shadows: Tensor
) -> dict[str, Rates]:
    """All scores against one update."""
    cases = Cases(torch.cat([victim.x, world.outside.x]), torch.cat([victim.y, world.outside.y]))
    updates = torch.cat([update[None], shadows])
    before, after = losses(world, base[None], cases)[0], losses(world, base + updates, cases)
    fall = before - after
    cosine = _alignment(world, base, cases, updates)
    filtered = _filtered(world, base + update / 2, cases, updates)
    found = {
        "loss": -after[0],
        "fall": fall[0],
        "gradient": cosine[0],
        "fall, shadows": _unusual(fall),
        "gradient, shadows": _unusual(cosine),
        "filter": filtered[0],
        "filter, shadows": _unusual(filtered),
    }
    return {name: _told(world, victim, score) for name, score in found.items()}


def loss_only(world: World, victim: Cases, weights: Tensor) -> Rates:
    """The loss score against a published model alone."""
    cases = Cases(torch.cat([victim.x, world.outside.x]), torch.cat([victim.y, world.outside.y]))
    return _told(world, victim, -losses(world, weights[None], cases)[0])


def losses(world: World, weights: Tensor, cases: Cases) -> Tensor:
    """Loss of each case under each row of weights, (rows, cases)."""
    module = world.module

    def of(flat: Tensor) -> Tensor:
        outputs = functional_call(module, _named(module, flat), (cases.x,))
        return cross_entropy(outputs, cases.y, reduction="none")

    with torch.no_grad():
        return torch.stack([of(row) for row in weights])


def _alignment(world: World, base: Tensor, cases: Cases, updates: Tensor) -> Tensor:
    """Cosine of each case's descent at the base with each update, (updates, cases)."""
    directions = descents(world, base, cases)
    return updates @ directions.T / updates.norm(dim=1, keepdim=True)


def _filtered(world: World, weights: Tensor, cases: Cases, updates: Tensor) -> Tensor:
    """The matched filter: a case's direction in an update, less what the pool explains of both.

    With P the pool's directions (rows) and λ a small ridge, x'(I − P'(PP' + λI)⁻¹P)u, over the
    length that x has in the same product; (updates, cases).
    """
    known, directions = descents(world, weights, world.pool), descents(world, weights, cases)
    gram = known @ known.T + RIDGE * torch.eye(len(known))
    left = directions - torch.linalg.solve(gram, known @ directions.T).T @ known
    length = (directions * left).sum(1).clamp(min=1e-12).sqrt()
    return updates @ left.T / length


def descents(world: World, weights: Tensor, cases: Cases) -> Tensor:
    """Each case's direction of descent, of length 1, (cases, weights)."""
    module = world.module

    def loss(flat: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(functional_call(module, _named(module, flat), (x[None],)), y[None])

    per_case = vmap(grad(loss), in_dims=(None, 0, 0))
    descent = -per_case(weights, cases.x, cases.y)
    return descent / (descent.norm(dim=1, keepdim=True) + 1e-12)


def _named(module: torch.nn.Module, flat: Tensor) -> dict[str, Tensor]:
    named = dict(module.named_parameters())
    pieces = torch.split(flat, [p.numel() for p in named.values()])
    return {n: v.reshape(p.shape) for (n, p), v in zip(named.items(), pieces, strict=True)}


def _unusual(scores: Tensor) -> Tensor:
    """The first row in standard deviations above the others, case by case."""
    spread = scores[1:].std(0)
    return (scores[0] - scores[1:].mean(0)) / (spread + 0.1 * spread.mean() + 1e-12)


def _told(world: World, victim: Cases, scores: Tensor) -> Rates:
    """Non-members count as if they had the victim's classes."""
    y, counts = world.outside.y, torch.bincount(victim.y, minlength=10).float()
    weights = (counts / len(victim) / torch.bincount(y, minlength=10))[y]
    return rates(scores[: len(victim)], scores[len(victim) :], weights)
