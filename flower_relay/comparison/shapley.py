"""Shapley values, leave-one-out and rank correlation: the truth that rewards are held against.

Pure functions of a table of coalition values. A coalition is a number whose bit i says
whether participant i is in it, so that a table is an array of 2ⁿ values.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["leave_one_out", "members", "rank_correlation", "shapley_values"]


def members(coalition: int) -> list[int]:
    """The participants in a coalition, in order."""
    return [index for index in range(coalition.bit_length()) if coalition >> index & 1]


def shapley_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact Shapley values (Shapley 1953).

    Parameters
    ----------
    values : array of shape (2ⁿ,)
        Value of each coalition; that of the empty one first.

    Returns
    -------
    array of shape (n,)
        They sum to the value of all less that of none.
    """
    size = _participants(values)
    coalitions = np.arange(len(values))
    others = np.array([coalition.bit_count() for coalition in range(len(values))])
    weights = np.array([1 / (size * comb(size - 1, k)) if k < size else 0 for k in others])
    shares = np.empty(size)
    for index in range(size):
        without = coalitions[coalitions >> index & 1 == 0]
        rises = values[without | 1 << index] - values[without]
        shares[index] = (weights[without] * rises).sum()
    return shares


def leave_one_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What all are worth less what all but one are worth; shapes as in `shapley_values`."""
    everybody = len(values) - 1
    without = [everybody ^ 1 << index for index in range(_participants(values))]
    loss: NDArray[np.float64] = values[everybody] - values[without]
    return loss


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's correlation, ties at their average rank; 0 where one side is all ties."""
    ranks = [_ranks(np.asarray(side)) for side in (one, other)]
    centred = [side - side.mean() for side in ranks]
    scale = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / scale if scale > 0 else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: NDArray[np.float64] = (last - (count - 1) / 2)[place]
    return ranks


def _participants(values: NDArray[np.float64]) -> int:
    size = len(values).bit_length() - 1
    if len(values) != 1 << size:
        raise ValueError(f"{len(values)} coalition values: expected a power of two.")
    return size
