"""Planted models: known to be bad, so that what an examiner says of them tells of the examiner.

A test may have two of them. They are the genesis model drowned in noise, and in the opposite noise.
That model knows nothing, or something of everything, whatever the run has come to. A base that has
forgotten a class is nothing to lose for who holds only that class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["drowned", "plants_with", "votes_on_planted"]

_PART = 1 << 18
"""Numbers that noise is added to at a time."""

_SPREADS = 30.0
"""Noise in spreads of the array that it is added to: of three, many who were honest saw no harm."""


def plants_with(share: float, cycle: int) -> float:
    """The probability that a test has planted models: 1 in the first cycle, then `share`.

    Nobody knows yet whom to trust, and what is spoiled now is hard to repair. With a share of 0
    nothing is ever planted.
    """
    return 1.0 if share > 0 and cycle == 0 else share


_SEE_HARM = 0.25
"""Where no more of a committee's weight than this sees harm, noise does the model none."""

_REGAINED = 0.25
"""What seeing harm gains, beside what seeing none costs: whoever knows planted models sees harm."""


def votes_on_planted(
    votes: NDArray[np.float64], weights: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """What votes on planted models tell of who gave them, as votes that bonds move by.

    An examiner that sees no harm is constant, or lies. It loses four times what another gains that
    sees harm. Where hardly anybody sees harm, nobody is judged.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        The mean of each one's votes on the planted models; NaN is an abstention.
    tolerance : float
        A fall of more than that is harm.

    Returns
    -------
    array of shape (examiners,)
        A quarter of −tolerance where harm is seen, a tolerance where it is not; all NaN for nobody.
    """
    harm = votes < -tolerance
    # Exactly rounded: a quarter of the weight is common among four or eight.
    if math.fsum(weights[harm]) <= _SEE_HARM * math.fsum(weights) + 1e-12:
        return np.full(len(votes), np.nan)
    told = np.where(harm, -_REGAINED * tolerance, tolerance)
    return np.where(np.isnan(votes), np.nan, told)


def drowned(
    arrays: Mapping[str, NDArray[Any]],
    base: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
    sign: float,
) -> dict[str, NDArray[Any]]:
    """A model drowned in noise; with the opposite sign and the same draws, in the opposite noise.

    Counters and tables stay as they are, unless there is nothing else, as in a booster's bytes.
    Then whole numbers are drawn anew, whatever the sign.

    Parameters
    ----------
    arrays : mapping of str to array
        The model; the order of its arrays does not matter.
    base : mapping of str to array
        A model of the run as it is now. The larger spread of each array counts: many a model begins
        with nothing but zeros.
    rng : numpy.random.Generator
        Draws.
    sign : float
        1 or −1.
    """
    arrays = dict(sorted(arrays.items()))  # safetensors loads in any order
    noised = {
        name: _noised(array, max(_spread(array), _spread(base.get(name, array))), rng, sign)
        for name, array in arrays.items()
        if array.dtype.kind in "fc" and array.size
    }
    return arrays | (noised or {name: _redrawn(array, rng) for name, array in arrays.items()})


def _spread(array: NDArray[Any]) -> float:
    """The standard deviation of what is finite in an array; its size, where squares are not."""
    parts = array.view(array.real.dtype) if array.dtype.kind == "c" else array
    finite = parts if np.isfinite(parts).all() else parts[np.isfinite(parts)]
    if not finite.size:
        return 0.0
    with np.errstate(over="ignore"):
        spread = float(finite.std())
    return spread if np.isfinite(spread) else float(np.abs(finite.astype(np.float64)).max())


def _noised(
    array: NDArray[Any], spread: float, rng: np.random.Generator, sign: float
) -> NDArray[Any]:
    """An array with noise of thirty spreads; what is infinite stays so."""
    if array.dtype.kind == "c":
        parts = np.stack([array.real, array.imag], axis=-1)
        noised = _noised(parts, spread, rng, sign)
        return np.ascontiguousarray(noised).view(array.dtype)[..., 0]
    drowned = np.array(array, order="C")
    flat = drowned.reshape(-1)
    with np.errstate(over="ignore"):
        for start in range(0, flat.size, _PART):  # noise is drawn in doubles: part by part
            part = flat[start : start + _PART]
            noise = sign * rng.normal(0, _SPREADS * spread + 1e-3, part.shape)
            noised = part + noise.astype(array.dtype)
            flat[start : start + _PART] = np.where(np.isfinite(noised), noised, part)
    return drowned


def _redrawn(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Whole numbers drawn anew: none stays what it was, and all are between those there were."""
    if not array.size:
        return array
    if array.dtype.kind == "b":
        return ~array
    least, most = int(array.min()), int(array.max())
    if least == most:
        return np.full_like(array, most - 1 if most > 0 else 1)
    drawn = rng.integers(least, most, array.shape, array.dtype.type, endpoint=True)
    other = np.where(array == least, most, least).astype(array.dtype)
    return np.where(drawn == array, other, drawn)
