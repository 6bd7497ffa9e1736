"""Models of published tables, as their authors built them.

Li and Lyu (NeurIPS 2023): a perceptron with dropout, a LeNet-5 whose first layer pads nothing,
and a convolutional network; their logistic regression is `linear`. Ours of like names differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

__all__ = ["PUBLISHED", "lenet5"]


def _mlp(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 64),
        nn.Dropout(),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


def lenet5(shape: tuple[int, ...], num_classes: int, padding: int = 0) -> nn.Module:
    """LeNet-5 with rectified units and maxima, for 28 × 28 pictures (LeCun et al. 1998)."""
    left = math.prod(((side + 2 * padding - 4) // 2 - 4) // 2 for side in shape[1:])
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, num_classes),
    )


def _cnn(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    left = math.prod(side // 4 for side in shape[1:])
    hidden = nn.Sequential(
        nn.Conv2d(shape[0], 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * left, 128),
        nn.ReLU(),
    )
    hidden.apply(_kaiming)
    return nn.Sequential(*hidden, nn.Linear(128, num_classes))


@torch.no_grad()
def _kaiming(part: nn.Module) -> None:
    if isinstance(part, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)


PUBLISHED: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "li-mlp": _mlp,
    "li-lenet5": lenet5,
    "li-cnn": _cnn,
}
"""By name, each a function of a case's shape and the number of classes."""
