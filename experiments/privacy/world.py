"""The federation under attack: its cases, a relay and a FedAvg on them, and who sees what.

Digits among 20 participants (Dirichlet 0.3), divided and trained on by the line-up's own
functions. The relay is untested, everybody once a cycle in a shuffled order: that is the
shipped relay where nobody's hop is rejected. FedAvg trains all 20 at the same learning rate,
so that after as many client-epochs the two have used the data equally often.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from clients.data import load_dataset
from clients.models import build_model, scratch_model
from clients.partition import partition, split_held_out
from clients.training import train_locally
from flower_relay.rules.averaging import fresh_part
from flower_relay.wire.deltas import decode, encode

__all__ = ["LR", "NODES", "STAGES", "Cases", "Stage", "World", "likeness", "local", "stages_of"]

NODES, LR, BATCH = 20, 0.2, 16
STAGES = (4, 100, 400)
"""Hops after which the relay is attacked, FedAvg after a 20th of them (at least one) in rounds."""

_LEG, _TRAIL = 4, 0.1


@dataclass(frozen=True)
class Cases:
    """Cases (n, 1, 8, 8) and their labels (n,)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class World:
    """Who holds what.

    Attributes
    ----------
    clients : list of Cases
        What each participant trains on: the members.
    pool : Cases
        Data of the same kind that the attacker has: what participants keep from training.
    outside : Cases
        The common test set, which nobody trains on: the non-members.
    """

    seed: int
    model: str
    clients: list[Cases]
    pool: Cases
    outside: Cases

    @property
    def module(self) -> torch.nn.Module:
        """The model, to be given weights."""
        return scratch_model(self.model, (1, 8, 8), 10)

    @property
    def genesis(self) -> Tensor:
        """The first weights, flat."""
        return parameters_to_vector(build_model(self.model, (1, 8, 8), 10, self.seed).parameters())

    @property
    def shares(self) -> Tensor:
        """Everybody's weight in an average."""
        sizes = torch.tensor([float(len(cases)) for cases in self.clients])
        return sizes / sizes.sum()

    @classmethod
    @functools.lru_cache(maxsize=2)
    def of(cls, seed: int, model: str = "mlp") -> World:
        """The world of a seed, its data divided as the ClientApp divides them."""
        data = load_dataset("digits")
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        parts = [
            split_held_out(part, seed)
            for part in partition(data.y, data.group, "dirichlet:0.3", NODES, seed)
        ]
        held_out = np.concatenate([out for _, out in parts])
        return cls(
            seed,
            model,
            [Cases(x[kept], y[kept]) for kept, _ in parts],
            Cases(x[held_out], y[held_out]),
            Cases(torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)),
        )


def local(
    world: World, base: Tensor, cases: Cases, seed: int, epochs: int = 1, batch: int = BATCH
) -> Tensor:
    """Weights after a participant trained on its cases, flat."""
    module = world.module
    vector_to_parameters(base.clone(), module.parameters())
    train_locally(
        module, cases.x, cases.y, lr=LR, epochs=epochs, batch_size=batch,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return parameters_to_vector(module.parameters()).detach().clone()


def likeness(weights: Tensor, near: Tensor) -> Tensor:
    """What an examiner is shown of weights, when it holds others: the change in 8 bits a weight.

    Rounded array by array as shipped; here the model's arrays are one after another.
    """
    shapes = [p.shape for p in _parameters(len(weights))]
    arrays, reference = _arrays(weights, shapes), _arrays(near, shapes)
    shown = decode(encode(arrays, reference, "int8"), reference, "int8")
    return torch.cat([torch.from_numpy(shown[name]).flatten() for name in arrays])


@functools.cache
def _parameters(size: int) -> list[Tensor]:
    """The parameters of the model that has so many weights."""
    for name in ("mlp", "cnn"):
        parameters = list(build_model(name, (1, 8, 8), 10, 0).parameters())
        if sum(p.numel() for p in parameters) == size:
            return parameters
    raise ValueError(f"no model of {size} weights")


def _arrays(weights: Tensor, shapes: list[torch.Size]) -> dict[str, np.ndarray]:
    pieces = torch.split(weights.detach(), [shape.numel() for shape in shapes])
    return {f"{i:03}": piece.reshape(shapes[i]).numpy() for i, piece in enumerate(pieces)}


@dataclass(frozen=True)
class Stage:
    """A moment of both runs.

    Attributes
    ----------
    hops : int
        Client-epochs so far.
    baton, shown : Tensor
        What the next trainer is given, and what examiners hold of it.
    average : Tensor
        FedAvg's global model after as many client-epochs.
    published : tuple of Tensor
        The relay's champion, and FedAvg's model.
    """

    hops: int
    baton: Tensor
    shown: Tensor
    average: Tensor
    published: tuple[Tensor, Tensor]

    def rounded(self, updates: Tensor) -> Tensor:
        """What examiners, who hold `shown`, see of updates of the baton (participants, weights)."""
        seen = [likeness(self.baton + update, self.shown) - self.shown for update in updates]
        return torch.stack(seen)


def stages_of(world: World) -> list[Stage]:
    """Both runs, stopped at `STAGES`."""
    order = np.random.default_rng([world.seed, 81])
    baton = shown = trail = average = world.genesis.detach()
    queue: list[int] = []
    found = []
    for hop in range(1, STAGES[-1] + 1):
        queue = queue or order.permutation(NODES).tolist()
        who = queue.pop()
        baton = local(world, baton, world.clients[who], hop)
        fresh = fresh_part(_TRAIL, hop - 1)
        trail = (1 - fresh) * trail + fresh * baton
        if hop % NODES == 1:
            average = _round(world, average, 1000 + hop)
        if hop % _LEG == 0:
            shown = likeness(baton, shown)
        if hop in STAGES:
            found.append(Stage(hop, baton, shown, average, (trail, average)))
    return found


def _round(world: World, average: Tensor, seed: int) -> Tensor:
    made = [local(world, average, cases, seed) for cases in world.clients]
    return world.shares @ torch.stack(made)
