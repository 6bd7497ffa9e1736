"""Optimisers that step where lanes meet: the average step of the lanes taken as a gradient.

Both are Flower's, to the number: `adam` is FedAdam (Reddi et al. 2021) and `momentum` is FedAvgM
(Hsu et al. 2019). What they remember has the arrays of a model, so that it is kept like one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pieces import pieces

__all__ = ["step"]

Arrays = Mapping[str, NDArray[Any]]
_Array = NDArray[Any]
_Stepped = tuple[_Array, tuple[_Array, ...]]

_RATE, _FIRST, _SECOND, _LEAST = 0.1, 0.9, 0.99, 1e-3
"""FedAdam's η, β₁, β₂ and τ, with Flower's values."""

_MOMENTUM = 0.9
"""The part of the last step that the next one keeps. The step itself is taken whole."""


def step(
    optimiser: str, base: Arrays, average: Arrays, moments: Sequence[Arrays], meeting: int
) -> tuple[dict[str, _Array], tuple[dict[str, _Array], ...]]:
    """The model that lanes go on from, and what the optimiser remembers.

    Parameters
    ----------
    optimiser : str
        `adam` or `momentum`.
    base, average : mapping of name to array
        What all lanes began with, and the average of what they came to.
    moments : sequence of mappings of name to array
        What was remembered of the last meeting; nothing at the first.
    meeting : int
        Which meeting it is, from 1.

    Returns
    -------
    (model, moments) : dict of name to array, and a tuple of such
        Counters are the average's. Of `momentum` the last step is remembered; of `adam` the mean
        step, and the root of its mean square. Nothing in them is less finite than base and
        average: a number too large for its type is the largest of that type.
    """
    stepped = {
        name: _stepped(optimiser, base[name], array, [each[name] for each in moments], meeting)
        if np.issubdtype(array.dtype, np.inexact)
        else (array, (array,) * _REMEMBERED[optimiser])
        for name, array in average.items()
    }
    model = {name: array for name, (array, _) in stepped.items()}
    return model, tuple(
        {name: remembered[place] for name, (_, remembered) in stepped.items()}
        for place in range(_REMEMBERED[optimiser])
    )


def _stepped(
    optimiser: str, base: _Array, average: _Array, known: Sequence[_Array], meeting: int
) -> _Stepped:
    """Where one array is stepped to, and what is remembered of it, made piece by piece."""
    rule = _adam if optimiser == "adam" else _momentum
    made = [np.empty(average.shape, average.dtype) for _ in range(1 + _REMEMBERED[optimiser])]
    for (start, end, *before), now in zip(
        pieces(base, average, *known), pieces(*made), strict=True
    ):
        model, remembered = _stepped_piece(rule, start, end, before, meeting)
        for room, found in zip(now, (model, *remembered), strict=True):
            room[:] = found
    return made[0], tuple(made[1:])


def _stepped_piece(
    rule: Any, base: _Array, average: _Array, known: Sequence[_Array], meeting: int
) -> _Stepped:
    wide = np.complex128 if average.dtype.kind == "c" else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        start, gone = base.astype(wide), average.astype(wide) - base.astype(wide)
        # Where an infinity stands at an end there is no step: the average stands as it is.
        moves = np.isfinite(gone)
        before = [array.astype(wide) for array in known]
        taken, remembered = rule(np.where(moves, gone, 0), before, meeting)
        end = _fitted(start + taken, average.dtype)
    kept = tuple(_fitted(array, average.dtype) for array in remembered)
    return np.where(moves, end, average), kept


def _adam(gone: _Array, before: Sequence[_Array], meeting: int) -> _Stepped:
    m, root = before or (np.zeros_like(gone),) * 2
    m = (1 - _FIRST) * gone + _FIRST * m
    # √((1 − β₂) · gone² + β₂ · root²): squares of large numbers would overflow.
    root = np.hypot(np.sqrt(1 - _SECOND) * np.abs(gone), np.sqrt(_SECOND) * np.abs(root))
    # Flower counts rounds from 1 and adds one more.
    unbiased = np.sqrt(1 - _SECOND ** (meeting + 1)) / (1 - _FIRST ** (meeting + 1))
    return _RATE * unbiased * m / (root + _LEAST), (m, root)


def _momentum(gone: _Array, before: Sequence[_Array], meeting: int) -> _Stepped:
    m = gone + _MOMENTUM * before[0] if before else gone
    return m, (m,)


_REMEMBERED = {"adam": 2, "momentum": 1}


def _fitted(values: _Array, dtype: np.dtype[Any]) -> _Array:
    """As another type, and where a number is too large for it, its largest."""
    most = float(np.finfo(dtype).max)
    fitted = np.empty(values.shape, dtype)
    fitted.real = np.clip(values.real, -most, most)
    if fitted.dtype.kind == "c":
        fitted.imag = np.clip(values.imag, -most, most)
    return fitted
