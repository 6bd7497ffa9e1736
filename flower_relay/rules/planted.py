"""Planted models: known to be bad, so that what an examiner says of them tells of the examiner.

A test may have two of them. They are the genesis model drowned in noise, and in the opposite noise.
That model knows nothing, or something of everything, whatever the run has come to. A base that has
forgotten a class is nothing to lose for who holds only that class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "REGAINED",
    "SPREADS",
    "drowned",
    "plants_with",
    "seen_in_noise",
    "spreads_of",
    "votes_on_planted",
]

_PART = 1 << 18
"""Numbers that noise is added to at a time."""

_OVER = 10.0
"""Times that the largest number of a type is larger than its noise at most."""

SPREADS = 30.0
"""Noise in spreads of the array that it is added to: of three, many who were honest saw no harm."""


def plants_with(share: float, cycle: int) -> float:
    """The probability that a test has planted models: 1 in the first cycle, then `share`.

    Nobody knows yet whom to trust, and what is spoiled now is hard to repair. With a share of 0
    nothing is ever planted.
    """
    return 1.0 if share > 0 and cycle == 0 else share


_SEE_HARM = 0.25
"""Where no more of a committee's weight than this sees harm, noise does the model none."""

REGAINED = 0.25
"""What seeing harm gains, beside what seeing none costs: whoever knows planted models sees harm."""


def seen_in_noise(
    noised: Sequence[NDArray[np.float64]],
    genesis: NDArray[np.float64],
    base: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.float64]:
    """What examiners see in planted models: the mean of their votes on them.

    They are held against the genesis model, which they are made from: a base may have forgotten the
    only class that an examiner holds. Where that model is as bad as counts, the base is taken.

    Of two classes noise leaves one, and the opposite noise the other. So the mean of both votes
    counts: who holds one class loses more by the second than it gains by the first. Who turns votes
    round says the opposite.

    Parameters
    ----------
    noised : sequence of arrays of shape (examiners,)
        Utilities of each planted model.
    genesis, base : arrays of shape (examiners,)
        Utilities of these models.
    tolerance : float
        A utility of no more is as bad as counts: it cannot fall by a tolerance.
    """
    seen: NDArray[np.float64] = np.mean(noised, axis=0)
    return seen - np.where(genesis > tolerance, genesis, base)


def votes_on_planted(
    votes: NDArray[np.float64], weights: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """What votes on planted models tell of who gave them, as votes that bonds move by.

    An examiner that sees no harm is constant, or lies. It loses four times what another gains that
    sees harm. Where hardly anybody sees harm, nobody is judged.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        What each one sees (`seen_in_noise`); NaN is an abstention.
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
    told = np.where(harm, -REGAINED * tolerance, tolerance)
    return np.where(np.isnan(votes), np.nan, told)


def spreads_of(
    genesis: Mapping[str, NDArray[Any]], base: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """By array, the larger spread of the genesis model and of a model of the run as it is now.

    Many a model begins with nothing but zeros. Whole numbers have no spread.
    """
    return {
        name: max(_spread(array), _spread(base.get(name, array)))
        for name, array in genesis.items()
        if array.dtype.kind in "fc" and array.size
    }


def drowned(
    arrays: Mapping[str, NDArray[Any]],
    spreads: Mapping[str, float],
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
    spreads : mapping of str to float
        Of those that get noise (`spreads_of`).
    rng : numpy.random.Generator
        Draws.
    sign : float
        1 or −1.
    """
    arrays = dict(sorted(arrays.items()))  # safetensors loads in any order
    noised = {
        name: _noised(array, spreads[name], rng, sign)
        for name, array in arrays.items()
        if name in spreads
    }
    return arrays | (noised or {name: _redrawn(array, rng) for name, array in arrays.items()})


def _parts(array: NDArray[Any]) -> NDArray[Any]:
    """An array's numbers as real ones, the two parts of a complex one side by side."""
    return np.stack([array.real, array.imag], axis=-1) if array.dtype.kind == "c" else array


def _spread(array: NDArray[Any]) -> float:
    """The standard deviation of what is finite in an array; its size, where squares are not."""
    parts = _parts(array)
    finite = parts if np.isfinite(parts).all() else parts[np.isfinite(parts)]
    if not finite.size:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(finite.std())
    return spread if np.isfinite(spread) else float(np.abs(finite.astype(np.float64)).max())


def _noised(
    array: NDArray[Any], spread: float, rng: np.random.Generator, sign: float
) -> NDArray[Any]:
    """An array with noise of thirty spreads; what is infinite stays so."""
    drowned = np.array(_parts(array), order="C")
    flat = drowned.reshape(-1)
    largest = float(np.finfo(array.dtype).max) / _OVER  # beyond that nothing would be noised
    scale = min(SPREADS * spread + 1e-3, largest)
    with np.errstate(over="ignore"):
        for start in range(0, flat.size, _PART):  # noise is drawn in doubles: part by part
            part = flat[start : start + _PART]
            noise = sign * rng.normal(0, scale, part.shape)
            noised = part + noise.astype(drowned.dtype)
            flat[start : start + _PART] = np.where(np.isfinite(noised), noised, part)
    return drowned.view(array.dtype)[..., 0] if array.dtype.kind == "c" else drowned


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
