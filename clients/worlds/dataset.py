"""What every world comes to: cases, what they are to be told as, and a test set of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_relay.errors import ConfigurationError

__all__ = [
    "Dataset", "Task", "as_images", "evenly_scaled", "regression", "split_off_tests",
    "standardised",
]  # fmt: skip

_TEST_SHARE, _TEST_SEED = 0.2, 2025
_STRATA = 5
"""Fifths of a regression's targets, which a partition divides as it divides classes."""


class Task(StrEnum):
    """What a model is asked for: a class, a number, or the next symbol at every place."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    SEQUENCE = "sequence"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Cases and what is to be learned of them.

    Attributes
    ----------
    x, x_test : array of shape (n, channels, height, width) of float32
        For a sequence (n, length) of int64: symbols.
    y, y_test : array of shape (n,) of int64
        Classes. For a regression float32, in units of the training targets' standard
        deviation around their mean; for a sequence (n, length): the symbol after each.
    group, group_test : int64 array of shape (n,), optional
        Natural group of each case: a hospital, a person, a role.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    group: NDArray[np.int64] | None = None
    group_test: NDArray[np.int64] | None = None

    @property
    def task(self) -> Task:
        """Told by the targets: real numbers, one symbol a place, or one class a case."""
        if np.issubdtype(self.y.dtype, np.floating):
            return Task.REGRESSION
        return Task.SEQUENCE if self.y.ndim == 2 else Task.CLASSIFICATION

    @cached_property
    def num_classes(self) -> int:
        """Labels run from 0 to this, exclusive; a regression has one output: 1."""
        if self.task is Task.REGRESSION:
            return 1
        return int(max(self.y.max(), self.y_test.max())) + 1

    def at_most(self, count: int) -> Dataset:
        """The same world with so many training cases at most, drawn once for all processes."""
        if count >= len(self.y):
            return self
        kept = np.sort(np.random.default_rng(_TEST_SEED).permutation(len(self.y))[:count])
        group = None if self.group is None else self.group[kept]
        return replace(self, x=self.x[kept], y=self.y[kept], group=group)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case."""
        return self.x.shape[1:]

    @cached_property
    def strata(self) -> NDArray[np.int64]:
        """What `dirichlet` and `labels` divide: classes, fifths of the targets, last symbols."""
        if self.task is Task.CLASSIFICATION:
            return self.y
        if self.task is Task.SEQUENCE:
            return np.asarray(self.y[:, -1], np.int64)
        edges = np.quantile(self.y, np.linspace(0, 1, _STRATA + 1)[1:-1])
        return np.searchsorted(edges, self.y, side="right").astype(np.int64)

    @cached_property
    def nothing_learned(self) -> float:
        """Test accuracy of the commonest training label everywhere; 0 for a regression.

        A regression's accuracy is the share of the variance that is explained, so that
        whoever predicts the training mean has none.
        """
        if self.task is Task.REGRESSION:
            return 0.0
        commonest = int(np.bincount(self.y.ravel()).argmax())
        return float((self.y_test == commonest).mean())


def split_off_tests(x: Any, y: Any, group: NDArray[np.int64] | None) -> Dataset:
    """Hold out a fifth of every class as the test set, the same in every process.

    Raises
    ------
    ConfigurationError
        When that would be nothing.
    """
    rng = np.random.default_rng(_TEST_SEED)
    x = np.asarray(x, np.float32)
    y = np.asarray(y, np.int64)
    held_out = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        of_class = rng.permutation(np.flatnonzero(y == label))
        held_out[of_class[: int(_TEST_SHARE * len(of_class))]] = True
    if not held_out.any():
        raise ConfigurationError(
            f"{len(y)} cases are too few to hold a fifth of each class out as a test set; "
            "in an .npz, give the arrays x_test and y_test."
        )
    return Dataset(
        x=x[~held_out],
        y=y[~held_out],
        x_test=x[held_out],
        y_test=y[held_out],
        group=None if group is None else group[~held_out],
        group_test=None if group is None else group[held_out],
    )


def regression(x: NDArray[Any], target: NDArray[Any]) -> Dataset:
    """A regression with a fifth of its cases as the test set, its targets standardised."""
    order = np.random.default_rng(_TEST_SEED).permutation(len(target))
    held_out, kept = np.split(order, [int(_TEST_SHARE * len(target))])
    mean, spread = target[kept].mean(), target[kept].std()
    scaled = ((target - mean) / spread).astype(np.float32)
    cases = as_images(x.astype(np.float32))
    return Dataset(x=cases[kept], y=scaled[kept], x_test=cases[held_out], y_test=scaled[held_out])


def standardised(data: Dataset) -> Dataset:
    """Features with mean 0 and standard deviation 1 over all training cases."""
    mean, spread = data.x.mean(axis=0), data.x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled: Callable[[NDArray[Any]], NDArray[np.float32]] = lambda x: (  # noqa: E731
        ((x - mean) / spread).astype(np.float32)
    )
    return replace(data, x=scaled(data.x), x_test=scaled(data.x_test))


def evenly_scaled(data: Dataset) -> Dataset:
    """Pictures with mean 0 and standard deviation 1 over all training pixels together."""
    mean, spread = float(data.x.mean(dtype=np.float64)), float(data.x.std(dtype=np.float64))
    scaled: Callable[[NDArray[Any]], NDArray[np.float32]] = lambda x: (  # noqa: E731
        ((x - mean) / spread).astype(np.float32)
    )
    return replace(data, x=scaled(data.x), x_test=scaled(data.x_test))


def as_images(x: NDArray[Any]) -> NDArray[np.float32]:
    """Cases as (n, channels, height, width); bytes are scaled, vectors become 1 × 1 × d."""
    scaled = x.astype(np.float32) / (255.0 if x.dtype == np.uint8 else 1.0)
    if scaled.ndim == 2:
        return scaled[:, None, None, :]
    if scaled.ndim == 3:
        return scaled[:, None]
    return np.moveaxis(scaled, -1, 1) if scaled.shape[-1] in (1, 3) else scaled
