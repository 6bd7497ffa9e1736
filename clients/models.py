"""Models by name, seeded so that every process builds the same one."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from flwr.app import ArrayRecord
from torch import Tensor, nn

from clients.published import PUBLISHED, lenet5
from flower_relay.errors import ConfigurationError

__all__ = ["MODELS", "build_model", "loaded_model", "scratch_model"]


def _mlp(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), 64), nn.ReLU(), nn.Linear(64, num_classes)
    )


def _linear(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Logistic regression; for a single output, linear regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_classes))


class _Gru(nn.Module):
    """Reads symbols one by one; after each, a score for every symbol that may come next."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(num_classes, 16)
        self.reader = nn.GRU(16, 128, batch_first=True)
        self.scores = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        read, _ = self.reader(self.symbols(x))
        scores: Tensor = self.scores(read)
        return scores.transpose(1, 2)  # (n, symbols, length), as cross_entropy takes them


def _cnn(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 16, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


class _Block(nn.Module):
    """A basic residual block (He et al. 2016)."""

    def __init__(
        self, inside: int, outside: int, stride: int, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            norm(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            norm(outside),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), norm(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.relu(self.body(x) + self.shortcut(x))
        return out


def _resnet18(
    shape: tuple[int, ...], num_classes: int, norm: Callable[[int], nn.Module]
) -> nn.Module:
    """ResNet-18 with the 3 × 3 stem that small images need."""
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False),
        norm(64),
        nn.ReLU(),
    ]
    inside = 64
    for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [
            _Block(inside, outside, stride, norm),
            _Block(outside, outside, 1, norm),
        ]
        inside = outside
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes)]
    return nn.Sequential(*layers)


MODELS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": lambda shape, classes: _resnet18(shape, classes, nn.BatchNorm2d),
    "resnet18-gn": lambda shape, classes: _resnet18(
        shape, classes, lambda channels: nn.GroupNorm(8, channels)
    ),
    "linear": _linear,
    "lenet5": functools.partial(lenet5, padding=2),
    "gru": lambda shape, classes: _Gru(classes),
    **PUBLISHED,
}

_LEAST_SIDE = {"lenet5": 12, "li-lenet5": 16, "li-cnn": 4}
"""Pixels that a model's own kernels need."""


def build_model(name: str, shape: tuple[int, ...], num_classes: int, seed: int) -> nn.Module:
    """Build a model with weights that depend on `seed` alone.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    shape : tuple of int
        (channels, height, width) of one case; (length,) for a sequence.
    num_classes : int
        Outputs; 1 for a regression.
    seed : int
        Of the initial weights; the global generator is left as it was.

    Raises
    ------
    ConfigurationError
        When there is no such model, or it cannot take such cases.
    """
    if name not in MODELS:
        raise ConfigurationError(f"model = {name!r}: expected one of {', '.join(MODELS)}.")
    _check_shape(name, shape)
    with torch.random.fork_rng(devices=[]):
        # Of the processor alone: `torch.manual_seed` notes a call stack for other devices.
        torch.default_generator.manual_seed(seed)
        return MODELS[name](shape, num_classes)


def _check_shape(name: str, shape: tuple[int, ...]) -> None:
    """Refuse cases that a model cannot take, before anybody is asked to train on them."""
    least = _LEAST_SIDE.get(name, 1)
    sequence = name == "gru"
    if len(shape) != (1 if sequence else 3) or min(shape[1:], default=least) < least:
        wanted = "sequences of symbols" if sequence else f"cases of at least {least} by {least}"
        raise ConfigurationError(
            f"model = {name!r}: it takes {wanted}, and a case of this data is of shape {shape}. "
            'Leave model = "" for one that suits the data.'
        )


@functools.lru_cache(maxsize=4)
def scratch_model(name: str, shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A module to load weights into, built once a process; the next caller overwrites it.

    Building and seeding a module takes longer than evaluating a small one.
    """
    return build_model(name, shape, num_classes, seed=0)


_LOADED: OrderedDict[tuple[object, ...], nn.Module] = OrderedDict()
_MOST_LOADED = 32


def loaded_model(
    name: str, shape: tuple[int, ...], num_classes: int, arrays: ArrayRecord
) -> nn.Module:
    """A module with weights loaded, to be evaluated and not changed.

    Many nodes of one process evaluate the same few models: loading takes longer than evaluating.
    """
    weights = tuple((key, array.data) for key, array in arrays.items())
    key = (name, shape, num_classes, weights)
    module = _LOADED.get(key)
    if module is None:
        module = build_model(name, shape, num_classes, seed=0)
        module.load_state_dict(arrays.to_torch_state_dict(), strict=True)
        _LOADED[key] = module
        if len(_LOADED) > _MOST_LOADED:
            _LOADED.popitem(last=False)
    return module
