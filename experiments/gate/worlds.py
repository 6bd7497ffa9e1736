"""The worlds that a variant of the gate is played in: whose cases, which attack, how fast.

Ten classes, two classes, a regression, one label each and natural sites, so that no rule is
chosen for what fits one of them. Everything is numpy: a network of one hidden layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.data import load_dataset
from clients.models import build_model
from clients.partition import partition, split_held_out

__all__ = ["NODES", "WORLDS", "Cases", "Network", "Weights", "World", "cases_of"]

Weights = NDArray[np.float32]
NODES, HIDDEN, BATCH = 20, 64, 16


@dataclass(frozen=True)
class World:
    """Data and their partition, what hostile participants do, how many, the learning rate.

    Hostile examiners turn utilities round. `constant` ones call all models equally good. `sly` ones
    know planted models when they see them, and say the truth there. `harsh` ones say the truth of
    the base that all models are compared with, and that all the others are worthless.
    """

    data: str
    scheme: str
    attack: str
    share: float
    lr: float
    liars: str = ""

    @property
    def name(self) -> str:
        """Short enough for a table's head."""
        kind, _, number = self.scheme.partition(":")
        attacked = f"{self.attack} {self.share:.0%}" if self.attack else "clean"
        return f"{self.data} {kind[0]}{number} {attacked}{self.liars and f', {self.liars}'}"


WORLDS = (
    World("digits", "dirichlet:0.3", "", 0.0, 0.4),
    World("digits", "dirichlet:0.1", "", 0.0, 0.2),
    World("digits", "labels:1", "", 0.0, 0.2),
    World("spambase", "dirichlet:0.3", "", 0.0, 0.1),
    World("diabetes", "dirichlet:0.3", "", 0.0, 0.02),
    World("har", "natural", "", 0.0, 0.1),
    World("digits", "dirichlet:0.3", "noise", 0.2, 0.4),
    World("digits", "dirichlet:0.1", "label-flip", 0.2, 0.2),
    World("digits", "dirichlet:0.1", "creeping", 0.2, 0.2),
    World("digits", "labels:1", "sign-flip", 0.2, 0.2),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.2, 0.1),
    World("diabetes", "dirichlet:0.3", "sign-flip", 0.2, 0.02),
    World("har", "natural", "sign-flip", 0.2, 0.1),
    World("digits", "dirichlet:0.3", "label-flip", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "sign-flip", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "noise", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "alie", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "min-max", 0.4, 0.4),
    World("letter", "dirichlet:0.3", "", 0.0, 0.4),
    World("letter", "dirichlet:0.3", "alie", 0.2, 0.4),
    World("letter", "dirichlet:0.3", "alie", 0.4, 0.4),
    World("spambase", "dirichlet:0.3", "alie", 0.4, 0.4),
    World("spambase", "dirichlet:0.3", "label-flip", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "constant"),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "constant"),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.4, 0.4),
    World("spambase", "dirichlet:0.3", "min-max", 0.4, 0.4),
    World("digits", "dirichlet:0.3", "sign-flip", 0.2, 0.4, "sly"),
    World("digits", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "sly"),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.2, 0.4, "sly"),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "sly"),
    World("digits", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "harsh"),
    World("digits", "dirichlet:0.1", "label-flip", 0.2, 0.2, "harsh"),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.4, 0.4, "harsh"),
)
"""Hostile participants lie as examiners, too."""


@dataclass(frozen=True)
class Cases:
    """Everybody's cases, those they keep for examining, and the common test."""

    parts: list[tuple[NDArray[Any], NDArray[Any]]]
    x: NDArray[Any]
    y: NDArray[Any]
    owner: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    network: Network
    shape: tuple[int, ...]


@cache
def cases_of(
    data: str, scheme: str, seed: int, most: tuple[int | None, int | None] = (None, None)
) -> Cases:
    """A partition of the data, the same as the ClientApp has it.

    `most` are the cases to train on and to examine by that a participant has at most.
    """
    found = load_dataset(data)
    x = found.x.reshape(len(found.x), -1).astype(np.float32)
    parts, held = [], []
    for part in partition(found.strata, found.group, scheme, NODES, seed):
        kept, out = split_held_out(part, seed)
        kept, out = kept[: most[0]], out[: most[1]]
        parts.append((x[kept], found.y[kept]))
        held.append(out)
    rows = np.concatenate(held)
    owner = np.repeat(np.arange(NODES), [len(out) for out in held])
    x_test = found.x_test.reshape(len(found.x_test), -1).astype(np.float32)
    network = Network(x.shape[1], found.num_classes)
    return Cases(
        parts, x[rows], found.y[rows], owner, x_test, found.y_test, network, found.shape
    )  # fmt: skip


class Network:
    """Inputs, 64 rectified units, and a score for each class; for a regression one output.

    Its weights are flat: input × hidden, biases, hidden × output, biases.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        self.classes = classes
        self._shapes = ((inputs, HIDDEN), (HIDDEN,), (HIDDEN, classes), (classes,))

    def first(self, shape: tuple[int, ...], seed: int) -> Weights:
        """The genesis model, as the ClientApp has it."""
        state = build_model("mlp", shape, self.classes, seed).state_dict().values()
        return np.concatenate([w.numpy().T.ravel() for w in state]).astype(np.float32)

    def _layers(self, weights: Weights) -> Iterator[NDArray[Any]]:
        place = 0
        for shape in self._shapes:
            size = int(np.prod(shape))
            yield weights[place : place + size].reshape(shape)
            place += size

    def _outputs(self, weights: Weights, x: NDArray[Any]) -> NDArray[Any]:
        w1, b1, w2, b2 = self._layers(weights)
        return np.asarray(np.maximum(x @ w1 + b1, 0) @ w2 + b2)

    def losses(self, weights: Weights, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        """Cross-entropy of each case, or its squared error; 10⁹ where it is not a number."""
        with np.errstate(all="ignore"):
            z = self._outputs(weights, x)
            if self.classes == 1:
                found = (z[:, 0] - y) ** 2
            else:
                z = z - z.max(1, keepdims=True)
                found = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
        return np.nan_to_num(found, nan=1e9, posinf=1e9)

    def score(self, weights: Weights, x: NDArray[Any], y: NDArray[Any]) -> float:
        """Accuracy; for a regression the share of the variance that is explained."""
        if self.classes == 1:
            return max(0.0, 1.0 - float(self.losses(weights, x, y).mean() / np.var(y)))
        with np.errstate(all="ignore"):
            return float((self._outputs(weights, x).argmax(1) == y).mean())

    def trained(self, base: Weights, x: Any, y: Any, lr: float, rng: Any) -> Weights:
        """Weights after one epoch of SGD from a base."""
        weights, rate = base.copy(), np.float32(lr)
        w1, b1, w2, b2 = self._layers(weights)
        order = rng.permutation(len(y))
        for place in range(0, len(y), BATCH):
            batch = order[place : place + BATCH]
            hidden = x[batch] @ w1 + b1
            active = np.maximum(hidden, 0)
            error = self._error(active @ w2 + b2, y[batch]) / np.float32(len(batch))
            back = (error @ w2.T) * (hidden > 0)
            w2 -= rate * (active.T @ error)
            b2 -= rate * error.sum(0)
            w1 -= rate * (x[batch].T @ back)
            b1 -= rate * back.sum(0)
        return weights

    def _error(self, z: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        """The loss's gradient at the outputs."""
        if self.classes == 1:
            return np.asarray(2 * (z - y[:, None]))
        p = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(p / p.sum(1, keepdims=True) - np.eye(self.classes, dtype=np.float32)[y])
