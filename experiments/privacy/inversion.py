"""What did the data look like that an update was made from?

Two attacks on the line-up's MLP (64-64-10). *By division*: a hidden unit's weights and its
bias have moved by the same factors times the inputs that made it move, so that their ratio is
a weighted mean of these inputs, and the input itself where there was only one (Phong et al.
2018). *By matching*: cases are sought whose training gives the update that was seen (Zhu et
al. 2019, Geiping et al. 2020), through all steps of local training (Dimitrov et al. 2022),
from the mean case of each class on. The attacker is given the learning rate, the labels and
who was in which batch: all upper bounds on what it knows, the last no secret in the line-up,
where a hop's seed follows from the run config.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from clients.training import _batches

from .world import BATCH, LR, Cases

__all__ = [
    "Plan",
    "by_division",
    "by_matching",
    "class_means",
    "nearest",
    "planned",
    "psnr",
    "updates",
]

_SHAPES = ((64, 64), (64,), (10, 64), (10,))
PRIOR = 0.1
"""Weight of the mean squared distance from the class means, beside the relative error."""
_CAP = 60.0
"""dB above which a reconstruction is called exact."""


@dataclass(frozen=True)
class Plan:
    """Everybody's training: cases (parties, steps, places, 64), labels, and which places count."""

    x: Tensor
    y: Tensor
    mask: Tensor

    @property
    def truth(self) -> Tensor:
        """The cases themselves, (cases, 64)."""
        return self.x[self.mask]

    def averaged(self, made: Tensor) -> Tensor:
        """The mean of everybody's updates, weighted by cases as FedAvg does."""
        sizes = self.mask.sum((1, 2)).float()
        return sizes / sizes.sum() @ made


def planned(clients: list[Cases], seeds: list[int], batch: int = BATCH) -> Plan:
    """The batches of one local epoch of everybody, in the order in which training takes them."""
    orders = [
        _batches(len(cases), batch, torch.Generator().manual_seed(seed))
        for cases, seed in zip(clients, seeds, strict=True)
    ]
    steps = max(len(order) for order in orders)
    places = max(len(rows) for order in orders for rows in order)
    x = torch.zeros(len(clients), steps, places, 64)
    y = torch.zeros(len(clients), steps, places, dtype=torch.long)
    mask = torch.zeros(len(clients), steps, places, dtype=torch.bool)
    for party, (cases, order) in enumerate(zip(clients, orders, strict=True)):
        for step, rows in enumerate(order):
            x[party, step, : len(rows)] = cases.x[rows].flatten(1)
            y[party, step, : len(rows)] = cases.y[rows]
            mask[party, step, : len(rows)] = True
    return Plan(x, y, mask)


def updates(base: Tensor, plan: Plan, x: Tensor) -> Tensor:
    """Everybody's update by SGD from the same base on cases `x`, (parties, weights).

    Written out, so that many parties are trained at once and can be differentiated through.
    """
    pieces = torch.split(base, [math.prod(shape) for shape in _SHAPES])
    w1, b1, w2, b2 = (
        piece.reshape(shape).expand(len(x), *shape)
        for piece, shape in zip(pieces, _SHAPES, strict=True)
    )
    truth, sizes = one_hot(plan.y, 10).float(), plan.mask.sum(2).clamp(min=1)
    for step in range(x.shape[1]):
        now = x[:, step]
        hidden = now @ w1.mT + b1[:, None]
        active = hidden.relu()
        error = (active @ w2.mT + b2[:, None]).softmax(2) - truth[:, step]
        error = error * (plan.mask[:, step] / sizes[:, step, None])[..., None]
        back = (error @ w2) * (hidden > 0)
        w2, b2 = w2 - LR * (error.mT @ active), b2 - LR * error.sum(1)
        w1, b1 = w1 - LR * (back.mT @ now), b1 - LR * back.sum(1)
    return torch.cat([w.flatten(1) for w in (w1, b1, w2, b2)], 1) - base


def by_division(update: Tensor) -> Tensor:
    """One candidate for each hidden unit whose bias moved, (units, 64), within 0 … 1."""
    weights, bias = update[: 64 * 64].reshape(64, 64), update[64 * 64 : 64 * 65]
    moved = bias.abs() > 1e-3 * bias.abs().max()
    return (weights[moved] / bias[moved, None]).clamp(0, 1)


def by_matching(
    base: Tensor, seen: Tensor, plan: Plan, means: Tensor, *, averaged: bool,
    clip: float = math.inf, steps: int = 300,
) -> Tensor:  # fmt: skip
    """Cases whose training comes closest to what was seen, (cases, 64).

    Parameters
    ----------
    seen : Tensor
        (parties, weights); their average, (weights,), where `averaged`.
    means : Tensor
        The mean case of each class, (classes, 64).
    clip : float
        Length to which updates were cut before they were seen.
    """
    start = means[plan.y]
    guess = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    sizes = plan.mask.sum((1, 2))
    scale = seen.square().sum(-1).clamp(min=1e-20)
    for _ in range(steps):
        optimizer.zero_grad()
        made = updates(base, plan, guess)
        if clip < math.inf:
            made = made * (clip / made.norm(dim=1, keepdim=True)).clamp(max=1)
        off = (plan.averaged(made) if averaged else made) - seen
        far = ((guess - start).square().mean(3) * plan.mask).sum((1, 2)) / sizes
        torch.autograd.backward((off.square().sum(-1) / scale).sum() + PRIOR * far.sum())
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            guess.clamp_(0, 1)
    return guess.detach()[plan.mask]


def class_means(pool: Cases) -> Tensor:
    """The mean case of each class in the attacker's own data, (classes, 64)."""
    return torch.stack([pool.x[pool.y == label].flatten(1).mean(0) for label in range(10)])


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """Likeness of each case to its reconstruction in decibels, of a range of 1; at most 60."""
    error = (found - truth).square().mean(-1)
    return (-10 * error.clamp(min=10 ** (-_CAP / 10)).log10()).clamp(max=_CAP)


def nearest(candidates: Tensor, truth: Tensor) -> Tensor:
    """Each true case's nearest among the candidates."""
    return candidates[torch.cdist(truth, candidates).argmin(1)]
