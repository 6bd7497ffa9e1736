"""Planted models: known to be bad, so that what an examiner says of them tells of the examiner.

A test may have two of them. They are its base drowned in noise, and in the opposite noise.
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


def plants_with(share: float, cycle: int) -> float:
    """The probability that a test has planted models: 1 in the first cycle, then `share`.

    Nobody knows yet whom to trust, and what is spoiled now is hard to repair. With a share of 0
    nothing is ever planted.
    """
    return 1.0 if share > 0 and cycle == 0 else share


_SEE_HARM = 0.25
"""Where no more of a committee's weight than this sees harm, noise does the model none."""


def votes_on_planted(
    worst: NDArray[np.float64], weights: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """What votes on planted models tell of who gave them, as votes that bonds move by.

    An examiner that sees harm gains. One that sees none is constant, lies, or holds only the class
    that noise left. It loses half of that gain. Where hardly anybody sees harm, nobody is judged.

    Parameters
    ----------
    worst, weights : arrays of shape (examiners,)
        The lower of each one's votes on the planted models; NaN is an abstention.
    tolerance : float
        A fall of more than that is harm.

    Returns
    -------
    array of shape (examiners,)
        −tolerance where harm is seen, half a tolerance where it is not; all NaN for nobody.
    """
    harm = worst < -tolerance
    # Exactly rounded, as above: a quarter of the weight is common among four or eight.
    if math.fsum(weights[harm]) <= _SEE_HARM * math.fsum(weights) + 1e-12:
        return np.full(len(worst), np.nan)
    return np.where(np.isnan(worst), np.nan, np.where(harm, -tolerance, tolerance / 2))


def drowned(
    arrays: Mapping[str, NDArray[Any]], rng: np.random.Generator, sign: float
) -> dict[str, NDArray[Any]]:
    """A model drowned in noise; with the opposite sign and the same draws, in the opposite noise.

    Counters and tables stay as they are, unless there is nothing else, as in a booster's bytes.
    Then whole numbers are drawn anew, whatever the sign.

    Parameters
    ----------
    arrays : mapping of str to array
        The model; the order of its arrays does not matter.
    rng : numpy.random.Generator
        Draws.
    sign : float
        1 or −1.
    """
    arrays = dict(sorted(arrays.items()))  # safetensors loads in any order
    weights = [name for name, array in arrays.items() if array.dtype.kind in "fc" and array.size]
    noised = {name: _noised(arrays[name], rng, sign) for name in weights}
    return arrays | (noised or {name: _redrawn(array, rng) for name, array in arrays.items()})


def _noised(array: NDArray[Any], rng: np.random.Generator, sign: float) -> NDArray[Any]:
    """An array with noise three times its own spread; what is infinite stays so."""
    if array.dtype.kind == "c":
        parts = np.stack([array.real, array.imag], axis=-1)
        return np.ascontiguousarray(_noised(parts, rng, sign)).view(array.dtype)[..., 0]
    finite = array if np.isfinite(array).all() else array[np.isfinite(array)]
    with np.errstate(over="ignore"):
        spread = 3 * finite.std() if finite.size else 0.0
        if not np.isfinite(spread):  # squares of large numbers
            spread = np.abs(finite.astype(np.float64)).max()
        drowned = np.array(array, order="C")
        flat = drowned.reshape(-1)
        for start in range(0, flat.size, _PART):  # noise is drawn in doubles: part by part
            part = flat[start : start + _PART]
            noise = sign * rng.normal(0, spread + 1e-3, part.shape)
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
